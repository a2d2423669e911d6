"""Demos that sleep: what stays, what is refused, what wakes them, and what they are told as."""

from pathlib import Path
from typing import Any, cast

import pulumi
import pytest
from rich.console import Console

from flow import (
    demos,
    locks,
    machines,
    pricing,
    reaping,
    rebuild_plan,
    saving,
    server,
    sleeping,
    state,
    survey,
)
from flow.commands.status import table
from flow.errors import FlowError
from flow.machines import Sight
from flow.project import Project
from flow.results import Result
from flow.stages import Stages
from planning import cloud
from tests.unit.conftest import Engine, RunProgram
from tests.unit.test_cli_rebuild import exported
from tests.unit.test_cli_survey import PRICING
from tests.unit.test_program import (
    BASE,
    hetzner_sells_everything,
    recorded,
    the_registry_has_every_version,
)

__all__ = ["hetzner_sells_everything", "the_registry_has_every_version"]
DEMO = "feature-demo-x"
CONFIG = {**BASE, "zone": "example.org"}
GONE = {"Server", "VolumeAttachment", "Command"}


def kinds(engine: Engine) -> list[str]:
    return sorted(each.type.rpartition(":")[2] for each in engine.registered if each.custom)


def again(run_program: RunProgram, engine: Engine, config: dict[str, Any]) -> Engine:
    """The next run of the demo, with the state that the last one left."""
    engine.state = recorded(engine)
    engine.registered = []
    return run_program(DEMO, config)


# -- the program -------------------------------------------------------------------------------


def test_asleep_a_demo_has_no_server_and_keeps_all_that_outlives_one(
    run_program: RunProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = run_program(DEMO, CONFIG)
    awake, outputs = kinds(engine), dict(engine.outputs)
    monkeypatch.setattr("time.time", lambda: float(outputs["expires"]) - 1000)
    again(run_program, engine, {**CONFIG, "asleep": "true"})
    assert kinds(engine) == [each for each in awake if each not in GONE]
    asleep = engine.outputs["asleep"]
    assert asleep["serverType"] == "cx23"
    assert asleep["location"] == "fsn1"
    assert asleep["since"] == int(outputs["expires"]) - 1000
    for name in ("url", "version", "release", "ipv4", "ipv6", "expires", "ssh"):
        assert engine.outputs[name] == outputs[name], name
    # A run more sleeps on, and remembers since when.
    again(run_program, engine, {**CONFIG, "asleep": "true"})
    assert engine.outputs["asleep"] == asleep


def test_any_up_wakes_it_with_the_release_it_had(
    run_program: RunProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = run_program(DEMO, CONFIG)
    awake, outputs = kinds(engine), dict(engine.outputs)
    again(run_program, engine, {**CONFIG, "asleep": "true"})
    monkeypatch.setattr(cloud, "orphan", lambda **_: None)
    again(run_program, engine, CONFIG)
    assert kinds(engine) == awake
    assert "asleep" not in engine.outputs
    for name in ("url", "version", "release", "ipv4", "expires"):
        assert engine.outputs[name] == outputs[name], name


def test_one_that_wakes_where_there_is_no_room_is_told_before_anything_is_made(
    run_program: RunProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = run_program(DEMO, CONFIG)
    again(run_program, engine, {**CONFIG, "asleep": "true"})
    monkeypatch.setattr(cloud, "orphan", lambda **_: None)

    def full(**wanted: Any) -> None:
        assert wanted["locations"] == ["fsn1"]
        raise cloud.CloudError("no room")

    monkeypatch.setattr(cloud, "place", full)
    with pytest.raises(cloud.CloudError, match="no room"):
        again(run_program, engine, CONFIG)
    assert engine.registered == []


@pytest.mark.parametrize(
    ("config", "cause"),
    [
        ({"volumeSize": "0"}, r"server's own disk \(.*db"),
        ({"version": "9.9.9"}, "leave version out"),
    ],
)
def test_what_would_lose_data_or_deploy_nothing_is_refused_by_the_program_itself(
    run_program: RunProgram, config: dict[str, str], cause: str
) -> None:
    engine = run_program(DEMO, {**CONFIG, "volumeSize": config.get("volumeSize", "10")})
    with pytest.raises(pulumi.RunError, match=cause):
        again(run_program, engine, {**CONFIG, **config, "asleep": "true"})
    assert engine.registered == []


def test_what_was_never_deployed_cannot_sleep(run_program: RunProgram, engine: Engine) -> None:
    with pytest.raises(pulumi.RunError, match="leave version out, or deploy it first"):
        run_program(DEMO, {**CONFIG, "asleep": "true"})
    assert engine.registered == []


def test_a_stage_never_sleeps(run_program: RunProgram) -> None:
    with pytest.raises(pulumi.RunError, match="staging stays awake"):
        run_program("staging", {**CONFIG, "asleep": "true"})


# -- flow demo sleep ---------------------------------------------------------------------------


class FakeStacks:
    """One demo's stack: what was done to it, and its tag."""

    def __init__(self, left: Any) -> None:
        self.left = left
        self.did: list[Any] = []
        self.tags: dict[str, str] = {}
        self.busy: list[locks.Holder] = []

    def names(self, _groups: object = ()) -> list[str]:
        return [DEMO]

    def state(self, *_: Any, **__: Any) -> Any:
        return self.left

    def holders(self, _: str) -> list[locks.Holder]:
        return self.busy

    def preview(self, *_: Any, settings: Any) -> Result:
        self.did.append(("preview", settings))
        return Result({}, "")

    def up(self, *_: Any, settings: Any) -> Result:
        self.did.append(("up", settings))
        if settings.get("asleep"):
            fall_asleep(self.left)
        return Result({"delete": 4}, "")

    def mark(self, _: str, key: str, value: str) -> None:
        self.tags[key] = value

    def tag(self, _: str, key: str) -> str:
        return self.tags.get(key, "")


class FakeProject:
    """A project with that stack."""

    def __init__(self, left: Any) -> None:
        self.stacks = FakeStacks(left)


def fall_asleep(left: Any) -> None:
    left["resources"] = [
        each
        for each in left["resources"]
        if not each["type"].endswith((":Server", ":VolumeAttachment", ":Command"))
    ]
    left["resources"][0]["outputs"]["asleep"] = {
        "server": "42",
        "serverType": "cx23",
        "location": "fsn1",
        "since": 1,
    }


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Hetzner and the agent: `server` is its status, `dump` what saving answers or raises."""
    found: dict[str, Any] = {"server": "running", "dump": "dumps/x.age", "did": []}

    class Machines:
        def look(self, *_: Any) -> Sight:
            return Sight(found["server"])

        def shut_down(self, server_id: str, _: Any) -> str:
            found["did"].append(("shut down", server_id))
            return "cleanly"

    def save(*_: Any) -> str | None:
        found["did"].append(("dump",))
        if isinstance(found["dump"], Exception):
            raise found["dump"]
        return cast(str | None, found["dump"])

    monkeypatch.setattr(machines, "of", lambda *_: Machines())
    monkeypatch.setattr(saving, "save", save)
    return found


def sleep(project: FakeProject, **how: Any) -> dict[str, Any]:
    with Stages() as stages:
        return sleeping.sleep(cast(Project, project), DEMO, stages, **how)


def test_it_is_checked_saved_shut_down_and_only_then_deleted(asked: dict[str, Any]) -> None:
    project = FakeProject(exported(DEMO))
    asked["did"] = project.stacks.did
    done = sleep(project)
    assert project.stacks.did == [
        ("preview", {"version": "", "asleep": True}),
        ("dump",),
        ("shut down", "42"),
        ("up", {"version": "", "asleep": True}),
    ]
    assert done["dump"] == "dumps/x.age"
    assert project.stacks.tags[sleeping.MARK] == "42@dumps/x.age"
    again = sleep(project)
    assert again["changes"] == {}
    assert len(project.stacks.did) == 4


def test_one_that_was_stopped_half_way_goes_on_and_keeps_its_dump(asked: dict[str, Any]) -> None:
    project = FakeProject(exported(DEMO))
    project.stacks.tags[sleeping.MARK] = "42@dumps/x.age"
    asked["server"] = "off"
    sleep(project)
    assert asked["did"] == []
    found = state.parse(project.stacks.left)
    assert sleeping.dump_of(cast(Project, project), DEMO, found) == sleeping.Dump("dumps/x.age")


def test_a_demo_that_is_being_deployed_is_not_stopped_under_it(asked: dict[str, Any]) -> None:
    project = FakeProject(exported(DEMO))
    project.stacks.busy = [locks.Holder("s3://x", "ada", "elsewhere", 7, "2031-05-31T09:00:00Z")]
    with pytest.raises(FlowError, match="Nothing was changed") as refused:
        sleep(project)
    assert refused.value.code == 3
    assert (project.stacks.did, asked["did"]) == ([], [])


def test_a_dump_that_fails_leaves_the_demo_awake(asked: dict[str, Any]) -> None:
    project = FakeProject(exported(DEMO))
    asked["dump"] = FlowError("the server does not answer")
    with pytest.raises(FlowError, match="does not answer"):
        sleep(project)
    assert [what for what, *_ in project.stacks.did] == ["preview"]
    asked["dump"] = saving.NoDumpError("no service says how")
    sleep(project)
    assert project.stacks.tags[sleeping.MARK] == "42@"


def test_data_on_the_servers_own_disk_keeps_a_demo_awake_and_the_remedy_is_named(
    asked: dict[str, Any],
) -> None:
    project = FakeProject(exported(DEMO, gone=("volume",)))
    with pytest.raises(FlowError, match=r"own disk \(db\)") as refused:
        sleep(project)
    assert "volumeSize 10" in refused.value.remedy
    assert (project.stacks.did, asked["did"]) == ([], [])


# -- asleep ------------------------------------------------------------------------------------


def sleeper(**outputs: Any) -> state.State:
    left = exported(DEMO)
    fall_asleep(left)
    left["resources"][0]["outputs"] |= outputs
    return state.parse(left)


def test_its_dump_is_the_one_of_its_end_and_without_one_it_is_not_ended(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = exported(DEMO)
    fall_asleep(left)
    project = FakeProject(left)
    ended: list[str] = []

    def destroy(*_: Any) -> dict[str, Any]:
        ended.append(DEMO)
        return {"environment": DEMO, "changes": {}}

    monkeypatch.setattr("flow.destroying.destroy", destroy)

    def end(**how: Any) -> dict[str, Any]:
        with Stages() as stages:
            return demos.end(cast(Project, project), DEMO, stages, **how)

    # Of another server, and so of an earlier sleep.
    project.stacks.tags[sleeping.MARK] = "41@dumps/old.age"
    with pytest.raises(FlowError, match="its data was not saved"):
        end()
    assert ended == []
    project.stacks.tags[sleeping.MARK] = "42@dumps/x.age"
    assert end()["dump"] == "dumps/x.age"
    assert end(dumps=demos.Dumps(wanted=False))["dump"] is None
    project.stacks.tags[sleeping.MARK] = "42@-"
    assert end()["dump"] is None
    assert asked["did"] == []


def test_a_new_date_does_not_wake_it(monkeypatch: pytest.MonkeyPatch) -> None:
    left = exported(DEMO)
    fall_asleep(left)
    wishes: list[Any] = []
    monkeypatch.setattr("flow.deploying.deploy", lambda _, wish, __: wishes.append(wish))
    with Stages() as stages:
        demos.extend(cast(Project, FakeProject(left)), DEMO, "2033-01-01", stages)
        demos.extend(cast(Project, FakeProject(exported(DEMO))), DEMO, "2033-01-01", stages)
        sleeping.wake(cast(Project, FakeProject(left)), DEMO, stages)
    told = [each.settings() for each in wishes]
    assert told == [
        {"version": "", "until": "2033-01-01", "asleep": True},
        {"until": "2033-01-01"},
        {"version": "", "asleep": False},
    ]


def test_the_reaper_goes_by_its_end_as_for_any_other() -> None:
    def judge(expires: int, mark: str = "") -> str:
        return reaping.judge(DEMO, sleeper(expires=expires), mark, 2_000_000_000).action

    assert judge(2_000_500_000) == "keep"
    assert judge(1_999_999_000) == "announce"
    assert judge(1_999_800_000, "1999800000@1999900000") == "end"


def test_status_says_that_it_sleeps_and_what_that_saves(capsys: pytest.CaptureFixture[str]) -> None:
    prices = pricing.parse(PRICING)
    found = sleeper()
    assert survey._health(found) == "asleep"
    row = survey.row(DEMO, found, "asleep", prices)
    assert row.asleep
    assert row.saved_a_day == pytest.approx(3.49 * 12 / 365.25, abs=1e-4)
    assert row.output()["saved_a_day"] == row.saved_a_day
    Console(width=200).print(table([row], 0.0))
    assert "(saves 0.11)" in capsys.readouterr().out
    awake = survey.row(DEMO, state.parse(exported(DEMO)), "healthy", prices)
    assert (awake.asleep, awake.saved_a_day) == (False, None)


def test_one_that_has_not_woken_whole_is_no_sleeper() -> None:
    left = exported(DEMO)
    left["resources"][0]["outputs"]["asleep"] = {"server": "41"}
    found = state.parse(left)
    row = survey.row(DEMO, found, "no answer", pricing.parse(PRICING))
    assert (row.asleep, row.saved_a_day) == (False, None)
    assert survey._health(found) != "asleep"
    server.check_awake(DEMO, found)


def test_what_needs_its_server_says_that_it_sleeps() -> None:
    with pytest.raises(FlowError, match="is asleep") as told:
        server.connection(DEMO, sleeper(deploy_key="k", ssh="ssh root@192.0.2.7"))
    assert told.value.remedy == f"flow demo wake {DEMO}"
    with pytest.raises(FlowError, match="is asleep") as told:
        rebuild_plan.make(DEMO, sleeper(), Sight(), rebuild_plan.Settings("cx23", ("fsn1",), 10))
    assert told.value.remedy == f"flow demo wake {DEMO}"


def test_a_dumps_place_that_is_long_fits_its_tag(asked: dict[str, Any], tmp_path: Path) -> None:
    asked["dump"] = f"{tmp_path}/{'x' * 400}"
    project = FakeProject(exported(DEMO))
    sleep(project)
    assert len(project.stacks.tags[sleeping.MARK]) <= 256
