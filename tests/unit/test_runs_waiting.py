"""A run whose stack another update holds: it waits, says for whom, and gives up in the end."""

from collections.abc import Callable
from typing import Any

import pytest

from flow import demos, deploying, project
from flow.errors import FlowError
from flow.locks import BUSY, Holder
from flow.runs import jobs, waiting
from flow.runs.run import Run
from flow.stacks import NoStackError

STACK = "feature-demo-x"
REAPER = Holder("s3://state/lock", "runner", "reaper", 7, "2030-07-01T04:17:00Z")


class Team:
    """A project whose one stack the reaper holds for a while, on a clock that is a number."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.held_until = 0.0
        self.tries: list[float] = []
        self.gone = False
        self.stacks = self

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def holders(self, stack: str) -> list[Holder]:
        assert stack == STACK
        if self.gone:
            raise NoStackError(f"there is no stack {stack}")
        return [REAPER] if self.seconds < self.held_until else []

    def work(self, *_: Any) -> str:
        """What takes the stack's lock, and is refused as flow/stacks.py refuses it."""
        self.tries.append(self.seconds)
        if self.seconds < self.held_until:
            raise FlowError(f"another update is running: {REAPER}", code=BUSY)
        return "done"


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch) -> Team:
    made = Team()
    monkeypatch.setattr(waiting, "time", made)
    monkeypatch.setattr(project, "find", lambda: made)
    return made


def waited(team: Any, work: Callable[[], str] | None = None) -> str:
    done: str = waiting.when_idle(team, STACK, work or team.work)
    return done


def test_a_stack_that_nobody_holds_is_not_waited_for(team: Team) -> None:
    assert waited(team) == "done"
    assert (team.tries, team.seconds) == ([0.0], 0.0)


def test_a_busy_stack_is_looked_at_until_it_is_idle_and_only_then_worked_on_again(
    team: Team, capsys: pytest.CaptureFixture[str]
) -> None:
    team.held_until = 130.0
    assert waited(team) == "done"
    assert team.tries == [0.0, 140.0]
    (line,) = capsys.readouterr().err.splitlines()
    assert str(REAPER) in line
    assert "waiting for it, for up to 10 min" in line


def test_one_that_is_taken_again_before_the_run_has_it_is_waited_for_again(team: Team) -> None:
    busy = 3

    def work() -> str:
        nonlocal busy
        busy -= 1
        if busy >= 0:
            raise FlowError("another update is running", code=BUSY)
        return team.work()

    assert waited(team, work) == "done"
    assert team.tries == [60.0]


def test_after_ten_minutes_it_fails_as_a_persons_command_does_at_once(team: Team) -> None:
    team.held_until = 3600.0
    with pytest.raises(FlowError, match="another update is running: runner@reaper") as refusal:
        waited(team)
    assert refusal.value.code == BUSY
    assert team.tries == [0.0, 600.0]


def test_a_stack_that_is_gone_meanwhile_is_waited_for_no_more(team: Team) -> None:
    team.gone = True
    refusals = [FlowError("another update is running", code=BUSY)]

    def work() -> str:
        if refusals:
            raise refusals.pop()
        return "made anew"

    assert waited(team, work) == "made anew"
    assert team.seconds == waiting.EVERY_SECONDS


def test_what_fails_for_another_reason_is_not_tried_again(team: Team) -> None:
    def work() -> str:
        team.work()
        raise FlowError("no disk")

    with pytest.raises(FlowError, match="no disk"):
        waited(team, work)
    assert team.tries == [0.0]


def a_run(name: str) -> Run:
    ref, event = "refs/heads/feature-demo/x", {"ref": "feature-demo/x"}
    return Run(name, ref, "4f0c" * 10, "example-org/fieldwork", "ada", event, "", "", "")


def test_a_push_while_the_reaper_ends_its_demo_brings_it_up_again(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = deploying.Deployed(STACK, "dev", "https://x", "1", "", "r", "", None, 9, {})
    monkeypatch.setattr(deploying, "deploy", lambda *_: team.work() and made)
    monkeypatch.setattr(deploying, "application_for", lambda *_: None)
    team.held_until = 90.0
    jobs.deploy(a_run("push"))
    assert team.tries == [0.0, 100.0]


def test_a_deleted_branchs_demo_that_somebody_works_on_is_ended_after_that(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demos, "end", lambda *_: team.work() and {"gone": True, "dump": None})
    team.held_until = 90.0
    jobs.end(a_run("delete"))
    assert team.tries == [0.0, 100.0]
