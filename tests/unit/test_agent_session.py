"""The agent's side of a hand-over: verbs, following a deploy, the lock, lines of any length."""

import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote.server.agent import main, runs
from remote.server.agent.commands import DATA_LIMIT, KEPT_LINES, Commands, Ended
from remote.server.agent.errors import DeployError
from remote.server.agent.lines import Blot, cut_lines
from remote.server.agent.machine import Machine
from remote.server.agent.runs import Runs

REQUEST = {"protocol": 1, "who": "ada", "bundle": {"version": "1.0.0"}, "secrets": {}}


@dataclass
class Systemd(Commands):
    """Knows one unit; `on_start` is what happens when a deploy is started."""

    on_start: Callable[[str], None] = lambda _: None
    state: str = "inactive"
    description: str = ""
    started: list[list[str]] = field(default_factory=list)

    def run(
        self,
        arguments: Sequence[str],
        *,
        seconds: float,
        environment: Mapping[str, str] | None = None,
        stdin: str | None = None,
        on_line: Callable[[str], None] | None = None,
        line_limit: int = 0,
        cancelled: Event | None = None,
    ) -> Ended:
        if arguments[0] == "systemctl":
            return Ended(0, (f"ActiveState={self.state}", f"Description={self.description}"))
        self.started.append(list(arguments))
        if self.state == "active":
            return Ended(1, ("Unit deployment-flow-deploy.service already exists.",))
        self.state = "active"
        self.description = next(a for a in arguments if "--description" in a).split("=")[1]
        self.on_start(arguments[-1])
        return Ended(0, ())


class Session:
    """A hand-over's session on a machine under a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder)
        self.systemd = Systemd()
        self.sent: list[Mapping[str, object]] = []
        self.now = 0.0
        self.gone = False
        self.events: list[tuple[float, Callable[[], None]]] = []

    def runs(self) -> Runs:
        return Runs(
            self.machine, self.systemd, self.sent.append, lambda: self.gone, self.sleep,
            lambda: self.now,
        )  # fmt: skip

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for event in [e for e in self.events if e[0] <= self.now]:
            self.events.remove(event)
            event[1]()

    def later(self, seconds: float, does: Callable[[], None]) -> None:
        self.events.append((self.now + seconds, does))

    def finish(self, run: str, **result: object) -> None:
        (self.machine.runs / run / "result.json").write_text(json.dumps(result))
        self.systemd.state = "inactive"

    def say(self, run: str, line: str) -> None:
        with (self.machine.runs / run / "log").open("a") as log:
            log.write(line)

    def holder(self, run: str, release: str) -> None:
        folder = self.machine.runs / run
        folder.mkdir(parents=True)
        told = {"release": release, "version": "0.9", "who": "bob", "when": "noon"}
        (folder / "holder.json").write_text(json.dumps(told))
        self.systemd.state, self.systemd.description = "active", run


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


def logs(session: Session) -> list[object]:
    return [message["log"] for message in session.sent if "log" in message]


def test_a_deploy_is_a_unit_of_its_own_and_its_lines_are_passed_on(session: Session) -> None:
    def start(run: str) -> None:
        session.say(run, "one\ntw")
        session.later(1, lambda: session.say(run, "o\n"))
        session.later(2, lambda: session.finish(run, ok=True))

    session.systemd.on_start = start
    assert session.runs().deploy(REQUEST, "r-1") == {"ok": True}
    assert logs(session) == ["one", "two"]
    assert session.systemd.started[0][0] == "systemd-run"


def test_silence_is_filled_with_beats(session: Session) -> None:
    session.systemd.on_start = lambda run: session.later(22, lambda: session.finish(run, ok=True))
    session.runs().deploy(REQUEST, "r-1")
    assert len([message for message in session.sent if "beat" in message]) == 4


def test_a_deploy_of_the_same_release_is_joined(session: Session) -> None:
    session.holder("run-1", "r-1")
    session.later(1, lambda: session.finish("run-1", ok=True, version="0.9"))
    assert session.runs().deploy(REQUEST, "r-1")["version"] == "0.9"
    assert session.systemd.started == []
    assert "following the deploy of version 0.9 that bob began at noon" in logs(session)


def test_another_release_waits_and_then_has_its_turn(session: Session) -> None:
    session.holder("run-1", "r-0")
    session.later(3, lambda: session.finish("run-1", ok=True))
    session.systemd.on_start = lambda run: session.finish(run, ok=True, version="1.0.0")
    assert session.runs().deploy(REQUEST, "r-1")["version"] == "1.0.0"


def test_waiting_ends_with_the_holder_named(session: Session) -> None:
    session.holder("run-1", "r-0")
    with pytest.raises(DeployError, match=r"version 0\.9 that bob began at noon"):
        session.runs().deploy(REQUEST, "r-1")
    assert session.now < runs.BUSY_SECONDS + 10


def test_a_deploy_that_vanished_is_reported_and_not_awaited_for_ever(session: Session) -> None:
    def start(_: str) -> None:
        session.systemd.state = "inactive"

    session.systemd.on_start = start
    with pytest.raises(DeployError, match="interrupted on the server"):
        session.runs().deploy(REQUEST, "r-1")
    assert session.now < 10


def test_a_unit_nothing_is_known_of_is_not_waited_for_without_end(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "BUSY_SECONDS", 3)
    session.systemd.state, session.systemd.description = "active", "somebody's own"
    with pytest.raises(DeployError, match="not known any more") as error:
        session.runs().deploy(REQUEST, "r-1")
    assert "systemctl status deployment-flow-deploy" in error.value.remedy
    assert session.now < 10


def test_of_a_log_that_grew_quickly_the_end_is_passed_on_with_the_result(session: Session) -> None:
    lines = [f"{number:0100}" for number in range(40_000)]

    def start(run: str) -> None:
        session.say(run, "\n".join(lines) + "\n")
        session.finish(run, ok=False)

    session.systemd.on_start = start
    session.runs().deploy(REQUEST, "r-1")
    assert logs(session) == lines


def test_a_log_that_finds_no_room_stops_no_deploy() -> None:
    log = runs.RunLog(Path("/dev/full"), str)
    log("a line")
    log.close()


def test_what_a_program_reads_is_kept_whole_and_what_a_person_reads_to_its_end() -> None:
    counted = ["seq", "5000"]
    assert len(Commands().run(counted, seconds=20, line_limit=DATA_LIMIT).lines) == 5000
    assert Commands().run(counted, seconds=20).lines[-1] == "5000"
    assert len(Commands().run(counted, seconds=20).lines) == KEPT_LINES


def test_following_ends_when_the_other_side_is_gone(session: Session) -> None:
    session.systemd.on_start = lambda _: session.later(1, lambda: setattr(session, "gone", True))
    with pytest.raises(DeployError, match="went away"):
        session.runs().deploy(REQUEST, "r-1")
    assert session.systemd.state == "active"


def test_a_request_is_private_and_gone_once_it_is_taken_up(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "request.json").write_text(json.dumps({**REQUEST, "secrets": {"A": "hunter22"}}))

    def deploy(request: Mapping[str, Any], log: Callable[[str], None]) -> dict[str, object]:
        log(f"using {request['secrets']['A']}")
        assert not (run / "request.json").exists()
        raise DeployError("hunter22 was wrong", "change hunter22")

    assert runs.execute(run, deploy, main.blot_of) == 1
    left = "".join(path.read_text() for path in run.iterdir())
    assert "hunter22" not in left
    assert json.loads((run / "result.json").read_text())["cause"] == "*** was wrong"


def test_a_fault_of_the_agent_itself_still_gives_a_result(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(json.dumps(REQUEST))

    def deploy(request: Mapping[str, Any], log: Callable[[str], None]) -> dict[str, object]:
        raise RuntimeError("boom")

    assert runs.execute(tmp_path, deploy, main.blot_of) == 1
    assert "RuntimeError" in json.loads((tmp_path / "result.json").read_text())["cause"]


@pytest.mark.parametrize(
    "asked",
    ["", "bash", "status; id", "$(id)", "logs --help", "deploy\nbash", "../agent", "-i", "Status"],
)
def test_the_deploy_key_can_ask_for_a_verb_and_nothing_else(
    asked: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main.serve(asked, Machine(tmp_path)) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["result"]["ok"] is False
    assert (
        "deploy, dump, follow, logs, prune, restore, restore-scrubbed, rows, status, version"
        in answer["result"]["cause"]
    )


def test_status_before_the_first_release_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Machine(tmp_path).state.mkdir(parents=True)
    assert main.serve("status", Machine(tmp_path)) == 0
    assert json.loads(capsys.readouterr().out)["result"]["release"] is None


def test_a_line_of_a_mebibyte_is_cut_and_the_next_is_whole() -> None:
    stream = io.BufferedReader(io.BytesIO(b"x" * (1 << 20) + b"\nnext\nlast"))
    lines = list(cut_lines(stream, 100))
    assert lines == ["x" * 100 + f"… ({(1 << 20) - 100} bytes more)", "next", "last"]


@given(st.lists(st.binary(max_size=40).filter(lambda b: b"\n" not in b), max_size=5))
def test_short_lines_come_through_as_they_are(pieces: list[bytes]) -> None:
    stream = io.BufferedReader(io.BytesIO(b"".join(piece + b"\n" for piece in pieces)))
    expected = [piece.decode("utf-8", "replace").rstrip("\r") for piece in pieces]
    assert list(cut_lines(stream, 100)) == expected


def test_secrets_and_terminal_commands_are_blotted_out() -> None:
    blot = Blot(["hunter22", "line one\nline two", "abc"])
    assert blot("a hunter22 b") == "a *** b"
    assert blot("…line two…") == "…***…"
    assert blot("abc") == "abc"  # too short to be blotted without hurting ordinary words
    assert blot("\x1b[31mred\x1b[0m\x07") == "red "


def test_a_command_past_its_deadline_is_ended_with_its_children() -> None:
    ended = Commands().run(["sh", "-c", "sleep 60 & wait"], seconds=0.3)
    assert ended.status is None


def test_a_command_gets_its_stdin_and_its_lines_are_heard_at_once() -> None:
    heard: list[str] = []
    ended = Commands().run(
        [sys.executable, "-c", "print(input()); print('b' * 5000)"],
        seconds=20,
        stdin="a\n",
        on_line=heard.append,
    )
    assert ended.ok
    assert heard[0] == "a"
    assert len(heard[1]) < 2100
