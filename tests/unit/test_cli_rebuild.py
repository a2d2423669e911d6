"""`flow rebuild`: which steps, what stops it before anything is touched, and who is asked."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hcloud.server_types import ServerType
from typer.testing import CliRunner

from flow import app, locks, machines, rebuild_plan, rebuilding, state
from flow.errors import FlowError
from flow.machines import Machines, Sight
from flow.rebuild_plan import Settings
from flow.results import Result
from flow.stages import Stages
from tests.unit.hetzner_cloud import FSN1, Cloud
from tests.unit.hetzner_cloud import cloud as cloud

COMPOSE = """
services: {db: {image: x, volumes: [db:/var/lib/db]}}
volumes: {db: {labels: {deployment-flow.data: "true"}}}
"""
URN = "urn:pulumi:prod::deployment-flow::hcloud:index/server:Server::prod-server"
SIGHT = Sight("running", frozenset({"43", "44", "45"}), volume_on="42", sold_in=("fsn1",))
WANTED = Settings("cx23", ("fsn1", "nbg1"), 10)


def exported(
    stack: str, server: Mapping[str, Any] | None = None, gone: tuple[str, ...] = ()
) -> Any:
    """A stack's state as the engine exports it; `gone` names what is left out."""
    protected = stack == "prod"
    known = {
        "name": stack,
        "location": "fsn1",
        "serverType": "cx23",
        "deleteProtection": protected,
        "shutdownBeforeDeletion": stack == "staging",
        **(server or {}),
    }

    def hetzners(kind: str, id_: str, **outputs: Any) -> dict[str, Any]:
        module = kind[0].lower() + kind[1:]
        return {
            "type": f"hcloud:index/{module}:{kind}",
            "urn": URN if kind == "Server" else f"urn::{kind}::{id_}",
            "id": id_,
            "outputs": {"location": "fsn1", **outputs},
        }

    resources = {
        "stack": {
            "type": "pulumi:pulumi:Stack",
            "outputs": {"url": "https://x.test", "version": "1", "release": "r1", "ipv4": "a"},
        },
        "environment": {
            "type": "deployment-flow:index:Environment",
            "outputs": {"release": {"version": "1", "images": {"db": "x@1"}, "compose": COMPOSE}},
        },
        "server": hetzners("Server", "42", **known),
        "volume": hetzners("Volume", "43", name="data", size=10),
        "ipv4": hetzners("PrimaryIp", "44", name="ipv4"),
        "ipv6": hetzners("PrimaryIp", "45", name="ipv6"),
        "release": {
            "type": "command:local:Command",
            "urn": "urn::x-release",
            "inputs": {"triggers": ["42 /dev/disk/by-id/x"]},
        },
    }
    return {"resources": [each for name, each in resources.items() if name not in gone]}


def planned(
    stack: str = "prod",
    sight: Sight = SIGHT,
    wanted: Settings = WANTED,
    *,
    server: Mapping[str, Any] | None = None,
    gone: tuple[str, ...] = (),
    **flags: bool,
) -> rebuild_plan.Plan:
    found = state.parse(exported(stack, server, gone))
    return rebuild_plan.make(stack, found, sight, wanted, **flags)


# -- the plan ----------------------------------------------------------------------------------


def test_production_is_let_go_stopped_replaced_and_held_again_by_its_word() -> None:
    plan = planned("prod")
    assert plan.names == ["let go", "stop", "replace", "hold"]
    assert plan.steps[0].text == "lift the protection of server prod (42), and of nothing else"
    assert plan.steps[3].text == "protect it again, as the settings say"
    assert (plan.word, plan.by_word, plan.urn) == ("replace-server-42", True, URN)


def test_a_stage_needs_no_word_and_a_demo_nothing_to_be_let_go() -> None:
    assert planned("staging").names == ["let go", "stop", "replace", "hold"]
    assert planned("staging").by_word is False
    assert planned("feature-demo-x").names == ["stop", "replace"]


def test_a_server_that_is_off_is_not_shut_down() -> None:
    off = Sight("off", SIGHT.reached, "42", ("fsn1",))
    assert planned("staging", off).names == ["let go", "replace", "hold"]


def test_a_server_that_somebody_deleted_is_made_anew_and_nothing_is_deleted() -> None:
    plan = planned("prod", Sight("", SIGHT.reached, "", ("fsn1",)))
    assert plan.names == ["forget", "make"]
    assert (plan.word, plan.by_word) == ("", False)


def test_one_that_stopped_between_the_old_and_the_new_server_makes_the_new_one() -> None:
    assert planned("prod", Sight("", SIGHT.reached, "", ("fsn1",)), gone=("server",)).names == [
        "make"
    ]


def test_one_that_stopped_before_the_release_goes_on_with_the_server_it_made() -> None:
    def on_another(**flags: bool) -> rebuild_plan.Plan:
        left = exported("staging")
        left["resources"][-1]["inputs"]["triggers"] = ["41 /dev/disk/by-id/x"]
        return rebuild_plan.make("staging", state.parse(left), SIGHT, WANTED, **flags)

    assert on_another().names == ["finish"]
    assert on_another(anew=True).names == ["let go", "stop", "replace", "hold"]


def test_production_whose_protection_was_lifted_by_a_stopped_one_needs_its_word_all_the_same() -> (
    None
):
    plan = planned("prod", server={"deleteProtection": False})
    assert plan.names == ["stop", "replace", "hold"]
    assert plan.by_word


# -- what stops it -----------------------------------------------------------------------------


def refused(match: str, remedy: str, **how: Any) -> None:
    with pytest.raises(FlowError, match=match) as raised:
        planned(**how)
    assert "Nothing was changed" in raised.value.problem
    assert remedy in raised.value.remedy


def test_data_on_the_servers_own_disk_is_named_and_kept_unless_it_may_go() -> None:
    bare = Sight("running", frozenset({"44", "45"}), "", ("fsn1",))
    how: dict[str, Any] = {"stack": "staging", "sight": bare, "gone": ("volume",)}
    refused(r"own disk \(db\)", "--lose-data", **how)
    plan = planned(**how, lose_data=True)
    assert "and its disk with db" in plan.steps[2].text


def test_without_a_release_there_is_nothing_to_bring_back() -> None:
    refused("never|ever found healthy", "flow deploy prod", gone=("environment",))


def test_a_given_machine_is_not_ours_to_replace() -> None:
    gone = ("server", "volume", "ipv4", "ipv6")
    refused("was given to it", "flow deploy", stack="feature-demo-x", gone=gone)


def test_a_token_that_reaches_nothing_is_anothers() -> None:
    refused("another Hetzner project", "hcloud:token", sight=Sight("", sold_in=("fsn1",)))


def test_a_volume_that_is_gone_is_named() -> None:
    left = Sight("running", frozenset({"44", "45"}), "", ("fsn1",))
    refused(r"gone: Volume data \(43\)", "backup", sight=left)


def test_a_volume_on_another_server_is_not_taken_from_it() -> None:
    refused("attached to server 7", "detach", sight=Sight("off", SIGHT.reached, "7", ("fsn1",)))


def test_a_location_without_room_or_out_of_the_settings_leaves_the_server_as_it_is() -> None:
    full = Sight("running", SIGHT.reached, "42", ("nbg1",))
    refused("no room for a cx23 in fsn1", "serverType", sight=full)
    elsewhere = Settings("cx23", ("nbg1",), 10)
    refused("in fsn1, which the setting", "locations", wanted=elsewhere)


def test_a_volume_larger_than_the_settings_say_would_go_with_its_data() -> None:
    smaller = Settings("cx23", ("fsn1",), 0)
    refused("volume of 0 GB", "volumeSize 10", stack="feature-demo-x", wanted=smaller)


# -- what is asked of Hetzner ------------------------------------------------------------------


def test_what_a_state_holds_is_looked_for_by_its_ids(cloud: Cloud) -> None:
    server = cloud.server(name="here")
    volume = cloud.client.volumes.create(size=10, name="data", server=server, format="ext4")
    volume.action.wait_until_finished()
    cloud.settled()
    address = server.public_net.primary_ipv4
    left = exported("staging")
    for each, id_ in zip(left["resources"][2:5], (server, volume.volume, address), strict=True):
        each["id"] = str(id_.id)
    sight = Machines("d" * 64, f"{cloud.url}/v1", "dev").look(state.parse(left), "cx23")
    assert sight.server == "running"
    assert sight.reached == {str(volume.volume.id), str(address.id)}
    assert sight.volume_on == str(server.id)
    assert "fsn1" in sight.sold_in
    assert Machines("d" * 64, f"{cloud.url}/v1", "dev").look(state.parse(left), "cx0").sold_in == ()
    other = Machines("p" * 64, f"{cloud.url}/v1", "dev").look(state.parse(left), "cx23")
    assert (other.server, other.reached, other.volume_on) == ("", frozenset(), "")


def test_a_server_is_shut_down_cleanly_and_one_that_does_not_react_is_cut_off(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = Machines("d" * 64, f"{cloud.url}/v1", "dev")
    server = cloud.server()
    assert at.shut_down(str(server.id), print).startswith("cleanly")
    assert at.shut_down(str(server.id), print) == "it was off already"
    deaf = cloud.server(name="deaf")
    monkeypatch.setattr(cloud.hosts, "shutdown", lambda _: None)
    assert "power was cut" in at.shut_down(str(deaf.id), print, seconds=0.1)
    assert cloud.client.servers.get_by_id(deaf.id).status == "off"


def test_a_token_that_may_only_read_is_said_and_nothing_is_switched_off(cloud: Cloud) -> None:
    server = cloud.server(server_type=ServerType(name="cx23"), location=FSN1)
    with pytest.raises(FlowError, match="refuses the token"):
        Machines("e" * 64, f"{cloud.url}/v1", "dev").shut_down(str(server.id), print)
    assert cloud.client.servers.get_by_id(server.id).status == "running"


# -- what is done ------------------------------------------------------------------------------


@dataclass
class FakeStacks:
    """An engine that replaces servers at once; `failing` names what fails."""

    exported: Any
    did: list[Any] = field(default_factory=list)
    busy: list[locks.Holder] = field(default_factory=list)
    failing: str = ""

    def state(self, _: str) -> Any:
        return self.exported

    def holders(self, _: str) -> list[locks.Holder]:
        return self.busy

    def preview(self, *_: Any, **more: Any) -> Result:
        self.did.append(("preview", more))
        return Result({"replace": 1}, "")

    def refresh(self, *_: Any) -> Result:
        self.did.append(("refresh", {}))
        return Result({}, "")

    def up(self, _stack: str, _note: Any, **more: Any) -> Result:
        self.did.append(("up", more))
        if self.failing == "up":
            raise FlowError("no")
        if "replace" in more:
            self.exported["resources"][2]["id"] = "99"
            self.exported["resources"][-1]["inputs"]["triggers"] = ["99 /dev/x"]
        return Result({"update": 1}, "")


class FakeProject:
    """A project of one stack."""

    def __init__(self, stacks: FakeStacks) -> None:
        self.stacks = stacks

    def settings(self, _: str) -> dict[str, Any]:
        return {"serverType": "cx23", "locations": ["fsn1"], "volumeSize": 10}


class FakeMachines:
    """Hetzner as SIGHT has it."""

    def __init__(self, did: list[Any]) -> None:
        self.did = did

    def look(self, *_: Any) -> Sight:
        return SIGHT

    def shut_down(self, server: str, _note: Any) -> str:
        self.did.append(("shut down", server))
        return "cleanly"


@pytest.fixture
def prod(monkeypatch: pytest.MonkeyPatch) -> FakeProject:
    stacks = FakeStacks(exported("prod"))
    found = FakeProject(stacks)
    monkeypatch.setattr(machines, "of", lambda *_: FakeMachines(stacks.did))
    monkeypatch.setattr("flow.project.find", lambda: found)
    return found


def test_its_steps_are_runs_with_the_word_and_the_last_is_one_without(prod: FakeProject) -> None:
    with Stages() as stages:
        ahead = rebuilding.prospect(prod, "prod", stages)  # type: ignore[arg-type]
        done = rebuilding.rebuild(prod, ahead, stages)  # type: ignore[arg-type]
    # The stack's file may pin a version that is not what runs.
    word = {"settings": {"version": "", "confirm": "replace-server-42"}}
    assert prod.stacks.did == [
        ("preview", {**word, "replace": [URN]}),
        ("up", {**word, "target": [URN]}),
        ("shut down", "42"),
        ("up", {**word, "replace": [URN]}),
        ("up", {"settings": {"version": ""}}),
    ]
    assert done["server"] == {"before": "42", "after": "99"}
    assert (done["release"], done["volume"], done["ipv4"]) == ("r1", "43", "a")


def test_what_is_another_afterwards_is_an_error(prod: FakeProject) -> None:
    with Stages() as stages:
        ahead = rebuilding.prospect(prod, "prod", stages)  # type: ignore[arg-type]
        prod.stacks.exported["resources"][3]["id"] = "77"
        with pytest.raises(FlowError, match=r"volume and addresses: .*43.* → .*77"):
            rebuilding.rebuild(prod, ahead, stages)  # type: ignore[arg-type]


def test_what_is_being_deployed_is_not_stopped_under_it(prod: FakeProject) -> None:
    prod.stacks.busy = [locks.Holder("s3://x", "ada", "elsewhere", 7, "2031-05-31T09:00:00Z")]
    with Stages() as stages, pytest.raises(FlowError, match="Nothing was changed") as refused:
        rebuilding.prospect(prod, "prod", stages)  # type: ignore[arg-type]
    assert refused.value.code == 3
    assert prod.stacks.did == []


@contextmanager
def untouched(prod: FakeProject) -> Iterator[None]:
    yield
    assert [what for what, _ in prod.stacks.did if what != "preview"] == []


def test_yes_alone_does_not_delete_productions_server(
    prod: FakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    with untouched(prod):
        assert app.run(["rebuild", "prod", "--yes"]) == 2
        assert "--confirm replace-server-42" in capsys.readouterr().err
        assert app.run(["rebuild", "prod", "--yes", "--confirm", "replace-server-41"]) == 2
    assert app.run(["rebuild", "prod", "--yes", "--confirm", "replace-server-42", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["server"]["after"] == "99"


def test_a_person_is_asked_twice_and_shown_every_step_before(
    prod: FakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Stages() as stages:
        steps = rebuilding.prospect(prod, "prod", stages).plan.steps  # type: ignore[arg-type]
    assert len(steps) == 4
    asked: list[tuple[str, str]] = []
    shown: list[str] = []

    def agree(question: str, _yes: bool, *, word: str = "") -> None:
        with untouched(prod):
            shown.append(capsys.readouterr().err)
        every = [f"{number}. {step.text}" for number, step in enumerate(steps, 1)]
        assert [line for line in shown[0].splitlines() if line in every] == every
        asked.append((question, word))

    monkeypatch.setattr("flow.commands.rebuild.agree", agree)
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda _: True})())
    assert app.run(["rebuild", "prod"]) == 0
    assert [word for _, word in asked] == ["prod", "replace-server-42"]


def test_a_dry_run_shows_the_steps_and_does_none(
    prod: FakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    with untouched(prod):
        assert app.run(["rebuild", "prod", "--dry-run", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert app.run(["rebuild", "prod", "--dry-run"]) == 0
    assert [step.split()[0] for step in told["steps"]] == ["lift", "shut", "delete", "protect"]
    assert told["confirm"] == "replace-server-42"
    assert "2. shut down server prod (42)" in capsys.readouterr().out


def test_its_help_says_what_is_kept() -> None:
    assert "volume" in CliRunner().invoke(app.app, ["rebuild", "--help"]).output


def test_settings_come_from_the_project_with_its_defaults() -> None:
    assert Settings.of({"locations": ["hel1"], "volumeSize": 20}) == Settings("cx23", ("hel1",), 20)
