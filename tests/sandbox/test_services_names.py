"""Names: the DNS server's answers, certificates for them, and this machine's own view."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.reversename
import httpx
import pytest
from hcloud.servers import BoundServer
from hcloud.zones import BoundZone, ZoneRecord

from sandbox.hosts import network
from sandbox.lifecycle import Sandbox
from sandbox.services import dns_server, hosts_file
from sandbox.store import Store
from tests.sandbox.conftest import Cloud, ipv4, ipv6


@pytest.fixture(scope="module")
def zone(cloud: Cloud) -> Iterator[BoundZone]:
    """A zone with a record set of each kind that applications use."""
    made = cloud.client.zones.create(name=f"{cloud.project}.test", mode="primary").zone
    for name, kind, values in (
        ("@", "A", ["203.0.113.201"]),
        ("www", "CNAME", [f"{made.name}."]),
        ("@", "MX", ["10 mail"]),
        (
            "@",
            "TXT",
            ['"v=spf1 -all"', '"' + "x" * 200 + '"', '"' + "y" * 250 + '"', '"' + "z" * 250 + '"'],
        ),
        ("*.apps", "A", ["203.0.113.202"]),
        ("*.apps", "AAAA", ["2001:db8:1:2::1"]),
        ("deep.below", "A", ["203.0.113.203"]),
    ):
        records = [ZoneRecord(value=value) for value in values]
        cloud.client.zones.create_rrset(made, name=name, type=cast(Any, kind), records=records)
    yield made
    made.delete().action.wait_until_finished()


def ask(
    name: str | None, kind: str, *, at: str = network.GATEWAY4, tcp: bool = False
) -> dns.message.Message:
    query = dns.message.make_query(str(name), kind)
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, at, timeout=5)


def values(reply: dns.message.Message) -> list[str]:
    return sorted(rdata.to_text() for rrset in reply.answer for rdata in rrset)


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("at", [network.GATEWAY4, network.GATEWAY6])
def test_a_name_has_its_address_over_every_transport(zone: BoundZone, at: str, tcp: bool) -> None:
    reply = ask(zone.name, "A", at=at, tcp=tcp)
    assert values(reply) == ["203.0.113.201"]
    assert reply.answer[0].ttl == 3600


def test_every_kind_of_record_is_answered(zone: BoundZone) -> None:
    assert values(ask(f"www.{zone.name}", "A")) == ["203.0.113.201", f"{zone.name}."]
    assert values(ask(zone.name, "MX")) == [f"10 mail.{zone.name}."]
    assert '"v=spf1 -all"' in values(ask(zone.name, "TXT", tcp=True))
    assert len(values(ask(zone.name, "NS"))) == 3
    assert len(values(ask(zone.name, "SOA"))) == 1
    assert values(ask(f"any.apps.{zone.name}", "A")) == ["203.0.113.202"]
    assert values(ask(f"a.b.apps.{zone.name}", "AAAA")) == ["2001:db8:1:2::1"]


def test_a_missing_name_differs_from_a_missing_kind(zone: BoundZone) -> None:
    missing = ask(f"nobody.{zone.name}", "A")
    assert missing.rcode() == dns.rcode.NXDOMAIN
    assert missing.authority[0].rdtype == dns.rdatatype.SOA
    for name in (zone.name, f"below.{zone.name}"):
        empty = ask(name, "AAAA")
        assert (empty.rcode(), empty.answer) == (dns.rcode.NOERROR, [])
    assert ask("nobody.nowhere.test", "A").rcode() == dns.rcode.NXDOMAIN


def test_an_answer_too_long_for_udp_says_so(zone: BoundZone) -> None:
    query = dns.message.make_query(str(zone.name), "TXT", use_edns=False)
    _, by_tcp = dns.query.udp_with_fallback(query, network.GATEWAY4, timeout=5)
    assert by_tcp


def test_a_server_has_its_reverse_name(cloud: Cloud, server: BoundServer) -> None:
    server.change_dns_ptr(ipv4(server), "named.example.test").wait_until_finished()
    pointer = dns.reversename.from_address(ipv4(server)).to_text()
    assert values(ask(pointer, "PTR")) == ["named.example.test."]
    elsewhere = dns.reversename.from_address("203.0.113.251").to_text()
    assert ask(elsewhere, "PTR").rcode() == dns.rcode.NXDOMAIN


def test_names_elsewhere_are_asked_of_this_machines_resolver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def upstream(query: dns.message.Message, where: str, **_: object) -> object:
        asked.append(where)
        return dns.message.make_response(query), False

    monkeypatch.setattr(dns.query, "udp_with_fallback", upstream)
    store = Store()
    query = dns.message.make_query("example.com", "A")
    assert dns_server.resolve(query.to_wire(), store, udp=True)
    assert len(asked) == 1
    # No route leads from a server to an IPv6 address elsewhere.
    query = dns.message.make_query("example.com", "AAAA")
    assert dns_server.resolve(query.to_wire(), store, udp=True)
    assert len(asked) == 1
    assert dns_server.resolve(b"not dns", store, udp=True) is None
    store.close()


def test_a_server_gets_a_certificate_and_a_client_here_reaches_it_by_name(
    sandbox: Sandbox, cloud: Cloud, zone: BoundZone, make_server: Callable[..., BoundServer]
) -> None:
    web = make_server("web")
    name = f"secure.{zone.name}"
    for kind, value in (("A", ipv4(web)), ("AAAA", ipv6(web))):
        cloud.client.zones.create_rrset(
            zone, name="secure", type=cast(Any, kind), records=[ZoneRecord(value=value)]
        )
    directory = sandbox.credentials()["acme"]["directory"]
    caddyfile = f"{{\n acme_ca {directory}\n}}\n{name} {{\n respond hello\n}}\n"
    cloud.wait(ipv4(web))
    assert cloud.ssh(ipv4(web), "cat > /etc/caddy/Caddyfile", text=caddyfile).returncode == 0
    cloud.run(ipv4(web), "systemctl start caddy")
    context = ssl.create_default_context(cafile=sandbox.credentials()["trust"])
    give_up = time.monotonic() + 30
    while True:
        try:
            reply = httpx.get(f"https://{name}", verify=context, timeout=5, trust_env=False)
            break
        except httpx.TransportError:
            assert time.monotonic() < give_up
            time.sleep(0.3)
    assert reply.text == "hello"
    assert {info[4][0] for info in socket.getaddrinfo(name, 443)} == {ipv4(web), ipv6(web)}


def test_the_hosts_files_other_lines_stay_as_they_are() -> None:
    own = "127.0.0.1 localhost\n10.0.0.1 printer"
    block = hosts_file.render(own, {"b.test": ["203.0.113.11"], "a.test": ["203.0.113.10"]})
    assert block.startswith(own + "\n")
    assert block.index("a.test") < block.index("b.test")
    assert hosts_file.render(block, {}) == own + "\n"
    assert hosts_file.render(hosts_file.render(block, {"c.test": ["::1"]}), {}) == own + "\n"
