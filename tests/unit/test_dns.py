"""Record sets of a stage, and what to enter where DNS is elsewhere."""

from typing import Any

import pytest

from components.dns import TTL_SECONDS, Dns, DnsArgs, name_in_zone, wanted_records
from tests.unit.conftest import Engine, run

ARGS: DnsArgs = {
    "hostname": "dev.example.org",
    "zone": "example.org",
    "ipv4": "203.0.113.10",
    "ipv6": "2001:db8:1:1::1",
    "has_ipv4": True,
    "has_ipv6": True,
    "labels": {"stack": "dev"},
}


def made(engine: Engine, **changes: Any) -> Engine:
    args = {**ARGS, **changes}
    return run(engine, "dev", lambda: Dns("dev", args) and None)  # type: ignore[arg-type]


def test_a_name_gets_a_record_set_for_each_kind_of_address(engine: Engine) -> None:
    made(engine)
    sets = {each.inputs["type"]: each for each in engine.of_type("ZoneRrset")}
    assert set(sets) == {"A", "AAAA"}
    assert sets["A"].inputs["records"] == [{"value": "203.0.113.10"}]
    assert sets["AAAA"].inputs["records"] == [{"value": "2001:db8:1:1::1"}]
    for each in sets.values():
        assert each.inputs["name"] == "dev"
        assert each.inputs["ttl"] == TTL_SECONDS
        assert each.inputs["labels"] == {"stack": "dev"}
        assert each.parent.endswith("deployment-flow:index:Dns::dev")
        assert each.aliases == ()


def test_an_address_that_is_not_there_gets_none(engine: Engine) -> None:
    made(engine, ipv6=None, has_ipv6=False)
    assert [each.inputs["type"] for each in engine.of_type("ZoneRrset")] == ["A"]


@pytest.mark.parametrize(
    ("hostname", "name"),
    [("dev.example.org", "dev"), ("a.b.example.org", "a.b"), ("example.org", "@")],
)
def test_a_record_is_named_within_its_zone(hostname: str, name: str) -> None:
    assert name_in_zone(hostname, "example.org") == name


@pytest.mark.parametrize("hostname", ["dev.example.net", "badexample.org", "org"])
def test_a_name_outside_the_zone_is_an_error(hostname: str) -> None:
    with pytest.raises(ValueError, match="is not in zone"):
        name_in_zone(hostname, "example.org")


def test_with_dns_elsewhere_the_records_to_enter_are_named() -> None:
    assert wanted_records("app.example.org", "203.0.113.10", None) == [
        {"name": "app.example.org", "type": "A", "value": "203.0.113.10", "ttl": TTL_SECONDS}
    ]
