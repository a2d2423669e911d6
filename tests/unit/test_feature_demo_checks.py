"""What feature-demo.sh finds out before it changes anything."""

import http.server
import os
import pty
import re
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feature_demo import arguments, branches, checks, main, wishes
from feature_demo import demo as demos
from feature_demo.asking import Terminal
from feature_demo.demo import Demo
from feature_demo.words import DemoError
from remote.server.agent.machine import Machine

UNATTENDED = Terminal(unattended=True)


def parsed(*words: str) -> Any:
    return arguments.parse(["up", *words])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n', "runs Debian 12, not Debian 13"),
        ('ID=ubuntu\nVERSION_ID="13"\n', "something unknown"),
        ("", "something unknown"),
    ],
)
def test_anything_but_debian_13_is_refused(tmp_path: Path, text: str, says: str) -> None:
    release = tmp_path / "os-release"
    release.write_text(text)
    with pytest.raises(DemoError, match=says):
        checks.is_debian_13(release)


def test_a_server_of_a_stack_is_left_alone(tmp_path: Path) -> None:
    checks.belongs_to_nobody_else(Machine(tmp_path))
    (tmp_path / "etc/deployment-flow").mkdir(parents=True)
    with pytest.raises(DemoError, match="deploy agent of a stack") as error:
        checks.belongs_to_nobody_else(Machine(tmp_path))
    assert "pulumi up" in error.value.remedy


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_port_that_is_taken_is_named(family: int) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as taken:
        taken.bind(("", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        with pytest.raises(DemoError, match=f"port {port} is taken"):
            checks.ports_are_free((port,))
    checks.ports_are_free((port,))


@pytest.mark.parametrize(
    ("answers", "own", "given", "says"),
    [
        (["203.0.113.7"], ["203.0.113.7", "2001:db8::1"], "", ""),
        (["203.0.113.7", "2001:0db8::0001"], ["203.0.113.7", "2001:db8::1"], "", ""),
        (["198.51.100.1"], ["10.0.0.2"], "198.51.100.1", ""),
        (["198.51.100.1"], [], "", ""),
        (["198.51.100.1"], ["203.0.113.7"], "", "points at 198.51.100.1"),
        # One record of two leads elsewhere: half of the visitors, and the authority, go there.
        (["203.0.113.7", "2001:db8::9"], ["203.0.113.7"], "", "points at 2001:db8::9"),
        (None, ["203.0.113.7"], "", "does not resolve"),
    ],
)
def test_a_name_has_to_point_here(
    monkeypatch: pytest.MonkeyPatch,
    answers: list[str] | None,
    own: list[str],
    given: str,
    says: str,
) -> None:
    def ask(*_: object, **__: object) -> list[Any]:
        if answers is None:
            raise socket.gaierror(-2, "Name or service not known")
        return [(0, 0, 0, "", (each, 443)) for each in answers]

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    if not says:
        checks.points_here("demo.example.org", own, given)
        return
    with pytest.raises(DemoError, match=says) as error:
        checks.points_here("demo.example.org", own, given)
    assert "demo.example.org. A 203.0.113.7" in error.value.remedy


class _Git(http.server.BaseHTTPRequestHandler):
    """Answers as git's own server does."""

    bare: Path
    token = ""
    moved = ""

    def do_GET(self) -> None:
        if self.moved and self.path.startswith("/old.git"):
            self.send_response(301)
            self.send_header("Location", self.moved + self.path.removeprefix("/old.git"))
            self.end_headers()
            return
        if self.token and self.headers.get("Authorization") != branches.authorization(
            "", self.token
        ):
            self.send_error(401)
            return
        if not self.path.startswith("/app.git/info/refs?service=git-upload-pack"):
            self.send_error(404)
            return
        told = subprocess.run(
            ["git", "upload-pack", "--http-backend-info-refs", str(self.bare)],
            capture_output=True, check=True,
        ).stdout  # fmt: skip
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"001e# service=git-upload-pack\n0000" + told)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, str, type[_Git]]]:
    """URL of a repository with two branches, the commit of both, and its server's class."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(tmp_path), *words],
            env=environment, check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip

    git("init", "--quiet", "--initial-branch=main")
    git("-c", "user.name=T", "-c", "user.email=t@t", "commit", "--allow-empty", "-qm", "one")
    git("branch", "feature-demo/map")
    git("tag", "feature-demo/tag")
    handler = type("Handler", (_Git,), {"bare": tmp_path})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/app.git", git("rev-parse", "HEAD"), handler
        server.shutdown()
        thread.join()


def test_a_branch_is_found_over_http_without_git(repository: tuple[str, str, type[_Git]]) -> None:
    url, commit, _ = repository
    assert branches.commit_of(url, "feature-demo/map", "", "") == commit
    with pytest.raises(DemoError, match=r"no branch 'feature-demo/mpa'; it has feature-demo/map"):
        branches.commit_of(url, "feature-demo/mpa", "", "")
    with pytest.raises(DemoError, match="has no branch 'feature-demo/tag'"):
        branches.commit_of(url, "feature-demo/tag", "", "")


def test_a_token_follows_a_renamed_repository_and_goes_to_no_other_server(
    repository: tuple[str, str, type[_Git]],
) -> None:
    url, commit, handler = repository
    old = url.replace("app", "old")
    handler.token, handler.moved = "right", url
    assert branches.commit_of(old, "main", "", "right") == commit
    # The same server, and to a client another one.
    handler.moved = url.replace("127.0.0.1", "localhost")
    with pytest.raises(DemoError, match="refuses the token"):
        branches.commit_of(old, "main", "", "right")


def test_a_private_repository_asks_for_a_token(repository: tuple[str, str, type[_Git]]) -> None:
    url, commit, handler = repository
    handler.token = "right"
    with pytest.raises(branches.NeedsCredentialError):
        branches.commit_of(url, "main", "", "")
    with pytest.raises(DemoError, match="refuses the token"):
        branches.commit_of(url, "main", "", "wrong")
    assert branches.commit_of(url, "main", "", "right") == commit
    with pytest.raises(DemoError, match="answers 404"):
        branches.commit_of(url.replace("app", "other"), "main", "", "right")
    with pytest.raises(DemoError, match=r"not public.*|no such repository"):
        wishes.wanted(parsed("--git", url, "--branch", "main", "--yes"), None, UNATTENDED)


@pytest.mark.parametrize(
    "name", ["", "-x", "a b", "a..b", "a~1", "a/", "x.lock", "a\nb", "a:b", "@{x", "a//b"]
)
def test_what_git_takes_for_no_branch_is_refused(name: str) -> None:
    assert not branches.is_branch_name(name)
    done = subprocess.run(["git", "check-ref-format", f"refs/heads/{name}"], check=False)
    assert done.returncode != 0 or name == "-x"


@pytest.mark.parametrize("name", ["main", "feature-demo/map", "Fünf/ü", "x;rm", "$(x)", "a@b"])
def test_what_git_takes_for_a_branch_is_taken(name: str) -> None:
    assert branches.is_branch_name(name)


def test_settings_are_read_as_compose_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "app.env"
    file.write_text("# c\n\nexport A=1\nB='x # y'\nC=\"q\"\nD=a#b # note\nE=\nF = v=w \n")
    assert demos.read_settings(str(file)) == {
        "A": "1", "B": "x # y", "C": "q", "D": "a#b", "E": "", "F": "v=w",
    }  # fmt: skip


@pytest.mark.parametrize("line", ["nonsense", "1A=x", "VERSION=2", "IMAGES=x", "A B=c"])
def test_a_wrong_line_of_the_settings_is_named_without_its_value(tmp_path: Path, line: str) -> None:
    file = tmp_path / "app.env"
    file.write_text(f"OK=1\n{line}\n")
    with pytest.raises(DemoError, match=r"app\.env, line 2"):
        demos.read_settings(str(file))


def test_a_password_is_a_files_first_line(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret\n")
    assert demos.read_secret(str(file), "password") == "secret"
    file.write_text("\n")
    with pytest.raises(DemoError, match="is empty"):
        demos.read_secret(str(file), "password")
    with pytest.raises(DemoError, match="cannot be read"):
        demos.read_secret(str(tmp_path / "none"), "password")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--git", "nonsense"], "neither a git URL nor a folder"),
        (["--git", "https://user:pass@example.org/a.git"], "has a credential in it"),
        (["--folder", "/nowhere"], "has no compose.yaml"),
        (["--images", "UPPER"], "no registry and path"),
        (["--version", "1.0"], "for images that are pulled"),
        (["--registry-user", "me"], "--registry-password-file is missing"),
        (["--acme-server", "http://x"], "no https address"),
        (["--acme-email", "nobody"], "no mail address"),
        (["--branch", "a b"], "is no branch"),
        (["--domain", "Under_Score"], "no lower-case DNS name"),
    ],
)
def test_a_wrong_flag_is_named_with_its_remedy(tmp_path: Path, words: list[str], says: str) -> None:
    (tmp_path / "compose.yaml").touch()
    rest = [] if "--git" in words or "--folder" in words else ["--folder", str(tmp_path)]
    rest += [] if "--branch" in words else ["--branch", "x"]
    with pytest.raises(DemoError, match=says) as error:
        wishes.wanted(parsed(*words, *rest, "--address", "203.0.113.7"), None, UNATTENDED)
    assert error.value.remedy


def test_an_update_keeps_what_it_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").touch()
    known = Demo(
        str(tmp_path), "feature-demo/map", "demo.example.org",
        password="kept", settings={"A": "1"}, images="ghcr.io/a/b",
        registry_user="u", registry_password="p", git_token="t",
    )  # fmt: skip
    assert wishes.wanted(parsed(), known, UNATTENDED) == known
    changed = wishes.wanted(parsed("--version", "2"), known, UNATTENDED)
    assert (changed.version, changed.password) == ("2", "kept")
    # What was given for one place is never sent to another.
    moved = wishes.wanted(parsed("--images", "registry.example.org/a"), known, UNATTENDED)
    assert (moved.registry_user, moved.registry_password) == ("", "")
    other = tmp_path / "other"
    other.mkdir()
    (other / "compose.yaml").touch()
    assert wishes.wanted(parsed("--folder", str(other)), known, UNATTENDED).git_token == ""


def test_nothing_secret_shows_in_a_demos_text() -> None:
    demo = Demo("/a", "b", "c.d", registry_password="s1", git_token="s2", password="s3",
                settings={"A": "s4"})  # fmt: skip
    assert not re.search(r"s[1-4]", repr(demo))


ASK = """
from feature_demo.asking import Terminal
t = Terminal(unattended=False)
print("got", t.text("Name", "--name", "you"), t.secret("Word", "--word"), t.agrees("Go?"))
"""


def test_questions_are_asked_on_the_terminal_though_stdin_is_taken() -> None:
    process, terminal = pty.fork()
    if process == 0:
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, 0)
        os.execv(sys.executable, [sys.executable, "-c", ASK])  # noqa: S606
    said = ""
    for question, answer in ((r"Name \[you\]: ", ""), (r"not shown\): ", "hush"), ("y/N", "y")):
        while not re.search(question, said):
            assert select.select([terminal], [], [], 20)[0], said
            said += os.read(terminal, 4096).decode()
        os.write(terminal, f"{answer}\n".encode())
    while "got" not in said or not said.endswith("\n"):
        assert select.select([terminal], [], [], 20)[0], said
        said += os.read(terminal, 4096).decode()
    os.close(terminal)
    os.waitpid(process, 0)
    assert "got you hush True" in said
    assert said.count("hush") == 1, "the word was shown while it was typed"


def test_without_a_terminal_what_is_missing_is_named() -> None:
    with pytest.raises(DemoError, match="--git is missing"):
        wishes.wanted(parsed("--yes"), None, UNATTENDED)


def test_two_at_once_are_one_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "debian_version"
    lock.write_text("13.1\n")
    monkeypatch.setattr(main, "LOCK", lock)
    with main._alone(), pytest.raises(DemoError, match="is at work on this server"), main._alone():
        pass
    with main._alone():
        assert lock.read_text() == "13.1\n"
