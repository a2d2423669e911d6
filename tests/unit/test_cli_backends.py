"""Each group of stacks has what opens its own state; a team may keep one for all."""

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import naming
from flow import backends, demos, survey
from flow.commands import execute
from flow.errors import FlowError
from flow.onboarding import doctor, github_doctor, planning
from flow.project import Project
from flow.stacks import Stacks
from flow.stages import Stages

ONE = {"PULUMI_BACKEND_URL": "s3://all", "PULUMI_CONFIG_PASSPHRASE": "of all"}
THREE = {
    **ONE,
    "AWS_ACCESS_KEY_ID": "key of all",
    "PULUMI_BACKEND_URL_PROD": "s3://prod",
    "PULUMI_CONFIG_PASSPHRASE_PROD": "of prod",
    "AWS_ACCESS_KEY_ID_PROD": "key of prod",
    "PULUMI_BACKEND_URL_DEMO": "s3://demo",
    "PULUMI_CONFIG_PASSPHRASE_DEMO": "of demos",
}
# An engine that tells the backend and passphrase it was given, and lists what is on the backend.
ENGINE = """\
#!/usr/bin/env python3
import json, os, sys
if sys.argv[1:] == ["version"]:
    print("v3.250.0")
    sys.exit()
there = {"s3://all": ["dev", "staging"], "s3://prod": ["prod"], "s3://demo": ["feature-demo-x"]}
if os.environ.get("DRILL"):
    there["s3://prod"] += [os.environ["DRILL"]]
if os.environ.get("ASTRAY"):
    there["s3://all"] += ["prod", "feature-demo-y"]
where = os.environ.get("PULUMI_BACKEND_URL", "")
with open("told.jsonl", "a") as told:
    told.write(json.dumps({"arguments": sys.argv[2:], "environment": dict(os.environ)}) + "\\n")
if where == os.environ.get("GONE"):
    sys.exit("error: no such bucket")
if sys.argv[2:4] == ["stack", "ls"]:
    print(json.dumps([{"name": each, "current": False} for each in there[where]]))
elif sys.argv[2:4] == ["stack", "export"]:
    print(json.dumps({"deployment": {}}))
else:
    print("{}")
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The engine, in a project folder; nothing of this test's own shell reaches it."""
    for name in (*backends.ENDED, *ONE, "AWS_ACCESS_KEY_ID", "GONE", "ASTRAY", "DRILL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "Pulumi.yaml").write_text("name: deployment-flow\nruntime: python\n")
    program = tmp_path / "bin/pulumi"
    program.parent.mkdir()
    program.write_text(ENGINE)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def told(engine: Path) -> list[dict[str, Any]]:
    """What the engine was called with, in order."""
    file = engine.parent.parent / "told.jsonl"
    return [json.loads(each) for each in file.read_text().splitlines()] if file.exists() else []


def stacks(engine: Path, environment: Mapping[str, str]) -> Stacks:
    return Stacks(engine.parent.parent, environment, engine)


def test_a_group_is_opened_by_its_own_and_by_nothing_of_another_s(engine: Path) -> None:
    made = stacks(engine, THREE)
    for stack in ("staging", "prod", "feature-demo-x"):
        made.state(stack)
    seen = [each["environment"] for each in told(engine)]
    assert [each["PULUMI_BACKEND_URL"] for each in seen] == ["s3://all", "s3://prod", "s3://demo"]
    assert [each["PULUMI_CONFIG_PASSPHRASE"] for each in seen] == ["of all", "of prod", "of demos"]
    # A key that is not given with an ending is the one for all.
    assert [each["AWS_ACCESS_KEY_ID"] for each in seen] == [
        "key of all",
        "key of prod",
        "key of all",
    ]
    assert "of prod" not in str([seen[0], seen[2]])
    assert "of demos" not in str(seen[:2])


def test_what_is_on_three_backends_is_listed_together_and_one_is_asked_once(engine: Path) -> None:
    everything = ["dev", "staging", "prod", "feature-demo-x"]
    assert stacks(engine, THREE).names() == everything
    assert stacks(engine, THREE).names((backends.DEMO,)) == ["feature-demo-x"]
    assert len(told(engine)) == 4
    assert stacks(engine, ONE).names() == ["dev", "staging"]
    assert len(told(engine)) == 5


def test_the_demos_alone_are_asked_for_demos(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(engine.parent.parent, engine.parent.parent, THREE)
    monkeypatch.setattr("flow.project.engine", lambda _: engine)
    assert demos.names(project) == ["feature-demo-x"]
    assert {each["environment"]["PULUMI_BACKEND_URL"] for each in told(engine)} == {"s3://demo"}


def test_a_state_that_cannot_be_asked_hides_no_other(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flow.project.engine", lambda _: engine)
    monkeypatch.setenv("GONE", "s3://prod")
    project = Project(engine.parent.parent, engine.parent.parent, THREE)
    names, unread = survey.listed(project)
    assert names == ["dev", "staging", "feature-demo-x"]
    assert [each.environment for each in unread] == ["prod"]
    assert "no such bucket" in unread[0].problem
    monkeypatch.setenv("GONE", "s3://all")
    with pytest.raises(FlowError, match="no such bucket"):
        survey.listed(Project(engine.parent.parent, engine.parent.parent, ONE))


DRILL = "feature-demo-drill--prod-ab12"


def test_what_a_killed_drill_of_production_left_is_found_in_production_s_state_alone(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flow.project.engine", lambda _: engine)
    monkeypatch.setenv("DRILL", DRILL)
    project = Project(engine.parent.parent, engine.parent.parent, THREE)
    assert DRILL in survey.listed(project)[0]
    assert DRILL not in demos.names(project)
    assert project.stacks.astray() == {}
    project.stacks.state(DRILL)
    opened = told(engine)[-1]["environment"]
    assert (opened["PULUMI_BACKEND_URL"], opened["PULUMI_CONFIG_PASSPHRASE"]) == (
        "s3://prod",
        "of prod",
    )
    assert backends.opening(DRILL, THREE)["PULUMI_CONFIG_PASSPHRASE"] == "of prod"


def test_what_a_drill_left_is_ended_where_it_is(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flow.project.engine", lambda _: engine)
    monkeypatch.setenv("DRILL", DRILL)
    ended: list[str] = []

    def destroy(_: Project, stack: str, __: Stages) -> dict[str, Any]:
        ended.append(stack)
        return {}

    monkeypatch.setattr("flow.destroying.destroy", destroy)
    project = Project(engine.parent.parent, engine.parent.parent, THREE)
    with Stages() as stages:
        demos.end(project, DRILL, stages, demos.Dumps(wanted=False))
    assert ended == [DRILL]


@given(st.text(st.sampled_from("drilpo-/ab12"), max_size=30))
def test_no_branch_is_deployed_into_the_state_of_production(rest: str) -> None:
    for branch in (rest, f"feature-demo/drill--prod-{rest}", f"feature-demo-drill--prod-{rest}"):
        assert backends.group_of(naming.stack_of_branch(branch)) == "demo"


def test_a_passphrase_may_be_in_a_file_of_the_group_s_own(tmp_path: Path) -> None:
    file = tmp_path / "word"
    file.write_text("of prod\n")
    given = {**ONE, "PULUMI_CONFIG_PASSPHRASE_FILE_PROD": str(file)}
    assert backends.credentials("prod", given)["PULUMI_CONFIG_PASSPHRASE"] == "of prod"
    assert backends.passphrase("prod", given) == "of prod"
    assert backends.passphrase("demo", given) == "of all"
    with pytest.raises(FlowError, match="PULUMI_CONFIG_PASSPHRASE_FILE_DEMO"):
        backends.credentials("demo", {"PULUMI_CONFIG_PASSPHRASE_FILE_DEMO": str(tmp_path / "no")})


def test_plain_pulumi_is_given_one_environment_s_and_no_other_s(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *call: started.append(call))
    monkeypatch.setattr("flow.project.find", lambda: Project(engine.parent, engine.parent, THREE))
    monkeypatch.setenv("PATH", f"{engine.parent}{os.pathsep}{os.environ['PATH']}")
    execute.execute("prod", ["pulumi", "preview"])
    ((program, command, environment),) = started
    assert (program, command) == (str(engine), ["pulumi", "preview"])
    assert environment["PULUMI_CONFIG_PASSPHRASE"] == "of prod"
    assert not backends.ENDED & set(environment)
    with pytest.raises(FlowError, match="no `nosuch`") as raised:
        execute.execute("prod", ["nosuch"])
    assert raised.value.code == 127


def test_what_lies_in_another_group_s_state_is_found_and_no_stage_is_made_twice(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flow.project.engine", lambda _: engine)
    monkeypatch.setenv("ASTRAY", "1")
    folder = engine.parent.parent
    project = Project(folder, folder, THREE)
    assert stacks(engine, THREE).names() == ["dev", "staging", "prod", "feature-demo-x"]
    assert stacks(engine, THREE).astray() == {"prod": "nonprod", "feature-demo-y": "nonprod"}
    found = doctor.astray(doctor.Here(project, THREE))
    assert [(each.name, each.state) for each in found] == [
        ("stack prod", "missing"),
        ("stack feature-demo-y", "missing"),
    ]
    with pytest.raises(FlowError, match="prod would be made anew"):
        planning._check_moved(project, ["nonprod", "prod"])
    # One state for all has all of them.
    assert set(stacks(engine, ONE).names()) == {"dev", "staging", "prod", "feature-demo-y"}
    assert stacks(engine, ONE).astray() == {}
    assert doctor.astray(doctor.Here(project, ONE)) == []


# -- the doctor --------------------------------------------------------------------


def test_the_doctor_says_which_groups_are_opened_by_one_thing(tmp_path: Path) -> None:
    here = doctor.Here(Project(tmp_path, tmp_path), ONE)
    (found,) = doctor.apart(here)
    assert found.state == "warning"
    assert "nonprod and prod and demo are in one place" in found.seen
    assert "have one passphrase" in found.seen
    assert "of all" not in str(found)
    (found,) = doctor.apart(doctor.Here(Project(tmp_path, tmp_path), THREE))
    assert found.state == "ok"
    partly = {**THREE, "PULUMI_CONFIG_PASSPHRASE_DEMO": "of prod"}
    (found,) = doctor.apart(doctor.Here(Project(tmp_path, tmp_path), partly))
    assert found.seen.startswith("prod and demo have one passphrase:")


class Hub:
    """GitHub's answers for the environments' variables and secrets."""

    def __init__(self, urls: Mapping[str, str], secrets: Mapping[str, list[str]]) -> None:
        self._urls, self._secrets = urls, secrets

    def get(self, path: str) -> Any:
        return {"name": path.split("/")[2]}

    def facts(self) -> Any:
        return {"default_branch": "main"}

    def names(self, path: str, _key: str) -> dict[str, Any]:
        name = path.split("/")[2]
        if path.endswith("/variables"):
            return {"PULUMI_BACKEND_URL": {"value": self._urls[name]}}
        if path.endswith("/secrets"):
            return {key: {} for key in self._secrets.get(name, [])}
        return {key: {} for key in ("main", "feature-demo/**/*")}


def test_environments_of_runs_with_one_state_are_named() -> None:
    urls = {"flow-nonprod": "s3://a?x=1", "flow-prod": "s3://b", "flow-demo": "s3://b/?x=2"}
    (found,) = github_doctor.states(Hub(urls, {}))  # type: ignore[arg-type]
    assert (found.state, found.seen.partition(":")[0]) == (
        "warning",
        "flow-prod and flow-demo have one",
    )
    (found,) = github_doctor.states(Hub({**urls, "flow-demo": "s3://c"}, {}))  # type: ignore[arg-type]
    assert found.state == "ok"


def test_an_administrators_token_among_the_demos_is_named_and_none_is_asked_for() -> None:
    urls = {"flow-demo": "file:///x"}
    held = ["HCLOUD_TOKEN", "PULUMI_CONFIG_PASSPHRASE"]
    hub: Any = Hub(urls, {"flow-demo": held})
    (found,) = github_doctor.environment_checks(hub, "flow-demo", configured=True)
    # The default branch is admitted, whichever it is: ends and the nightly run are its runs.
    assert found.state == "ok", found.seen
    hub = Hub(urls, {"flow-demo": [*held, "FLOW_GITHUB_TOKEN"]})
    (found,) = github_doctor.environment_checks(hub, "flow-demo", configured=True)
    assert found.state == "warning"
    assert "administrator's" in found.seen
