"""The reaper tells a webhook, which may be anything: a real server here, and a bad one."""

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from flow import app, reaping, webhook
from flow.reaping import Verdict

SECRET = "T0K3NT0K3N"
ANNOUNCED = Verdict(
    "feature-demo-map",
    "announced",
    "it ends at 2031-05-31 09:00",
    branch="feature-demo/map",
    url="https://map.example-demo.test",
    expires=1938157200,
)
ENDED = replace(ANNOUNCED, environment="feature-demo-old", action="ended", dump="r.test/dumps:old")
FAILED = replace(ANNOUNCED, environment="feature-demo-bad", action="failed", why="end: no answer")
KEPT = replace(ANNOUNCED, environment="feature-demo-new", action="keep")
ALL = [ANNOUNCED, ENDED, FAILED, KEPT]


class Receiver(http.server.BaseHTTPRequestHandler):
    """Notes what is posted, and answers as told."""

    got: list[tuple[str, dict[str, str], Any]] = []  # noqa: RUF012 (set by the fixture)
    status = 200

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.path, dict(self.headers), json.loads(body)))
        self.send_response(self.status)
        if self.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    """Address of a receiver, its secret part included."""
    Receiver.got, Receiver.status = [], 200
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hooks/{SECRET}"
    server.shutdown()
    thread.join()
    server.server_close()


def tell(address: str, kind: str = "", verdicts: list[Verdict] | None = None) -> str:
    named = {webhook.URL: address, **({webhook.KIND: kind} if kind else {})}
    return webhook.tell(ALL if verdicts is None else verdicts, named)


@pytest.mark.parametrize("kind", ["slack", "matrix"])
def test_a_chat_gets_one_message_that_says_what_ends_what_has_ended_and_what_was_not(
    address: str, kind: str
) -> None:
    assert tell(address, kind) == "the webhook was told (1)"
    ((path, headers, body),) = Receiver.got
    assert path == f"/hooks/{SECRET}"
    assert headers["Content-Type"] == "application/json"
    assert set(body) == {"text"}
    soon, ended, failed = body["text"].splitlines()
    assert soon.startswith("feature-demo-map https://map.example-demo.test ends soon: it ends at")
    assert "flow demo extend feature-demo/map --until DATE" in soon
    assert "has ended" in ended
    assert "r.test/dumps:old" in ended
    assert failed.endswith("was not ended: end: no answer")


def test_a_program_gets_the_fields_of_each(address: str) -> None:
    assert tell(address) == "the webhook was told (3)"
    bodies = [body for _, _, body in Receiver.got]
    assert [each["event"] for each in bodies] == ["demo.announced", "demo.ended", "demo.failed"]
    first = bodies[0]
    assert first.pop("text").startswith("feature-demo-map")
    assert first == {
        "event": "demo.announced",
        "environment": "feature-demo-map",
        "branch": "feature-demo/map",
        "url": "https://map.example-demo.test",
        "expires": 1938157200,
        "ends": "2031-06-02 09:00",
        "dump": None,
        "why": "it ends at 2031-05-31 09:00",
    }


def test_slacks_address_is_slacks_and_nothing_of_a_branchs_name_is_a_mention() -> None:
    slack = webhook.read({webhook.URL: f"https://hooks.slack.com/services/{SECRET}"})
    assert slack is not None
    assert slack.kind == "slack"
    assert SECRET not in repr(slack)
    (body,) = slack.bodies([replace(ANNOUNCED, branch="feature-demo/<!channel>&")])
    assert "&lt;!channel&gt;&amp;" in body["text"]
    assert "<!channel>" not in body["text"]


def test_where_there_is_nothing_to_tell_nobody_is_told(address: str) -> None:
    assert tell(address, verdicts=[KEPT]) == ""
    assert webhook.tell(ALL, {}) == ""
    assert Receiver.got == []


def test_fifty_demos_are_one_message_of_a_chat_and_more_are_counted(address: str) -> None:
    many = [replace(ANNOUNCED, environment=f"feature-demo-{number}") for number in range(60)]
    assert tell(address, "slack", many) == "the webhook was told (1)"
    lines = Receiver.got[0][2]["text"].splitlines()
    assert len(lines) == 51
    assert lines[-1] == "and 10 more: flow demo list"


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_refusal_is_one_line_without_the_secret_and_a_redirection_is_not_followed(
    address: str, status: int
) -> None:
    Receiver.status = status
    said = tell(address, "slack")
    assert said == (f"warning: the webhook was not told (1 of 1 message(s)): it answers {status}")
    assert [path for path, _, _ in Receiver.got] == [f"/hooks/{SECRET}"]


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        (f"http://127.0.0.1:9/{SECRET}", "slack"),
        (f"http://chat.example.org/{SECRET}", ""),
        (f"https://[nonsense/{SECRET}", ""),
        (f"https://x.test:port/{SECRET}", ""),
        (f"ftp://x.test/{SECRET}", ""),
        (SECRET, ""),
        (f"https://chat.example.org/{SECRET}", "teams"),
    ],
)
def test_an_address_that_is_no_good_is_one_line_without_its_secret(url: str, kind: str) -> None:
    said = tell(url, kind)
    assert said.startswith("warning: the webhook was not told")
    assert "\n" not in said
    assert SECRET not in said
    assert SECRET.lower() not in said


def test_one_that_drips_its_answer_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "SECONDS", 0.6)
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not stop.wait(0.1):
                    connection.sendall(b"X-More: 1\r\n")
                connection.sendall(b"\r\n")

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        said = tell(f"http://127.0.0.1:{listener.getsockname()[1]}/{SECRET}", "slack")
        took = time.monotonic() - began
        stop.set()
        thread.join()
    assert took < 3
    assert "no answer within" in said
    assert SECRET not in said


def test_the_reaper_by_hand_tells_it_and_a_webhook_that_fails_fails_nothing(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reaping, "reap", lambda *_, **__: [ANNOUNCED, ENDED])
    monkeypatch.setattr("flow.commands.demo.project.find", lambda: None)
    monkeypatch.setenv(webhook.URL, address)
    monkeypatch.setenv(webhook.KIND, "matrix")
    assert app.run(["demo", "reap"]) == 0
    assert len(Receiver.got) == 1
    Receiver.status = 500
    assert app.run(["demo", "reap"]) == 0
    told = capsys.readouterr()
    assert "it answers 500" in told.err
    assert SECRET not in told.err + told.out


def test_a_dry_run_tells_nobody_not_even_of_a_demo_that_cannot_be_read(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reaping, "reap", lambda *_, **__: [FAILED])
    monkeypatch.setattr("flow.commands.demo.project.find", lambda: None)
    monkeypatch.setenv(webhook.URL, address)
    assert app.run(["demo", "reap", "--dry-run"]) == 1
    assert Receiver.got == []
    assert "not ended" not in capsys.readouterr().err
