"""Stages without a zone, with the real engine: a name made of the address, and DNS elsewhere."""

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hcloud
import httpx
import pytest
from hcloud.zones import ZoneRecord

from flow.looking import look
from flow.results import Result
from flow.sandbox_project import ADDRESS_DOMAIN
from tests.flow.team import Team

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1200)]
BY_ADDRESS = "feature-demo-by-address"
ELSEWHERE = "feature-demo-elsewhere"


@pytest.fixture(scope="module")
def elsewhere(team: Team) -> Iterator[tuple[Any, Any]]:
    """Where somebody else keeps DNS: a client and a zone that the team's token does not reach."""
    endpoint = str(team.project.credentials["endpoint"])
    control = endpoint.removesuffix("/v1") + "/_sandbox/projects"
    name = f"dns-{secrets.token_hex(3)}"
    made = httpx.post(control, json={"name": name}, timeout=30, trust_env=False)
    token = made.raise_for_status().json()["project"]["token"]
    client = hcloud.Client(token=token, api_endpoint=endpoint, poll_interval=0.1)
    zone = client.zones.create(name=f"{name}.test", mode="primary").zone
    yield client, zone
    zone.delete().action.wait_until_finished()


@pytest.fixture(scope="module", autouse=True)
def ups(team: Team, elsewhere: tuple[Any, Any]) -> dict[str, Result]:
    """Both demos, brought up at the same time."""
    hostnames = {BY_ADDRESS: None, ELSEWHERE: f"hello.{elsewhere[1].name}"}
    for stack, hostname in hostnames.items():
        team.publish("1.0.0", stack.replace("feature-demo-", "feature-demo/"))
        team.stacks.create(stack)
        # The sandbox's projects have a zone; an empty one is none.
        team.configure(stack, zone="", **({"hostname": hostname} if hostname else {}))
    with ThreadPoolExecutor(len(hostnames)) as pool:
        return dict(zip(hostnames, pool.map(team.stacks.up, hostnames), strict=True))


def test_a_demo_without_a_zone_is_reached_by_a_name_of_its_address(team: Team) -> None:
    outputs = team.stacks.outputs(BY_ADDRESS)
    label = outputs["ipv4"].replace(".", "-")
    assert outputs["hostname"] == f"by-address.{label}.{ADDRESS_DOMAIN}"
    sight = look(outputs["url"], "1.0.0", team.trust, password=outputs["password"])
    assert sight.url == f"https://{outputs['hostname']}"
    assert team.listed(f"stack={BY_ADDRESS}").get("record sets") is None
    assert outputs["dns_records"] == [], "there is nothing to enter anywhere"


def test_a_stage_with_dns_elsewhere_says_which_records_to_make_and_warns_until_they_are_there(
    team: Team, elsewhere: tuple[Any, Any], ups: dict[str, Result]
) -> None:
    outputs = team.stacks.outputs(ELSEWHERE)
    assert {each["name"] for each in outputs["dns_records"]} == {outputs["hostname"]}
    found = {each["type"]: each["value"] for each in outputs["dns_records"]}
    assert found == {"A": outputs["ipv4"], "AAAA": outputs["ipv6"]}
    assert "no certificate yet" in ups[ELSEWHERE].output
    client, zone = elsewhere
    for kind, value in found.items():
        client.zones.create_rrset(zone, name="hello", type=kind, records=[ZoneRecord(value)])
    assert team.stacks.up(ELSEWHERE).changed == 0
    # Caddy asks again by itself, a minute after it was refused.
    look(outputs["url"], "1.0.0", team.trust, password=outputs["password"], patience=200)


def test_their_end_leaves_nothing_and_the_records_elsewhere_to_who_made_them(
    team: Team, elsewhere: tuple[Any, Any]
) -> None:
    hostname = team.stacks.outputs(BY_ADDRESS)["hostname"]
    assert hostname in Path("/etc/hosts").read_text()
    for stack in (BY_ADDRESS, ELSEWHERE):
        team.stacks.destroy(stack)
        team.stacks.remove(stack)
    assert team.listed() == {}
    until = time.monotonic() + 10
    while hostname in Path("/etc/hosts").read_text():
        assert time.monotonic() < until, "a name that leads nowhere is still known here"
        time.sleep(0.2)
    client, zone = elsewhere
    assert {each.type for each in client.zones.get_rrset_all(zone, name="hello")} == {"A", "AAAA"}
