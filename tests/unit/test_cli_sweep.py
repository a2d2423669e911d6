"""What no stack owns is found, judged and removed; what a stack owns is never touched."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import naming
from flow import app, locks, ownerless, state, survey, sweeping
from flow.errors import FlowError
from flow.labelled import Found
from flow.pricing import Item
from flow.project import Project
from flow.sweeping import Owner, Wish
from tests.unit.hetzner_cloud import Cloud
from tests.unit.hetzner_cloud import cloud as cloud
from tests.unit.team_stacks import (
    PROJECT,
    ZONE,
    Stacks,
    labels_of,
    made_by_an_up,
    named,
    project_of,
    things,
)

NOW = 2_000_000_000
HOUR, DAY = 3600, 86400
DEMO = "feature-demo-x"
HOLDER = locks.Holder("file:///locks/x.json", "ada", "laptop", 7, "2033-05-18")


def thing(kind: str = "server", stack: str = DEMO, **more: Any) -> Found:
    known = {"id": "1", "created": NOW - 2 * DAY, **more}
    return Found(kind, stack, labels_of(stack), None, **known)


def judged(
    *found: Found, owner: Owner | None = None, wish: Wish | None = None, **more: Any
) -> list[tuple[str, str]]:
    owners = {} if owner is None else {naming.label_value(owner.name): owner}
    findings = sweeping.judge(found, owners, wish or Wish(), NOW, **more)
    return [(each.action, each.why) for each in findings]


def test_what_no_state_knows_any_more_is_removed_but_not_its_data() -> None:
    (server, _), (volume, why) = judged(thing(), thing("volume", id="2"))
    assert (server, volume) == ("remove", "keep")
    assert "--volumes" in why
    both = judged(thing(), thing("volume", id="2"), wish=Wish(volumes=True))
    assert [action for action, _ in both] == ["remove", "remove"]


def test_what_an_update_may_be_making_is_left_and_so_said() -> None:
    running = Owner(DEMO, busy=locks.told(DEMO, [HOLDER]))
    ((action, why),) = judged(thing(), owner=running, wish=Wish(frozenset({DEMO}), True))
    assert action == "keep"
    assert "ada@laptop" in why
    finding = sweeping.judge([thing()], {DEMO: running}, Wish(), NOW)[0]
    assert not finding.left  # it may well be owned in a minute


def test_what_was_made_within_the_hour_is_left_with_all_else_of_its_stack() -> None:
    young = thing("primary IP", id="2", created=NOW - 600)
    record = thing("record set", id="z/x/A", created=None)
    actions = [action for action, _ in judged(thing(), young, record)]
    assert actions == ["keep", "keep", "keep"]
    named = judged(thing(), young, record, wish=Wish(frozenset({DEMO})))
    assert [action for action, _ in named] == ["remove", "remove", "remove"]


@pytest.mark.parametrize(
    ("found", "owner", "any_demo", "why"),
    [
        (thing(stack="staging"), None, True, "it is a stage's"),
        (thing(stack="feature-demo-drill--prod-ab12"), None, True, "it is of a stage's drill"),
        (thing(), Owner(DEMO, lives=True), True, f"{DEMO} lives"),
        (thing(), None, False, "the state has no demo"),
    ],
)
def test_what_may_be_somebodys_is_removed_only_by_name(
    found: Found, owner: Owner | None, any_demo: bool, why: str
) -> None:
    ((action, told),) = judged(found, owner=owner, any_demo=any_demo)
    assert action == "keep"
    assert told.startswith(why)
    assert f"flow sweep --stack {found.stack}" in told
    named = Wish(frozenset({found.stack}))
    ((action, _),) = judged(found, owner=owner, any_demo=any_demo, wish=named)
    assert action == "remove"


def test_another_stack_that_is_named_concerns_nothing_else() -> None:
    assert judged(thing(), wish=Wish(frozenset({"feature-demo-y"}))) == []


def test_a_state_that_cannot_be_read_may_hold_anything() -> None:
    owner = Owner(DEMO, problem="incorrect passphrase")
    ((action, why),) = judged(thing(), owner=owner, wish=Wish(frozenset({DEMO}), True))
    assert action == "keep"
    assert "incorrect passphrase" in why


@pytest.mark.parametrize(
    ("kind", "id_", "command"),
    [
        ("server", "7", "hcloud server disable-protection 7 delete rebuild"),
        ("primary IP", "7", "hcloud primary-ip disable-protection 7 delete"),
        ("snapshot", "7", "hcloud image disable-protection 7 delete"),
        ("record set", "x.test/dev/A", "hcloud zone rrset disable-protection x.test dev A change"),
    ],
)
def test_what_is_protected_stays_and_says_how_to_unprotect_it(
    kind: str, id_: str, command: str
) -> None:
    ((action, why),) = judged(
        thing(kind, id=id_, protected=True), wish=Wish(frozenset({DEMO}), volumes=True)
    )
    assert action == "keep"
    assert command in why


def test_what_a_server_that_stays_uses_stays_with_it() -> None:
    uses = [
        thing("volume", id="2", used_by=frozenset("1")),
        thing("primary IP", id="3", used_by=frozenset("1")),
    ]
    wish = Wish(volumes=True)
    assert [action for action, _ in judged(thing(), *uses, wish=wish)] == ["remove"] * 3
    kept = judged(thing(protected=True), *uses, wish=wish)
    assert [action for action, _ in kept] == ["keep"] * 3
    # Somebody's own server, which carries none of our labels, holds one of our volumes.
    assert [action for action, _ in judged(*uses, wish=wish)] == ["keep"] * 2


@given(
    st.sampled_from(["server", "volume", "snapshot", "firewall"]),
    st.sampled_from([DEMO, "staging", "prod"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3 * HOUR),
)
def test_nothing_of_a_living_stack_or_a_stage_is_removed_unnamed_and_no_data_unasked(
    kind: str, stack: str, lives: bool, busy: bool, protected: bool, age: int
) -> None:
    found = thing(kind, stack, protected=protected, created=NOW - age)
    owner = Owner(stack, lives=lives, busy="at work" if busy else "")
    if judged(found, owner=owner)[0][0] == "remove":
        assert not lives
        assert not busy
        assert not protected
        assert stack == DEMO
        assert kind in ("server", "firewall")
        assert age >= HOUR


def test_what_a_state_holds_and_what_is_another_projects_is_not_even_found() -> None:
    zone = {"zone": "x.test", "name": "dev", "type": "A"}
    held = ownerless.held(
        [
            state.parse(
                {
                    "resources": [
                        {"type": "hcloud:index/server:Server", "id": "1", "outputs": {}},
                        {"type": "hcloud:index/zoneRrset:ZoneRrset", "id": "?", "outputs": zone},
                    ]
                }
            )
        ]
    )
    other = Found("server", "other", {**labels_of(DEMO), "project": "other"}, None, id="5")
    bare = Found("server", "bare", {}, None, id="6")
    listed = [thing(), thing("record set", id="x.test/dev/A"), thing("volume"), other, bare]
    assert [each.kind for each in ownerless.ownerless(listed, PROJECT, held)] == ["volume"]


# -- against a cloud ---------------------------------------------------------------------------


@pytest.fixture
def stacks(cloud: Cloud) -> Stacks:
    """A team with a stage that lives, and a demo whose state is lost; all two hours old."""
    made = Stacks(cloud)
    record = named(cloud, "staging", labels_of("staging"))
    made.states["staging"] = {"resources": [*made_by_an_up(cloud, "staging"), record]}
    made.states["feature-demo-other"] = {}
    made_by_an_up(cloud, DEMO)
    named(cloud, DEMO, labels_of(DEMO))
    return made


@pytest.fixture
def team(tmp_path: Path, stacks: Stacks, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("FLOW_CLOCK_AHEAD", str(2 * HOUR))
    found = project_of(tmp_path, stacks, monkeypatch)
    monkeypatch.setattr("flow.commands.sweep.project.find", lambda: found)
    monkeypatch.setattr("flow.commands.cost.project.find", lambda: found)
    return found


def flow(*arguments: str) -> int:
    return app.run(["sweep", *arguments])


def json_of(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    told = json.loads(capsys.readouterr().out)
    return {f"{each['kind']} {each['name']}": each["action"] for each in told["things"]}


def test_a_demo_whose_state_is_lost_is_removed_but_for_its_volume_then_that_too(
    cloud: Cloud, team: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    before = things(cloud)
    assert flow("--dry-run", "--json") == 1
    assert json_of(capsys) == {
        f"server {DEMO}": "remove",
        f"volume {DEMO}-data": "keep",
        f"primary IP {DEMO}-ipv4": "remove",
        f"firewall {DEMO}": "remove",
        f"SSH key {DEMO}": "remove",
        f"record set {DEMO}.{ZONE} A": "remove",
    }
    assert things(cloud) == before
    assert flow("--yes") == 1  # the volume is left
    told = capsys.readouterr()
    assert "--volumes" in told.out
    assert "1 thing(s) that no stack owns are left" in told.err
    of_staging = {name for name in before if name.startswith("staging")}
    assert things(cloud) == of_staging | {f"{DEMO}-data"}
    assert flow("--volumes", "--yes") == 0
    assert things(cloud) == of_staging
    assert flow("--volumes", "--yes") == 0
    assert "nothing is left that no stack owns" in capsys.readouterr().err


def test_one_that_cannot_be_removed_is_named_and_the_rest_goes(
    cloud: Cloud, team: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with cloud.faults.during({"status": 500}, method="DELETE", path="/firewalls/*"):
        assert flow("--volumes", "--yes", "--json") == 1
    told = json_of(capsys)
    assert told[f"firewall {DEMO}"] == "failed"
    assert set(told.values()) == {"removed", "failed"}
    assert DEMO in things(cloud)


def test_a_lock_on_the_stack_keeps_all_of_it(
    cloud: Cloud, team: Project, stacks: Stacks, capsys: pytest.CaptureFixture[str]
) -> None:
    stacks.states[DEMO] = {}
    stacks.locked[DEMO] = HOLDER
    before = things(cloud)
    assert flow("--stack", "feature-demo/x", "--volumes", "--yes") == 0
    assert things(cloud) == before
    told = capsys.readouterr()
    assert "another update of" in told.out
    assert "6 thing(s) are left to an update that may be at work on them" in told.err


def test_a_protected_server_stays_with_all_it_uses(
    cloud: Cloud, team: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    server = cloud.client.servers.get_by_name(DEMO)
    server.change_protection(delete=True, rebuild=True).wait_until_finished()
    assert flow("--volumes", "--yes", "--json") == 1
    assert json_of(capsys) == {
        f"server {DEMO}": "keep",
        f"volume {DEMO}-data": "keep",
        f"primary IP {DEMO}-ipv4": "keep",
        f"firewall {DEMO}": "keep",
        f"SSH key {DEMO}": "removed",
        f"record set {DEMO}.{ZONE} A": "removed",
    }
    assert {DEMO, f"{DEMO}-data", f"{DEMO}-ipv4"} <= things(cloud)


def test_what_is_new_is_left_until_it_is_named(
    cloud: Cloud, team: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FLOW_CLOCK_AHEAD")
    before = things(cloud)
    assert flow("--volumes", "--yes") == 0
    assert things(cloud) == before
    assert flow("--stack", DEMO, "--volumes", "--yes") == 0
    assert things(cloud) == {name for name in before if name.startswith("staging")}


def test_what_lies_in_another_groups_state_is_not_lost(
    cloud: Cloud, team: Project, stacks: Stacks, capsys: pytest.CaptureFixture[str]
) -> None:
    stacks.elsewhere = {DEMO: "prod"}
    before = things(cloud)
    assert flow("--stack", DEMO, "--volumes", "--yes") == 1
    assert "a stack of its name lies in the state of prod" in capsys.readouterr().out
    assert things(cloud) == before


def test_while_a_groups_state_cannot_be_listed_nothing_is_taken_for_lost(
    cloud: Cloud,
    team: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    unread = survey._unread("prod", FlowError("no such bucket"))
    monkeypatch.setattr(survey, "listed", lambda _: (["staging"], [unread]))
    before = things(cloud)
    assert flow("--stack", DEMO, "--volumes", "--yes") == 1
    assert "no such bucket" in capsys.readouterr().out
    assert things(cloud) == before
    assert app.run(["cost", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["environments"][-1]["environment"], told["lost"]) == ("prod", 0)


def test_what_nobody_agrees_to_stays(
    cloud: Cloud, team: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    before = things(cloud)
    assert flow() == 2
    told = capsys.readouterr()
    assert "Nobody is there to ask" in told.err
    assert DEMO in told.err  # shown before it asks
    assert things(cloud) == before


def test_what_is_removed_unasked_is_shown_before_too(
    team: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []
    sweep = sweeping.sweep

    def noted(*arguments: Any) -> sweeping.Plan:
        shown.append(capsys.readouterr().err)
        return sweep(*arguments)

    monkeypatch.setattr(sweeping, "sweep", noted)
    assert flow("--yes", "--json", "--volumes") == 0
    assert f"server {DEMO}" in shown[0]
    assert set(json_of(capsys).values()) == {"removed"}  # and nothing else is on that stream


def test_only_what_was_shown_is_removed(stacks: Stacks, team: Project) -> None:
    first = sweeping.plan(team, Wish())
    shown = [each for each in first.to("remove") if each.found.kind == "server"]
    again = sweeping.only(sweeping.plan(team, Wish()), shown)
    assert [str(each.found) for each in again.to("remove")] == [f"server {DEMO}"]


def test_what_an_update_made_while_it_was_looked_is_that_stacks(
    cloud: Cloud, team: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The states as they were before `staging` came up.
    monkeypatch.setattr(survey, "states", lambda *_: {"staging": state.State()})
    before = things(cloud)
    assert flow("--stack", "staging", "--volumes", "--yes") == 0
    assert things(cloud) == before


def test_a_thing_costs_what_it_costs_a_month(team: Project) -> None:
    found = sweeping.plan(team, Wish())
    costs = {each.found.kind: sweeping.month(each.found, found.prices) for each in found.findings}
    assert costs["firewall"] == 0
    assert costs["server"] is not None
    assert costs["server"] > 1
    assert sweeping.month(thing("snapshot"), found.prices) is None
    assert sweeping.month(thing(item=Item("server", "gone", "fsn1")), found.prices) is None


def test_a_project_that_cannot_be_asked_is_said_and_the_others_are_swept(
    cloud: Cloud, team: Project, stacks: Stacks, capsys: pytest.CaptureFixture[str]
) -> None:
    stacks.states["prod"] = {}
    stacks.told["prod"] = {"hcloud:token": "w" * 64, "hcloud:endpoint": f"{cloud.url}/v1"}
    assert flow("--volumes", "--yes") == 1
    assert "the token of prod" in capsys.readouterr().err
    assert not any(name.startswith(DEMO) for name in things(cloud))


def test_without_a_token_nothing_is_looked_for(
    team: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HCLOUD_TOKEN")
    with pytest.raises(FlowError, match="no Hetzner token"):
        sweeping.plan(team, Wish())
