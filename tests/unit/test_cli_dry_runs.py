"""What --dry-run says: a sentence for people, JSON with --json; and that nothing is done."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flow import app, locks, project, sleeping, state_copies
from flow.locks import BUSY
from flow.state_copies import Copies
from tests.unit.team_stacks import Stacks, project_of

DEMO = "feature-demo-x"
CHECKPOINT = {"version": 3, "checkpoint": {"latest": {"resources": [{"urn": "x"}]}}}


class Watched(Stacks):
    """Stacks with copies of their states in a folder, and what was broken of their locks."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.unlocked: list[str] = []

    def copies(self, _: str) -> Copies | None:
        return state_copies.at({"PULUMI_BACKEND_URL": f"file://{self.folder}"}, "p")

    def unlock(self, name: str, _: list[locks.Holder]) -> None:
        self.unlocked.append(name)


@pytest.fixture
def stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    made = Watched(tmp_path / "state")
    made.states = {"staging": {"resources": []}, DEMO: {"resources": []}}
    team = project_of(tmp_path, made, monkeypatch)
    monkeypatch.setattr(project, "find", lambda: team)
    monkeypatch.setattr(sleeping, "check", lambda *_: None)
    monkeypatch.delenv("RUNNER_ENVIRONMENT", raising=False)
    file = made.folder / ".pulumi/stacks/p/staging.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(CHECKPOINT))
    return made


@pytest.fixture
def flow(stacks: Watched, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `flow … --dry-run`, which has to end well; what it says on standard output."""

    def run(*arguments: str) -> str:
        assert app.run([*arguments, "--dry-run"]) == 0
        return " ".join(capsys.readouterr().out.split())

    return run


def held(host: str, pid: int) -> locks.Holder:
    return locks.Holder("file:///x/staging/a.json", "ada", host, pid, "2031-05-31T09:00:00Z")


def dead() -> locks.Holder:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return held(socket.gethostname(), process.pid)


def test_an_unlock_says_whose_lock_it_would_break(flow: Any, stacks: Watched) -> None:
    assert flow("unlock", "staging") == "staging is not locked"
    stacks.locked["staging"] = holder = dead()
    assert flow("unlock", "staging") == f"the lock of {holder} would be broken"
    told = json.loads(flow("unlock", "staging", "--json"))
    assert told == {"environment": "staging", "would_break": [str(holder)]}
    assert stacks.unlocked == []
    assert app.run(["unlock", "staging"]) == 0
    assert stacks.unlocked == ["staging"]


def test_an_unlock_that_would_be_refused_is_refused(
    stacks: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    stacks.locked["staging"] = held("elsewhere", os.getpid())
    assert app.run(["unlock", "staging", "--dry-run"]) == BUSY
    assert "flow unlock staging --host elsewhere" in capsys.readouterr().err


def test_a_named_machines_lock_would_be_broken_and_nobody_is_asked(
    flow: Any, stacks: Watched
) -> None:
    stacks.locked["staging"] = held("elsewhere", os.getpid())
    assert "would be broken" in flow("unlock", "staging", "--host", "elsewhere")
    assert stacks.unlocked == []


def test_a_copy_of_a_state_is_said_to_be_due_until_it_is_there(flow: Any, stacks: Watched) -> None:
    copies = stacks.copies("staging")
    assert copies is not None
    assert flow("state", "backup", "staging") == "staging would be copied"
    assert copies.found("staging") == []
    copies.take("staging")
    assert "nothing has changed since its newest copy" in flow("state", "backup", "staging")
    told = json.loads(flow("state", "backup", "staging", "--json"))
    assert told == {"environment": "staging", "would_copy": False}


def test_a_state_without_resources_has_no_copy_to_come(flow: Any, stacks: Watched) -> None:
    assert json.loads(flow("state", "backup", DEMO, "--json"))["would_copy"] is False


def test_a_restore_of_a_state_names_the_copy(flow: Any, stacks: Watched) -> None:
    copies = stacks.copies("staging")
    assert copies is not None
    made = copies.take("staging")
    told = f"copy {made} would take the place of the state of staging"
    assert flow("state", "restore", "staging") == told
    assert json.loads(flow("state", "restore", "staging", "--json"))["would_restore"] == made


@pytest.mark.parametrize(
    ("arguments", "plan"),
    [
        (("extend", "--until", "2131-05-31"), "would end on 2131-05-31"),
        (("end",), "would be removed, its data saved first"),
        (("end", "--no-dump"), "would be removed, its data lost"),
        (("sleep",), "would sleep"),
        (("wake",), "would wake; one that is awake stays as it is"),
    ],
)
def test_what_would_become_of_a_demo_is_a_sentence_and_json_where_asked_for(
    arguments: tuple[str, ...], plan: str, flow: Any, stacks: Watched
) -> None:
    verb, *options = arguments
    assert flow("demo", verb, DEMO, *options) == f"{DEMO} {plan}"
    told = json.loads(flow("demo", verb, DEMO, *options, "--json"))
    assert (told["environment"], told["exists"]) == (DEMO, True)
    assert DEMO in stacks.states


def test_of_a_demo_that_is_not_there_a_dry_run_says_so(flow: Any) -> None:
    said = flow("demo", "end", "feature-demo/gone")
    assert said == "there is no feature-demo-gone: nothing would be done"
