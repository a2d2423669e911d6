"""The rehearsal's own assertions: each fails where what it asserts does not hold."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flow import app, rehearsal
from flow.commands import rehearse
from flow.errors import FlowError
from flow.looking import Sight
from flow.rehearsal import Rehearsal
from flow.sandbox_project import SandboxProject
from flow.stacks import Result
from flow.stages import Stages

DEMO = "feature-demo-hello"


class FakeStacks:
    """An engine where everything goes well, but for what a test sets otherwise."""

    def __init__(self) -> None:
        self.second_up = Result({"same": 20}, "")
        self.password = "generated-password"
        self.made = ["dev", "staging", "prod"]
        self.ups: list[tuple[str, str | None]] = []

    def names(self) -> list[str]:
        return self.made

    def create(self, name: str) -> None:
        """Nothing to make."""

    def remove(self, name: str) -> None:
        """Nothing to forget."""

    def up(self, name: str, _note: Any, version: str | None = None) -> Result:
        self.ups.append((name, version))
        return self.second_up if version is None else Result({"create": 20}, "")

    def preview(self, name: str) -> Result:
        return Result({"create": 20}, "")

    def destroy(self, name: str, _note: Any) -> Result:
        return Result({"delete": 21}, "")

    def outputs(self, name: str) -> dict[str, Any]:
        return {"url": f"https://{name}.test", "password": self.password if name == DEMO else None}


class World:
    """What the rehearsal sees, as a test would have it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.stacks = FakeStacks()
        self.robots = "noindex"
        self.listed: list[list[str]] = [["server hello"], []]
        self.pushed: str | None = "sha256:1"
        credentials = {
            "endpoint": "http://127.0.0.1:1/v1",
            "registry": {"server": "registry.test"},
            "trust": "/nowhere",
        }
        monkeypatch.setattr(rehearsal, "Sandbox", lambda _: self)
        monkeypatch.setattr(SandboxProject, "write", lambda _: None)
        monkeypatch.setattr(SandboxProject, "stacks", property(lambda _: self.stacks))
        monkeypatch.setattr(
            rehearsal, "publish", lambda *_: {"images": {"api": {"digest": self.pushed}}}
        )
        monkeypatch.setattr(rehearsal, "labelled", lambda *_: self.listed.pop(0))
        monkeypatch.setattr(rehearsal, "look", self.look)
        self.credentials = lambda: credentials
        self.stages = Stages(Console(file=io.StringIO()))
        self.rehearsal = Rehearsal(tmp_path, tmp_path, self.stages, version="1.2.3")

    def up(self, _note: Any) -> None:
        """The sandbox runs."""

    def look(self, url: str, version: str, _trust: Path, *, password: str) -> Sight:
        return Sight(url, version, "TLSv1.3", url, self.robots if password else "")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    return World(monkeypatch, tmp_path)


def test_all_stages_go_through_in_order(world: World) -> None:
    world.rehearsal.run()
    assert {stage.state for stage in world.stages.all} == {"done"}
    assert world.stacks.ups == [
        ("dev", "1.2.3"),
        ("staging", "1.2.3"),
        ("staging", None),
        (DEMO, "1.2.3"),
    ]
    assert set(world.rehearsal.urls) == {"dev", "staging", DEMO}


def test_a_stack_that_was_not_made_fails(world: World) -> None:
    world.stacks.made = ["dev", "staging"]
    with pytest.raises(FlowError, match="prod"):
        world.rehearsal.run()


def test_an_image_that_is_not_in_the_registry_fails(world: World) -> None:
    world.pushed = None
    with pytest.raises(FlowError, match="not in the registry: api"):
        world.rehearsal.run()


def test_a_second_up_that_changes_something_fails(world: World) -> None:
    world.stacks.second_up = Result({"same": 19, "update": 1}, "")
    with pytest.raises(FlowError, match="second up of staging"):
        world.rehearsal.run()


@pytest.mark.parametrize(("password", "robots"), [("", "noindex"), ("generated", "")])
def test_a_demo_that_is_open_to_the_public_fails(world: World, password: str, robots: str) -> None:
    world.stacks.password, world.robots = password, robots
    with pytest.raises(FlowError, match="open to the public"):
        world.rehearsal.run()


@pytest.mark.parametrize(
    ("listed", "said"),
    [([[], []], "lists nothing"), ([["server a"], ["volume b"]], "left behind: volume b")],
)
def test_what_the_api_lists_is_looked_at_before_and_after(
    world: World, listed: list[list[str]], said: str
) -> None:
    world.listed = listed
    with pytest.raises(FlowError, match=said):
        world.rehearsal.run()
    assert world.stages.all[-1].state == "failed"


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
    assert app.run(["rehearse", *arguments]) == 0
    assert bool(downs) is stopped
    out, err = capsys.readouterr()
    assert "total" in out
    assert ("\nstaging: https://staging.test" in err) is not stopped
