"""What the installer does where programs are missing, old, broken or already there."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from toolchain import build, golang, official, versions
from toolchain.errors import InstallError
from toolchain.install import Installation, install, main

GO_MOD = build.SOURCES / "go.mod"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH that leads to one folder, empty at first, and a cache of the test's own."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def said() -> list[str]:
    return []


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def fake_go(folder: Path, version: str, toolchain: str = "local", seconds: float = 0) -> None:
    """Put a `go` on PATH that tells a version and fails to build, after so many seconds."""
    settings = f'{{"GOVERSION": "{version}", "GOTOOLCHAIN": "{toolchain}"}}'
    program(
        folder / "go",
        f"[ $1 = env ] && echo '{settings}' && exit\n"
        f"/bin/sleep {seconds}; echo 'no space left' >&2; exit 1",
    )


def fake_release(folder: Path, version: str) -> None:
    """Put a Pulumi of some version on PATH; its plugin installations succeed."""
    program(folder / "pulumi", f'[ "$1" = version ] && echo {version}; exit 0')
    for name in official.PROGRAMS[1:]:
        program(folder / name, "")


def project(tmp_path: Path) -> Installation:
    (tmp_path / "requirements.txt").write_text(
        "pulumi-hcloud==1.2.3\npulumi-command==4.5.6\npulumi-github==7.8.9\n"
    )
    return Installation(tmp_path)


def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official, "release", lambda report: None)


def test_without_go_the_error_says_which_version_to_install(path: Path) -> None:
    with pytest.raises(InstallError, match=r"no `go` is on PATH.*Install Go 1\.26\.4 or newer"):
        golang.find_go(GO_MOD)


def test_an_old_go_is_refused_and_told_both_versions(path: Path) -> None:
    fake_go(path, "go1.19.8")
    with pytest.raises(InstallError, match=r"is Go 1\.19\.8, building .* needs Go 1\.26"):
        golang.find_go(GO_MOD)


def test_a_go_that_may_not_fetch_a_newer_one_is_told_that_it_could(path: Path) -> None:
    fake_go(path, "go1.22.1", toolchain="local")
    with pytest.raises(InstallError, match="GOTOOLCHAIN=auto"):
        golang.find_go(GO_MOD)


def test_a_go_that_fetches_the_needed_version_itself_is_used(path: Path) -> None:
    fake_go(path, "go1.22.1", toolchain="auto")
    assert golang.find_go(GO_MOD) == str(path / "go")


def test_a_newer_go_is_used(path: Path) -> None:
    fake_go(path, "go1.99")
    assert golang.find_go(GO_MOD) == str(path / "go")


def test_a_broken_go_is_no_crash(path: Path) -> None:
    program(path / "go", "echo nonsense")
    with pytest.raises(InstallError, match="does not tell its version"):
        golang.find_go(GO_MOD)


def test_a_failed_build_shows_the_compiler_s_words_and_how_to_repeat_it(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    fake_go(path, "go1.99")
    no_download(monkeypatch)
    with pytest.raises(InstallError, match=r"(?s)no space left.*go build"):
        install(project(tmp_path), said.append)
    assert "about 4 minutes" in said[0]


def test_a_long_build_says_that_it_goes_on(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr(build, "SIGN_OF_LIFE_SECONDS", 0.05)
    fake_go(path, "go1.99", seconds=0.3)
    no_download(monkeypatch)
    with pytest.raises(InstallError):
        install(project(tmp_path), said.append)
    assert any(line.startswith("  … ") for line in said)


def test_a_new_pulumi_on_path_is_taken_with_its_language_host(
    path: Path, tmp_path: Path, said: list[str]
) -> None:
    fake_release(path, "v3.300.1")
    installation = project(tmp_path)
    install(installation, said.append, sandbox=False)
    assert (installation.bin / "pulumi").readlink() == path / "pulumi"
    assert (installation.bin / "pulumi-language-python-exec").exists()
    assert said[0] == f"using {path}/pulumi, version 3.300.1"
    assert "official hcloud plugin 1.2.3" in said[1]


def test_a_pinned_installation_takes_the_release_before_what_is_on_path(
    path: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_release(path, "v3.300.1")
    released = tmp_path / "released"
    released.mkdir()
    fake_release(released, versions.RELEASE)
    programs = {name: released / name for name in official.PROGRAMS}
    monkeypatch.setattr(official, "release", lambda report: programs)
    installation = project(tmp_path)
    install(installation, said.append, sandbox=False, pinned=True)
    assert (installation.bin / "pulumi").readlink() == released / "pulumi"


def test_a_pinned_installation_takes_what_is_on_path_where_nothing_can_be_downloaded(
    path: Path, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_release(path, "v3.300.1")
    no_download(monkeypatch)
    installation = project(tmp_path)
    install(installation, said.append, sandbox=False, pinned=True)
    assert (installation.bin / "pulumi").readlink() == path / "pulumi"


def test_an_old_pulumi_on_path_is_left_alone(path: Path, said: list[str]) -> None:
    fake_release(path, "v3.100.0")
    assert official.on_path(Path("/nowhere"), said.append) is None
    assert "older than 3.250.0" in said[0]


def test_a_pulumi_without_its_language_host_is_left_alone(path: Path, said: list[str]) -> None:
    program(path / "pulumi", "echo v3.300.0")
    assert official.on_path(Path("/nowhere"), said.append) is None
    assert "has no pulumi-language-python beside it" in said[0]


def test_the_links_of_an_earlier_installation_are_not_taken_for_a_pulumi_on_path(
    path: Path, said: list[str]
) -> None:
    fake_release(path, "v3.300.0")
    assert official.on_path(path, said.append) is None


def test_a_second_installation_does_nothing_and_a_lost_program_is_put_back(
    path: Path, tmp_path: Path, said: list[str]
) -> None:
    fake_release(path, "v3.300.0")
    installation = project(tmp_path)
    install(installation, said.append, sandbox=False)
    said.clear()
    install(installation, said.append, sandbox=False)
    assert said == []
    (installation.bin / "pulumi").unlink()
    install(installation, said.append, sandbox=False)
    assert (installation.bin / "pulumi").exists()


def test_when_one_plugin_cannot_be_downloaded_the_others_are_not_tried(
    path: Path, tmp_path: Path, said: list[str]
) -> None:
    fake_release(path, "v3.300.0")
    program(path / "pulumi", '[ "$1" = version ] && echo v3.300.0 && exit; exit 1')
    with pytest.raises(InstallError, match="no `go` is on PATH"):
        install(project(tmp_path), said.append, sandbox=False)
    assert len([line for line in said if "downloading" in line]) == 1


def test_a_second_installation_at_once_waits_for_the_first(
    path: Path, tmp_path: Path, said: list[str]
) -> None:
    entered = threading.Event()
    waiting = threading.Event()

    def report(text: str) -> None:
        said.append(text)
        waiting.set()

    def second() -> None:
        with build.locked(report):
            entered.set()

    with build.locked(said.append):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(5)
        assert not entered.is_set()
    thread.join(5)
    assert entered.is_set()


Published = Callable[[bytes], str]


@pytest.fixture
def publish(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    """Make a file a release that this platform can download; returns its address."""

    def _publish(content: bytes) -> str:
        archive = tmp_path / "release.tar.gz"
        archive.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        monkeypatch.setattr(official, "_platform", lambda: "test-x64")
        monkeypatch.setitem(versions.RELEASE_SHA256, "test-x64", digest)
        build.cache_root().mkdir(parents=True)
        return archive.as_uri()

    return _publish


def release_of(names: tuple[str, ...]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(f"pulumi/{name}")
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    return buffer.getvalue()


def test_the_release_is_unpacked_and_kept_for_the_next_checkout(
    publish: Published, said: list[str]
) -> None:
    url = publish(release_of((*official.PROGRAMS, "pulumi-watch", "../../escape")))
    first = official.release(said.append, url)
    assert first is not None
    assert set(first) == set(official.PROGRAMS)
    assert os.access(first["pulumi"], os.X_OK)
    assert sorted(p.name for p in first["pulumi"].parent.iterdir()) == sorted(official.PROGRAMS)
    assert official.release(said.append, "file:///gone") == first


def test_a_release_that_was_changed_on_its_way_is_refused(
    publish: Published, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = publish(release_of(official.PROGRAMS))
    monkeypatch.setitem(versions.RELEASE_SHA256, "test-x64", "0" * 64)
    with pytest.raises(InstallError, match="changed on its way"):
        official.release(said.append, url)
    assert not list(build.cache_root().glob("release-*"))


def test_a_release_that_cannot_be_reached_is_reported_and_built_instead(
    publish: Published, said: list[str]
) -> None:
    publish(b"")
    assert official.release(said.append, "file:///gone") is None
    assert "cannot be downloaded here" in said[-1]


@pytest.fixture
def cut_off(publish: Published) -> Iterator[tuple[str, list[int]]]:
    """The address of a release at which the first connections are cut, and how many will be."""
    content = release_of(official.PROGRAMS)
    publish(content)
    cut = [0]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if cut[0] else content)
            cut[0] -= 1

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", cut
        server.shutdown()


def test_a_download_that_breaks_off_is_begun_again(
    cut_off: tuple[str, list[int]], said: list[str]
) -> None:
    url, cut = cut_off
    cut[0] = official.ATTEMPTS - 1
    assert official.release(said.append, url) is not None


def test_a_download_that_always_breaks_off_is_given_up(
    cut_off: tuple[str, list[int]], said: list[str]
) -> None:
    url, cut = cut_off
    cut[0] = official.ATTEMPTS
    assert official.release(said.append, url) is None
    assert "cannot be downloaded here" in said[-1]


def test_a_platform_without_a_pinned_release_builds(
    path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(official, "_platform", lambda: "plan9-x64")
    assert official.release(said.append) is None


def test_a_requirement_without_an_exact_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("pulumi-hcloud==1.2.3\npulumi-command>=1\n")
    with pytest.raises(InstallError, match="does not pin pulumi-command"):
        Installation(tmp_path)


def test_a_cache_that_cannot_be_written_is_named_with_what_moves_it(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("toolchain.install.Installation", lambda: project(tmp_path))
    assert main([]) == 1
    assert "XDG_CACHE_HOME moves it" in capsys.readouterr().err
