"""Asking a service whether it is well, and Caddy's configuration put in place."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path

import pytest

from remote.server.agent.caddy import Caddy
from remote.server.agent.commands import Commands
from remote.server.agent.errors import DeployError
from remote.server.agent.health import Answer, Probe
from remote.server.agent.releases import Release
from tests.unit.agent_bench import FakeCommands


class Service(BaseHTTPRequestHandler):
    """Answers with the status its path names, and tells the host it was asked for."""

    def do_GET(self) -> None:
        self.send_response(int(self.path[1:]))
        self.send_header("X-Asked", str(self.headers["Host"]))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "ok"), [(200, True), (302, True), (404, False), (503, False)])
def test_any_answer_below_400_is_well(port: int, status: int, ok: bool) -> None:
    answer = Probe().direct(port, f"/{status}", "app.example.org")
    assert (answer.status, answer.ok) == (status, ok)


def test_no_answer_is_a_problem_in_words() -> None:
    answer = Probe().direct(1, "/", "app.example.org")
    assert not answer.ok
    assert "refused" in str(answer)
    assert str(Answer(503)) == "status 503"


def test_an_answer_that_never_ends_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def stream(request: Service) -> None:
        request.send_response(200)
        request.end_headers()
        # A byte now and then: no time-out of the asker's ever passes.
        while not ended.wait(0.05):
            try:
                request.wfile.write(b".")
            except OSError:
                return

    monkeypatch.setattr(Service, "do_GET", stream)
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        # Where the answer is read for ever, it ends here.
        end = threading.Timer(10, ended.set)
        end.start()
        try:
            answer = Probe().direct(server.server_port, "/events", "app.example.org")
            assert answer.ok
            assert not ended.is_set()
        finally:
            end.cancel()
            ended.set()
            server.shutdown()
            thread.join()


def test_a_configuration_that_was_not_loaded_is_loaded_by_the_next_try(tmp_path: Path) -> None:
    release = tmp_path / "release"
    release.mkdir()
    (release / "Caddyfile").write_text("# routes")
    commands = FakeCommands(failing={"reload-or-restart": ["timed out"]})
    caddy = Caddy(commands, tmp_path)
    with pytest.raises(DeployError, match="did not take its new configuration: timed out"):
        caddy.serve(Release(release))
    assert not caddy.is_serving(Release(release))
    commands.failing.clear()
    caddy.serve(Release(release))
    assert commands.steps() == ["caddy", "caddy"]
    assert caddy.is_serving(Release(release))


def test_a_configuration_that_caddy_refuses_is_never_put_in_place(tmp_path: Path) -> None:
    release = tmp_path / "release"
    release.mkdir()
    (release / "Caddyfile").write_text("nonsense")
    commands = FakeCommands(failing={"caddy validate": ["unrecognized directive: nonsense"]})
    with pytest.raises(DeployError, match="caddy refuses the configuration: unrecognized"):
        Caddy(commands, tmp_path / "caddy").check(Release(release))
    assert list((tmp_path / "caddy").iterdir()) == []
    assert commands.ran[0].startswith("runuser -u caddy -- ")


def test_a_password_is_asked_for_where_the_configuration_wants_one(tmp_path: Path) -> None:
    caddy = Caddy(FakeCommands(), tmp_path)
    with pytest.raises(DeployError, match="none was handed over"):
        caddy.hash_password("")
    assert caddy.hash_password("open sesame").startswith("$2")


def test_a_password_s_hash_opens_to_it_alone_and_is_quick_to_try(tmp_path: Path) -> None:
    hashed = Caddy(Commands(), tmp_path).hash_password("open $esame 'x'")
    assert hashed.startswith("$2b$08$")
    again = "chomp(my $p = <STDIN>); print crypt($p, $ARGV[0])"

    def tried(password: str) -> str:
        ended = Commands().run(["perl", "-e", again, hashed], seconds=20, stdin=password + "\n")
        return ended.last()

    assert tried("open $esame 'x'") == hashed
    assert tried("open sesame") != hashed
