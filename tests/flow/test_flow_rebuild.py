"""`flow rebuild` with the real engine: a broken server is replaced, and all that matters stays.

The tests are chapters of one life: each starts where the one before it ended.
"""

import ssl
from typing import Any

import httpx
import pytest

from flow.looking import look
from tests.flow.commands import Flow
from tests.flow.team import Team
from tests.flow.typing_it import Person

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(600)]
STACK = "prod"


@pytest.fixture(scope="module")
def flow(team: Team, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """`flow` for this module's team, whose production is up and has a row of its own."""
    team.publish("1.0.0", "main")
    team.stacks.up(STACK)
    team.publish("1.1.0", "main")  # newer than what runs, and not to be deployed
    with browser(team) as client:
        task = client.get("/api/tasks").json()[0]["id"]
        client.put(f"/api/tasks/{task}", json={"status": "validated"}).raise_for_status()
    return Flow(team, tmp_path_factory.mktemp("flow"))


def browser(team: Team) -> httpx.Client:
    trusted = ssl.create_default_context(cafile=str(team.trust))
    url = team.stacks.outputs(STACK)["url"]
    return httpx.Client(base_url=url, verify=trusted, timeout=20, trust_env=False)


def server(team: Team) -> Any:
    (found,) = team.client.servers.get_all()
    return found


def kept(team: Team) -> dict[str, Any]:
    """What must be the same before and after: Hetzner's ids, outputs, and the database."""
    outputs = team.stacks.outputs(STACK)
    with browser(team) as client:
        tasks = client.get("/api/tasks").raise_for_status().json()
    assert any(each["status"] == "validated" for each in tasks)
    return {
        "volumes": [each.id for each in team.client.volumes.get_all()],
        "addresses": [(each.id, each.ip) for each in team.client.primary_ips.get_all()],
        "outputs": {k: outputs[k] for k in ("url", "ipv4", "ipv6", "version")},
        # Its second half is a hash with a key of the server's own.
        "release": outputs["release"].partition("-")[0],
        "tasks": tasks,
    }


def protections(team: Team) -> set[bool]:
    things: list[Any] = [
        *team.client.servers.get_all(),
        *team.client.volumes.get_all(),
        *team.client.primary_ips.get_all(),
    ]
    return {bool(each.protection["delete"]) for each in things}


def test_without_the_word_productions_server_stays_and_a_dry_run_says_which_it_is(
    flow: Flow, team: Team
) -> None:
    before = server(team)
    told = flow.json("rebuild", STACK, "--dry-run")
    assert told["confirm"] == f"replace-server-{before.id}"
    assert [each.split()[0] for each in told["steps"]] == ["lift", "shut", "delete", "protect"]
    code, _, err = flow.run("rebuild", STACK, "--yes")
    assert code == 2, err
    assert f"--confirm {told['confirm']}" in err
    assert server(team).id == before.id
    assert server(team).status == "running"
    assert protections(team) == {True}


def test_production_on_a_server_that_is_dead_is_brought_back_whole_and_protected_again(
    flow: Flow, team: Team
) -> None:
    before, state = server(team), kept(team)
    before.power_off().wait_until_finished()
    done = flow.json("rebuild", STACK, "--yes", "--confirm", f"replace-server-{before.id}")
    assert done["server"] == {"before": str(before.id), "after": str(server(team).id)}
    assert server(team).id != before.id
    assert done["down_seconds"] < 120
    assert kept(team) == state
    look(done["url"], "1.0.0", team.trust)
    assert done["protected"] is True
    assert protections(team) == {True}
    assert team.stacks.up(STACK).changed == 0


def test_a_fault_half_way_is_gone_on_from_by_the_same_command(flow: Flow, team: Team) -> None:
    before, state = server(team), kept(team)
    word = f"replace-server-{before.id}"
    project = team.zone.removesuffix(".test")
    with Person(team) as person:
        with person.faults.during({"unavailable": {"location": "fsn1"}}, project=project):
            code, _, err = flow.run("rebuild", STACK, "--yes", "--confirm", word)
        assert code == 1, err
        assert "has no room for a" in err
        assert server(team).id == before.id
        sudden = {"unavailable": {"location": "fsn1"}, "sudden": True}
        with person.faults.during(sudden, project=project):
            code, _, err = flow.run("rebuild", STACK, "--yes", "--confirm", word)
    assert code == 1, err
    assert "resource_unavailable" in err
    assert team.client.servers.get_all() == []
    done = flow.json("rebuild", STACK, "--yes")
    assert done["server"] == {"before": None, "after": str(server(team).id)}
    assert kept(team) == state
    assert protections(team) == {True}


def test_a_server_that_somebody_deleted_by_hand_is_made_anew(flow: Flow, team: Team) -> None:
    state, found = kept(team), server(team)
    found.change_protection(delete=False, rebuild=False).wait_until_finished()
    found.delete().wait_until_finished()
    done = flow.json("rebuild", STACK, "--yes")
    assert done["server"]["before"] == str(found.id)
    assert kept(team) == state
    assert protections(team) == {True}
    assert team.stacks.up(STACK).changed == 0
