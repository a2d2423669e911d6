"""The rehearsal's own assertions: each fails where what it asserts does not hold."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from flow import app, rehearsal
from flow.commands import rehearse
from flow.errors import FlowError
from flow.rehearsal import Rehearsal
from flow.results import Result
from flow.sandbox_project import SandboxProject
from flow.stages import Stages
from flow.story import acts, failing, recovering

ACTS = (
    *("tidy", "development", "staging", "hotfix", "bad_release", "production", "rebuilt"),
    *("drilled", "demo", "outlived"),
)


class FakeStacks:
    """An engine where everything goes well, but for what a test sets otherwise."""

    def __init__(self) -> None:
        self.second_up = Result({"same": 20}, "")
        self.made = ["dev", "staging", "prod"]

    def names(self) -> list[str]:
        return self.made

    def up(self, _name: str, _note: Any) -> Result:
        return self.second_up


class World:
    """What the rehearsal sees, as a test would have it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.stacks = FakeStacks()
        self.pushed: str | None = "sha256:1"
        self.acted: list[str] = []
        self.fails = ""
        credentials = {
            "endpoint": "http://127.0.0.1:1/v1",
            "registry": {"server": "registry.test"},
            "github": {"url": "http://127.0.0.1:2"},
        }
        team = SimpleNamespace(seed=lambda: None, url="http://127.0.0.1:2")
        runs = SimpleNamespace(spans=[])
        story = SimpleNamespace(urls={"staging": "https://staging.test"}, spans=[], runs=runs,
                                began=0.0)  # fmt: skip
        monkeypatch.setattr(rehearsal, "Sandbox", lambda _: self)
        monkeypatch.setattr(rehearsal, "SandboxTeam", lambda *_: team)
        monkeypatch.setattr(SandboxProject, "write", lambda _: None)
        monkeypatch.setattr(SandboxProject, "stacks", property(lambda _: self.stacks))
        monkeypatch.setattr(
            rehearsal, "publish", lambda *_: {"images": {"api": {"digest": self.pushed}}}
        )
        monkeypatch.setattr(acts, "Team", lambda *_: story)
        for name in ACTS:
            where = next(each for each in (acts, failing, recovering) if hasattr(each, name))
            monkeypatch.setattr(where, name, self.act(name))
        self.credentials = lambda: credentials
        self.stages = Stages(Console(file=io.StringIO()))
        (folder / "project").mkdir()
        (folder / "Pulumi.yaml").write_text("name: deployment-flow\n")
        for stack in ("dev", "staging", "prod"):
            (folder / f"project/Pulumi.{stack}.yaml").write_text("config: {}\n")
        self.rehearsal = Rehearsal(folder, folder, self.stages)

    def act(self, name: str) -> Callable[..., str]:
        def acted(*_: Any) -> str:
            self.acted.append(name)
            if name == self.fails:
                raise FlowError(f"{name} went wrong")
            return ""

        return acted

    def up(self, _note: Any) -> None:
        """The sandbox runs."""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    return World(monkeypatch, tmp_path)


def test_all_acts_are_played_in_order(world: World) -> None:
    world.rehearsal.run()
    assert {stage.state for stage in world.stages.all} == {"done"}
    assert world.acted == list(ACTS)


def test_what_was_seen_until_an_act_failed_is_left_on_the_page(world: World) -> None:
    world.fails = "hotfix"
    with pytest.raises(FlowError, match="hotfix went wrong"):
        world.rehearsal.run()
    assert world.acted == list(ACTS[:4])
    assert "Rehearsal of 1970-01-01" in world.rehearsal.report.read_text()


def test_a_stack_that_was_not_made_fails(world: World) -> None:
    world.stacks.made = ["dev", "staging"]
    with pytest.raises(FlowError, match="prod"):
        world.rehearsal.run()


def test_an_image_that_is_not_in_the_registry_fails(world: World) -> None:
    world.pushed = None
    with pytest.raises(FlowError, match="not in the registry: api"):
        world.rehearsal.run()


def test_a_second_up_that_changes_something_fails(world: World) -> None:
    output = " ~  command:local:Command staging-release updated (3s) [diff: ~stdin]\n    29 same"
    world.stacks.second_up = Result({"same": 19, "update": 1}, output)
    with pytest.raises(FlowError, match=r"up of staging .*: command:local:Command staging-release"):
        world.rehearsal.run()


def test_a_version_in_a_stages_file_is_in_nothings_way(world: World, tmp_path: Path) -> None:
    file = tmp_path / "project/Pulumi.staging.yaml"
    file.write_text("config: {deployment-flow:hsts: true, deployment-flow:version: 1.1.0}\n")
    world.rehearsal.run()
    assert file.read_text() == "config:\n  deployment-flow:hsts: true\n"


@pytest.mark.parametrize(
    ("ran_before", "arguments", "stopped"),
    [(False, [], True), (False, ["--keep"], False), (True, [], False)],
)
def test_the_sandbox_is_left_as_it_was_found_unless_told_to_keep_it(
    ran_before: bool,
    arguments: list[str],
    stopped: bool,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    downs: list[str] = []

    class FakeSandbox:
        def __init__(self, _directory: Path) -> None:
            """Nothing to start."""

        def status(self) -> dict[str, bool]:
            return {"running": ran_before}

        def down(self) -> None:
            downs.append("down")

    monkeypatch.setattr(rehearse, "Sandbox", FakeSandbox)
    monkeypatch.setattr(rehearse, "Rehearsal", lambda *_: world.rehearsal)
    assert app.run(["rehearse", *arguments]) == 0
    assert bool(downs) is stopped
    out, err = capsys.readouterr()
    assert "total" in out
    assert ("\nstaging: https://staging.test" in err) is not stopped
    assert "rehearsal.html" in err


def test_a_program_is_told_the_stages_and_their_seconds(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox = SimpleNamespace(status=lambda: {"running": True})
    monkeypatch.setattr(rehearse, "Sandbox", lambda _: sandbox)
    monkeypatch.setattr(rehearse, "Rehearsal", lambda *_: world.rehearsal)
    monkeypatch.setattr(rehearse, "Stages", lambda: world.stages)
    assert app.run(["rehearse", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)[0]
    assert first["stage"] == "sandbox: Hetzner, GitHub, DNS, certificates, registry"
    assert (first["state"], type(first["seconds"])) == ("done", float)
