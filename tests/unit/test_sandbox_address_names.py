"""Names with an address in them, as a demo without a zone has one."""

from collections.abc import Iterator

import dns.message
import dns.rcode
import pytest

from flow.sandbox_project import ADDRESS_DOMAIN
from sandbox.hetzner import addresses
from sandbox.services import address_names, zones
from sandbox.store import Store


@pytest.fixture
def store() -> Iterator[Store]:
    """A cloud with one server's addresses, and one address that nobody has."""
    made = Store()
    for server in (7, None):
        addresses.create(made, "demo", "ipv4", "fsn1", assignee_id=server)
        addresses.create(made, "demo", "ipv6", "fsn1", assignee_id=server)
    yield made
    made.close()


def ask(store: Store, name: str, kind: str) -> tuple[str, list[str]]:
    reply = zones.answer(dns.message.make_query(name, kind), store)
    assert reply is not None
    values = [rdata.to_text() for rrset in reply.answer for rdata in rrset]
    return dns.rcode.to_text(reply.rcode()), values


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("hello.203-0-113-10", "A", ["203.0.113.10"]),
        ("HELLO.203-0-113-10", "A", ["203.0.113.10"]),
        ("a.b.203-0-113-99", "A", ["203.0.113.99"]),
        ("203-0-113-10", "A", ["203.0.113.10"]),
        ("hello.203-0-113-10", "AAAA", []),
        ("hello.2001-db8-1-1--1", "AAAA", ["2001:db8:1:1::1"]),
        ("hello.2001-db8-1-1--1", "A", []),
    ],
)
def test_a_name_is_answered_by_the_address_in_it(
    store: Store, name: str, kind: str, values: list[str]
) -> None:
    assert ask(store, f"{name}.{address_names.DOMAIN}", kind) == ("NOERROR", values)


@pytest.mark.parametrize("name", ["hello", "203-0-113", "203-0-113-300", "203-0-113-10.hello"])
def test_a_name_without_an_address_is_none(store: Store, name: str) -> None:
    assert ask(store, f"{name}.{address_names.DOMAIN}", "A") == ("NXDOMAIN", [])


def test_this_machine_learns_the_names_somebody_asked_for_as_long_as_a_server_has_them(
    store: Store,
) -> None:
    own = [f"{label}.{address_names.DOMAIN}" for label in ("x.203-0-113-10", "x.2001-db8-1-1--1")]
    for name, kind in zip(own, ("A", "AAAA"), strict=True):
        ask(store, name, kind)
        ask(store, name, kind)
    ask(store, f"x.203-0-113-11.{address_names.DOMAIN}", "A")  # an address no server has
    names = {own[0]: ["203.0.113.10"], own[1]: ["2001:db8:1:1::1"]}
    assert address_names.published(store) == names
    for each in store.all("primary_ip"):
        store.remove("primary_ip", each["id"])
    assert address_names.published(store) == {}
    addresses.create(store, "demo", "ipv4", "fsn1", assignee_id=8, ip="203.0.113.10")
    assert address_names.published(store) == {}, "the next one's demo is another"


def test_a_zone_comes_first_and_the_sandboxs_projects_use_the_domain(store: Store) -> None:
    assert ADDRESS_DOMAIN == address_names.DOMAIN
    store.add("zone", "demo", {"name": address_names.DOMAIN, "ttl": 60})
    assert ask(store, f"x.203-0-113-10.{address_names.DOMAIN}", "A")[0] == "NXDOMAIN"
