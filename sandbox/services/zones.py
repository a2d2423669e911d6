"""Answers to DNS questions out of the cloud's records. Pure but for reading the store."""

import ipaddress
from collections.abc import Iterable

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset

from sandbox.hosts import network
from sandbox.services import address_names as by_address
from sandbox.store import Record, Store

SERVICES = {
    "acme.sandbox.test": network.GATEWAY4,
    "dns.sandbox.test": network.GATEWAY4,
    "registry.sandbox.test": network.REGISTRY4,
    "registry-token.sandbox.test": network.GATEWAY4,
}
_SERVICE_TTL = 60
_LONGEST_CHAIN = 8
# Names that must not be asked of anyone else: reserved ones, and our own addresses'.
_OURS = tuple(
    dns.name.from_text(text)
    for text in ("test.", "113.0.203.in-addr.arpa.", "1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.")
)


def answer(query: dns.message.Message, store: Store) -> dns.message.Message | None:
    """The reply to a query about names the sandbox holds; None for any other name."""
    if not query.question:
        return None
    question = query.question[0]
    zone = _zone_of(store, question.name)
    if zone is None and not any(question.name.is_subdomain(ours) for ours in _OURS):
        return None
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA | dns.flags.RA
    if question.rdclass != dns.rdataclass.IN:
        reply.set_rcode(dns.rcode.REFUSED)
    elif zone is None:
        _answer_service(reply, question.name, question.rdtype, store)
    else:
        _answer_zone(reply, question.name, question.rdtype, store)
    return reply


def address_names(store: Store) -> dict[str, list[str]]:
    """Name → addresses of every A and AAAA record set, wildcards aside."""
    names: dict[str, list[str]] = {}
    for zone in store.all("zone"):
        for rrset in _sets(store, zone):
            if rrset["type"] in ("A", "AAAA") and not rrset["name"].startswith("*"):
                at = "" if rrset["name"] == "@" else f"{rrset['name']}."
                name = f"{at}{zone['name']}".rstrip(".")
                names.setdefault(name, []).extend(r["value"] for r in rrset["records"])
    return names


def _zone_of(store: Store, name: dns.name.Name) -> Record | None:
    """The longest zone that holds a name."""
    holding = [z for z in store.all("zone") if name.is_subdomain(dns.name.from_text(z["name"]))]
    return max(holding, key=lambda z: len(z["name"]), default=None)


def _sets(store: Store, zone: Record) -> list[Record]:
    return [r for r in store.all("rrset", zone["project"]) if r["zone"] == zone["id"]]


def _answer_service(
    reply: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType, store: Store
) -> None:
    text = name.to_text(omit_final_dot=True).lower()
    if kind == dns.rdatatype.PTR and (pointer := _reverse_name(store, name)):
        reply.answer.append(_rrset(name, _SERVICE_TTL, "PTR", [f"{pointer}."], dns.name.root))
    elif address := by_address.address_in(text):
        wanted = "A" if address.version == 4 else "AAAA"
        if kind == dns.rdatatype.from_text(wanted):
            by_address.note(store, text, address)
            reply.answer.append(_rrset(name, _SERVICE_TTL, wanted, [str(address)], dns.name.root))
    elif text in SERVICES:
        if kind == dns.rdatatype.A:
            value = SERVICES[text]
            reply.answer.append(_rrset(name, _SERVICE_TTL, "A", [value], dns.name.root))
    else:
        reply.set_rcode(dns.rcode.NXDOMAIN)


def _reverse_name(store: Store, name: dns.name.Name) -> str | None:
    try:
        address = ipaddress.ip_address(dns.reversename.to_address(name))
    except (ValueError, dns.exception.DNSException):
        return None
    for primary_ip in store.all("primary_ip"):
        for entry in primary_ip["dns_ptr"]:
            if ipaddress.ip_address(entry["ip"]) == address:
                return str(entry["dns_ptr"])
    return None


def _answer_zone(
    reply: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType, store: Store
) -> None:
    """Follow aliases as long as they stay in zones of the sandbox."""
    for _ in range(_LONGEST_CHAIN):
        zone = _zone_of(store, name)
        if zone is None:
            return
        origin = dns.name.from_text(zone["name"])
        found, exists = _at(_sets(store, zone), name, origin)
        wanted = [r for r in found if dns.rdatatype.from_text(r["type"]) == kind]
        wanted += found if kind == dns.rdatatype.ANY else []
        for rrset in wanted:
            reply.answer.append(_from_record(name, rrset, zone, origin))
        alias = next((r for r in found if r["type"] == "CNAME"), None)
        if wanted or alias is None:
            if not wanted:
                if not exists:
                    reply.set_rcode(dns.rcode.NXDOMAIN)
                reply.authority += _start_of_authority(_sets(store, zone), zone, origin)
            return
        chain = _from_record(name, alias, zone, origin)
        reply.answer.append(chain)
        name = chain[0].target


def _at(
    sets: Iterable[Record], name: dns.name.Name, origin: dns.name.Name
) -> tuple[list[Record], bool]:
    """The record sets a name gets (by a wildcard, too), and whether the name exists."""
    by_name: dict[dns.name.Name, list[Record]] = {}
    for rrset in sets:
        owner = dns.name.from_text(rrset["name"], origin) if rrset["name"] != "@" else origin
        by_name.setdefault(owner, []).append(rrset)
    if name in by_name:
        return by_name[name], True
    if any(owner.is_subdomain(name) for owner in by_name):
        return [], True  # a name that only others hang below
    closest = name.parent()
    while closest != origin and not any(owner.is_subdomain(closest) for owner in by_name):
        closest = closest.parent()
    wildcard = dns.name.Name((b"*", *closest.labels))
    return by_name.get(wildcard, []), wildcard in by_name


def _start_of_authority(
    sets: Iterable[Record], zone: Record, origin: dns.name.Name
) -> list[dns.rrset.RRset]:
    found = (r for r in sets if r["type"] == "SOA" and r["name"] == "@")
    return [_from_record(origin, rrset, zone, origin) for rrset in found]


def _from_record(
    name: dns.name.Name, rrset: Record, zone: Record, origin: dns.name.Name
) -> dns.rrset.RRset:
    values = [record["value"] for record in rrset["records"]]
    return _rrset(name, int(rrset["ttl"] or zone["ttl"]), rrset["type"], values, origin)


def _rrset(
    name: dns.name.Name, ttl: int, kind: str, values: list[str], origin: dns.name.Name
) -> dns.rrset.RRset:
    data = [
        dns.rdata.from_text(
            dns.rdataclass.IN, dns.rdatatype.from_text(kind), value, origin, relativize=False
        )
        for value in values
    ]
    return dns.rrset.from_rdata_list(name, ttl, data)
