"""A Hetzner token is looked at before anything is begun, by requests that change nothing."""

from typing import Any

import pytest

from flow import hetzner_token, state
from flow.errors import FlowError
from planning import access
from tests.unit.hetzner_cloud import Cloud
from tests.unit.hetzner_cloud import cloud as cloud

GOOD, READS, OTHER, EXPIRED = "d" * 64, "e" * 64, "p" * 64, "x" * 64


def held(cloud: Cloud) -> list[tuple[str, dict[str, Any]]]:
    """What a state knows of a server and of a key, the first of which is gone."""
    server = cloud.server()
    return [("Server", {"id": "99999999"}), ("Server", {"id": str(server.id)})]


def told(cloud: Cloud, token: str, where: list[str], *, writes: bool = True) -> str:
    wrong = access.mistake(token, f"{cloud.url}/v1", "dev", where, writes=writes)
    return "" if wrong is None else f"{wrong.problem}. Next: {wrong.remedy}"


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (READS, "the token of dev may only read. Nothing was changed"),
        (OTHER, "the token reaches nothing of dev: either it is one of another Hetzner project"),
        (EXPIRED, "Hetzner does not know the token of dev (unauthorized)"),
    ],
    ids=["read-only", "another project's", "expired"],
)
def test_each_kind_of_wrong_token_is_named_with_what_to_do_and_never_shown(
    cloud: Cloud, token: str, said: str
) -> None:
    found = told(cloud, token, access.places(held(cloud)))
    assert found.startswith(said)
    assert "Next: " in found
    assert "hcloud:token -s dev" in found
    assert token not in found


def test_the_right_token_is_not_stopped_though_one_thing_was_deleted_by_hand(cloud: Cloud) -> None:
    assert told(cloud, GOOD, access.places(held(cloud))) == ""


def test_looking_at_a_token_changes_nothing(cloud: Cloud) -> None:
    where = access.places(held(cloud))
    before = cloud.raw.get("/servers").json(), cloud.raw.get("/ssh_keys").json()
    for token in (GOOD, READS, OTHER, EXPIRED):
        told(cloud, token, where)
    assert (cloud.raw.get("/servers").json(), cloud.raw.get("/ssh_keys").json()) == before


def test_to_preview_it_need_only_read(cloud: Cloud) -> None:
    assert told(cloud, READS, access.places(held(cloud)), writes=False) == ""


def test_a_first_up_has_nothing_to_look_for_and_still_wants_a_token_that_may_write(
    cloud: Cloud,
) -> None:
    assert told(cloud, GOOD, []) == ""
    assert "may only read" in told(cloud, READS, [])
    assert "does not know the token" in told(cloud, EXPIRED, [])


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1/v1", "nonsense"])
def test_an_api_that_does_not_answer_is_another_fault(endpoint: str) -> None:
    assert access.mistake(GOOD, endpoint, "dev", ["/servers/1"], writes=True) is None


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_api_in_trouble_is_another_fault(cloud: Cloud, status: int) -> None:
    where = access.places(held(cloud))
    cloud.faults.add({"status": status})
    assert told(cloud, GOOD, where) == ""


def test_a_given_machine_with_a_name_at_hetzner_is_looked_for_by_its_zone() -> None:
    record = ("ZoneRrset", {"id": "x/y/A", "zone": "example.org", "name": "y"})
    assert access.places([record]) == ["/zones/example.org"]
    assert access.places([record, ("SshKey", {"id": 7})]) == ["/ssh_keys/7"]


def test_what_a_killed_first_up_held_may_be_gone_but_for_its_server() -> None:
    address, server = ("PrimaryIp", {"id": 7}), ("Server", {"id": 8})
    assert access.places([address], finished=False) == []
    assert access.places([address, server], finished=False) == ["/primary_ips/7", "/servers/8"]
    assert access.places([address]) == ["/primary_ips/7"]


def test_flow_takes_the_given_token_before_the_environments(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = state.State(resources=tuple(state.Held(*each) for each in held(cloud)))
    monkeypatch.setenv("HCLOUD_TOKEN", OTHER)
    monkeypatch.setenv("HCLOUD_ENDPOINT", f"{cloud.url}/v1")
    with pytest.raises(FlowError, match="reaches nothing of dev"):
        hetzner_token.check("dev", found, {}, {})
    hetzner_token.check("dev", found, {"token": GOOD}, {})
    hetzner_token.check("dev", found, {}, {"HCLOUD_TOKEN": GOOD})
    hetzner_token.check("dev", state.State(), {}, {})
