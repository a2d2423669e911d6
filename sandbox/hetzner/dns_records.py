"""What may stand in a zone: values of records, and whole zone files."""

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.zone

from sandbox.hetzner.errors import invalid
from sandbox.store import Record, Store

NAMESERVERS = ["hydrogen.ns.hetzner.com.", "oxygen.ns.hetzner.com.", "helium.ns.hetzner.de."]
ADDRESSES = ("A", "AAAA", "CNAME", "HTTPS", "PTR", "SRV", "SVCB")
OTHERS = ("CAA", "DS", "HINFO", "MX", "NS", "RP", "SOA", "TLSA", "TXT")
TYPES = frozenset(ADDRESSES + OTHERS)
# A name has one of these at most, and with a CNAME nothing else.
SINGLE = ("CNAME", "SOA")


def sets_of(store: Store, zone: Record) -> list[Record]:
    """The record sets of a zone, oldest first."""
    return [r for r in store.all("rrset", zone["project"]) if r["zone"] == zone["id"]]


def key(zone: Record, name: str, kind: str) -> str:
    """The number a record set has among those of all zones."""
    return f"{zone['id']}/{name}/{kind}"


def check_values(kind: str, records: list[Record], field: str = "records") -> list[Record]:
    """Records as they are kept; raises `invalid_input` for one DNS cannot hold."""
    if not records:
        raise invalid(**{field: "must not be empty"})
    values = [record["value"] for record in records]
    if len(set(values)) < len(values):
        raise invalid(**{field: "must contain distinct values only"})
    if kind in SINGLE and len(values) > 1:
        raise invalid(**{field: f"a {kind} record set holds one record"})
    for place, value in enumerate(values):
        if kind == "TXT" and not (value.startswith('"') and value.endswith('"') and value != '"'):
            raise invalid(**{f"{field}.{place}.value": 'must be enclosed in quotes: "value"'})
        try:
            dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(kind), value)
        except (dns.exception.DNSException, ValueError) as error:
            message = f"is not a valid {kind} record: {error}"
            raise invalid(**{f"{field}.{place}.value": message}) from None
    return [{"value": record["value"], "comment": record.get("comment", "")} for record in records]


def check_alone(others: list[Record], name: str, kind: str) -> None:
    """Raise `invalid_input` when a CNAME would not be alone at its name."""
    here = [r["type"] for r in others if r["name"] == name and r["type"] != kind]
    if here and (kind == "CNAME" or "CNAME" in here):
        raise invalid(type=f"{kind} cannot stand beside {here[0]} at the same name")


def initial_sets() -> list[Record]:
    """What a new zone holds: its start of authority and its name servers."""
    soa = f"{NAMESERVERS[0]} dns.hetzner.com. 2025010100 86400 10800 3600000 3600"
    return [
        {"name": "@", "type": "SOA", "ttl": None, "records": [{"value": soa, "comment": ""}]},
        {
            "name": "@",
            "type": "NS",
            "ttl": 3600,
            "records": [{"value": server, "comment": ""} for server in NAMESERVERS],
        },
    ]


def export(zone: Record, sets: list[Record]) -> str:
    """A zone file (RFC 1035)."""
    lines = [f"$ORIGIN\t{zone['name']}.", f"$TTL\t{zone['ttl']}", ""]
    for rrset in sets:
        ttl = [str(rrset["ttl"])] if rrset["ttl"] else []
        for record in rrset["records"]:
            note = [f"; {record['comment']}"] if record["comment"] else []
            parts = [rrset["name"], *ttl, "IN", rrset["type"], record["value"], *note]
            lines.append("\t".join(parts))
    return "\n".join(lines) + "\n"


def read(zone_name: str, text: str) -> list[Record]:
    """The record sets of a zone file; raises `invalid_input`."""
    try:
        parsed = dns.zone.from_text(text, origin=f"{zone_name}.", check_origin=False)
    except (dns.exception.DNSException, ValueError) as error:
        raise invalid(zonefile=str(error)) from None
    found = []
    for name, dataset in parsed.iterate_rdatasets():
        kind = dns.rdatatype.to_text(dataset.rdtype)
        values = [rdata.to_text(origin=parsed.origin, relativize=False) for rdata in dataset]
        records = [{"value": value, "comment": ""} for value in values]
        found.append({"name": str(name), "type": kind, "ttl": dataset.ttl, "records": records})
    return found
