"""Public addresses: which are free, who has them, what names they carry.

A primary IPv4 is one address of 203.0.113.10–250, a primary IPv6 a /64 of
2001:db8:1::/48 whose first address the server takes. A freed address is used
again only once all others have been, so that nothing old answers to it.
"""

import ipaddress
from typing import Any

from sandbox.hetzner.errors import ApiError
from sandbox.store import Record, Store

IPV4_POOL = [f"203.0.113.{number}" for number in range(10, 251)]
IPV6_COUNT = 0xFFF


def create(store: Store, project: str, kind: str, location: str, **more: Any) -> Record:
    """A new primary IP (`kind` is ipv4 or ipv6) of a free address.

    Raises `resource_limit_exceeded` when every address is in use.
    """
    ip = _free(store, kind)
    record = {
        "type": kind,
        "ip": ip,
        "location": location,
        "assignee_id": None,
        "auto_delete": True,
        "dns_ptr": [{"ip": ip, "dns_ptr": default_name(ip)}] if kind == "ipv4" else [],
        "labels": {},
        "protection": {"delete": False},
        "created": store.now(),
        **more,
    }
    added = store.add("primary_ip", project, record)
    if "name" not in added:
        added["name"] = f"primary_ip-{added['id']}"
        store.save("primary_ip", added)
    return added


def _free(store: Store, kind: str) -> str:
    taken = {record["ip"] for record in store.all("primary_ip") if record["type"] == kind}
    # This machine reaches something else there, which a server would hide.
    taken |= set(store.setting("reserved_addresses", []))
    pool = IPV4_POOL if kind == "ipv4" else [f"2001:db8:1:{n:x}::/64" for n in range(1, IPV6_COUNT)]
    start = store.next_number(f"next {kind}", 0)
    for step in range(len(pool)):
        candidate = pool[(start + step) % len(pool)]
        if candidate not in taken:
            return candidate
    raise ApiError("resource_limit_exceeded", f"no {kind} address is left in the sandbox")


def host_address(primary_ip: Record) -> str:
    """The address the server itself takes: `::1` of an IPv6 network."""
    if primary_ip["type"] == "ipv4":
        return str(primary_ip["ip"])
    return str(ipaddress.IPv6Network(primary_ip["ip"])[1])


def of_server(store: Store, server_id: int) -> dict[str, Record]:
    """The primary IPs of a server by type (`ipv4`, `ipv6`)."""
    return {r["type"]: r for r in store.all("primary_ip") if r["assignee_id"] == server_id}


def default_name(ip: str) -> str:
    """The reverse name an IPv4 address has until another is set."""
    return f"static.{'.'.join(reversed(ip.split('.')))}.clients.your-server.de"


def set_reverse_name(primary_ip: Record, ip: str, name: str | None) -> None:
    """Change one reverse name in the record; None resets it.

    Raises `invalid_input` for an address that is not the primary IP's.
    """
    try:
        inside = ipaddress.ip_address(ip) in ipaddress.ip_network(primary_ip["ip"])
    except ValueError:
        inside = False
    if not inside:
        raise ApiError(
            "invalid_input",
            f"invalid input in field 'ip': {ip} does not belong to this resource",
            {"fields": [{"name": "ip", "messages": ["does not belong to this resource"]}]},
        )
    canonical = str(ipaddress.ip_address(ip))
    others = [entry for entry in primary_ip["dns_ptr"] if entry["ip"] != canonical]
    if name is None and primary_ip["type"] == "ipv4":
        name = default_name(canonical)
    new = [] if name is None else [{"ip": canonical, "dns_ptr": name}]
    primary_ip["dns_ptr"] = [*others, *new]
