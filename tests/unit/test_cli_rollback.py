"""`flow rollback`: which release, and what is said of it; the engine is faked."""

import json
from typing import Any

import pytest

from components import history
from flow import app, project, rollback
from flow.errors import FlowError
from flow.results import Result

KEPT = {"revision": "c0ffee", "images": {}, "prefix": "r.test", "compose": "services: {}"}


def entry(number: int, since: int) -> dict[str, Any]:
    return {
        "id": f"r{number}-abc",
        "since": since,
        "release": {**KEPT, "version": f"{number}.0.0"},
    }


def ids(recorded: list[dict[str, Any]]) -> list[str]:
    return [each.id for each in rollback.releases(recorded)]


def test_what_runs_comes_first_and_five_are_kept() -> None:
    recorded: list[dict[str, Any]] = []
    for number in range(1, 8):
        release = {**KEPT, "version": f"{number}.0.0"}
        recorded = history.with_release(recorded, release, f"r{number}-abc", number)
    assert ids(recorded) == ["r7-abc", "r6-abc", "r5-abc", "r4-abc", "r3-abc"]
    again = history.with_release(recorded, recorded[2]["release"], "r5-abc", 99)
    assert ids(again) == ["r5-abc", "r7-abc", "r6-abc", "r4-abc", "r3-abc"]
    assert again[0] == recorded[2]


def test_the_same_release_again_changes_nothing_of_the_history() -> None:
    recorded = [entry(2, 2), entry(1, 1)]
    assert history.with_release(recorded, recorded[0]["release"], "r2-abc", 50) == recorded


def test_the_same_release_on_another_server_is_nothing_to_go_back_to() -> None:
    recorded = [entry(2, 2), entry(1, 1)]
    moved = history.with_release(recorded, recorded[0]["release"], "r2-new", 50)
    assert (ids(moved), moved[0]["since"]) == (["r2-new", "r1-abc"], 2)


@pytest.mark.parametrize(
    ("recorded", "number", "behind"),
    [
        ([], 1, False),
        ([entry(2, 2), entry(1, 1)], 3, False),
        ([entry(2, 2), entry(1, 1)], 2, False),
        ([entry(2, 2), entry(1, 1)], 1, True),
        # Every `up` after the rollback, and forward again.
        ([entry(1, 1), entry(2, 2)], 1, True),
        ([entry(1, 1), entry(2, 2)], 2, False),
    ],
)
def test_a_release_is_behind_while_a_newer_one_ran_before(
    recorded: list[dict[str, Any]], number: int, behind: bool
) -> None:
    assert history.is_behind(recorded, entry(number, 0)["release"]) is behind


@pytest.mark.parametrize(
    ("recorded", "wanted", "chosen"),
    [
        ([entry(2, 2), entry(1, 1)], None, "r1-abc"),
        # After a rollback to 1 and a deploy of 3: what ran before 3, not what was given up.
        ([entry(3, 3), entry(1, 1), entry(2, 2)], None, "r1-abc"),
        ([entry(3, 3), entry(2, 2), entry(1, 1)], "1.0.0", "r1-abc"),
        ([entry(3, 3), entry(2, 2), entry(1, 1)], "r1", "r1-abc"),
    ],
)
def test_it_is_the_one_named_else_the_one_before(
    recorded: list[dict[str, Any]], wanted: str | None, chosen: str
) -> None:
    assert rollback.target("staging", rollback.releases(recorded), wanted).id == chosen


@pytest.mark.parametrize(
    ("recorded", "wanted", "said"),
    [
        ([], None, "has no release yet"),
        ([entry(1, 1)], None, "nothing is known that ran on staging before version 1.0.0"),
        # A rollback of a rollback is no way back to what was given up.
        ([entry(1, 1), entry(2, 2)], None, "nothing is known"),
        ([entry(2, 2), entry(1, 1)], "2.0.0", "runs 2.0.0, release r2-abc, already"),
        ([entry(2, 2), entry(1, 1)], "9.0.0", r"keeps no release 9.0.0; it keeps 1.0.0 \(r1-abc\)"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_is_kept(
    recorded: list[dict[str, Any]], wanted: str | None, said: str
) -> None:
    with pytest.raises(FlowError, match=said) as error:
        rollback.target("staging", rollback.releases(recorded), wanted)
    assert error.value.code == 2


class FakeStacks:
    """A stack that runs version 2 and has run version 1."""

    def __init__(self) -> None:
        self.ups: list[dict[str, Any]] = []

    def state(self, _name: str) -> dict[str, Any]:
        recorded = [entry(2, 2), entry(1, 1)]
        if self.ups:
            recorded.reverse()
        kind = "deployment-flow:index:Environment"
        outputs = {"releases": recorded, "release": recorded[0]["release"]}
        stack = {
            "type": "pulumi:pulumi:Stack",
            "outputs": {"version": recorded[0]["release"]["version"], "url": "https://s.test"},
        }
        return {"resources": [{"type": kind, "outputs": outputs}, stack]}

    def up(self, _name: str, _note: Any, settings: dict[str, Any]) -> Result:
        self.ups.append(settings)
        return Result({"update": 1, "same": 20}, "")


@pytest.fixture
def stacks(monkeypatch: pytest.MonkeyPatch) -> FakeStacks:
    fake = FakeStacks()
    monkeypatch.setattr(project.Project, "stacks", property(lambda _: fake))
    return fake


def test_a_rollback_is_an_up_of_that_release_whatever_version_the_file_pins(
    stacks: FakeStacks, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["rollback", "staging", "--json"]) == 0
    assert stacks.ups == [{"rollback": "r1-abc", "version": ""}]
    assert json.loads(capsys.readouterr().out)["version"] == "1.0.0"


def test_a_dry_run_and_a_list_change_nothing(
    stacks: FakeStacks, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["rollback", "staging", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["to"]["version"] == "1.0.0"
    assert app.run(["rollback", "staging", "--dry-run"]) == 0
    assert "2.0.0 would give way to version 1.0.0, release r1-abc" in capsys.readouterr().err
    assert app.run(["rollback", "staging", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(each["version"], each["current"]) for each in listed] == [
        ("2.0.0", True),
        ("1.0.0", False),
    ]
    assert app.run(["rollback", "staging", "--list"]) == 0
    assert "runs now" in capsys.readouterr().out
    assert stacks.ups == []


def test_production_is_asked_for(stacks: FakeStacks, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["rollback", "prod"]) == 2
    assert "add --yes" in capsys.readouterr().err
    assert stacks.ups == []
    assert app.run(["rollback", "prod", "--yes"]) == 0
    assert len(stacks.ups) == 1
