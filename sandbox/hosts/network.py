"""The servers' network: one bridge on this machine, with addresses of its own.

The ranges are those reserved for documentation, so they mean nothing elsewhere
and must never be sent to anyone: while the bridge is not there, `guard` has the
kernel drop such packets. Some networks do use an address of these ranges for a
package mirror or a proxy; `guard` finds the ones this machine already talks to
and leaves them where they are, for the servers too.
"""

import contextlib
import ipaddress
import json
import os
import re
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
from docker.errors import APIError, NotFound
from docker.types import IPAMConfig, IPAMPool

NETWORK = "deployment-flow"
BRIDGE = "flow0"
RANGE4 = ipaddress.IPv4Network("203.0.113.0/24")
RANGE6 = ipaddress.IPv6Network("2001:db8:1::/48")
# What Docker is told: its address books cannot hold a /48, so servers get the
# address in their own /64 from us, on a link that spans the whole range.
_DOCKER_RANGE6 = "2001:db8:1::/64"
GATEWAY4 = "203.0.113.1"
GATEWAY6 = "2001:db8:1::1"
REGISTRY4 = "203.0.113.2"
METADATA = "169.254.169.254"
METADATA_PORT = 7081

# The metadata address leads to us, and servers may ask our services even where this
# machine's own firewall lets nobody in.
_RULES = [
    ["iptables", "nat", "PREROUTING", "-i", BRIDGE, "-d", METADATA, "-p", "tcp", "--dport", "80",
     "-j", "DNAT", "--to-destination", f"{GATEWAY4}:{METADATA_PORT}"],
    ["iptables", "filter", "INPUT", "-i", BRIDGE, "-j", "ACCEPT"],
    ["ip6tables", "filter", "INPUT", "-i", BRIDGE, "-j", "ACCEPT"],
]  # fmt: skip
_LAST_METRIC = "4294967295"
_DOCUMENTATION6 = "2001:db8::/32"


class NetworkError(RuntimeError):
    """The servers' network cannot be made."""


def guard(names: Iterable[str]) -> list[str]:
    """Blackhole the ranges behind every other route; return the addresses kept out.

    `names` are hosts (mirrors, proxies) that must stay reachable as they are now.
    Safe to call again, with the network up or not.
    """
    kept = sorted(_outside_addresses(names))
    for address in kept:
        _keep_route(address)
    for family, range_ in (("-4", str(RANGE4)), ("-6", _DOCUMENTATION6)):
        # A machine without IPv6 cannot send to it either.
        _ip(family, "route", "replace", "blackhole", range_, "metric", _LAST_METRIC, check=False)
    return kept


def unguard() -> None:
    """Take back what `guard` set, kept routes included."""
    for family, range_ in (("-4", str(RANGE4)), ("-6", _DOCUMENTATION6)):
        _ip(family, "route", "del", "blackhole", range_, "metric", _LAST_METRIC, check=False)
    for route in _routes():
        if route.get("protocol") == "static" and _inside(str(route.get("dst", ""))):
            _ip("route", "del", str(route["dst"]), check=False)


def ensure(client: docker.DockerClient, kept: Iterable[str]) -> None:
    """Make the bridge and what servers expect of their network.

    `kept` is what `guard` returned. Raises `NetworkError`.
    """
    try:
        client.networks.get(NETWORK)
    except NotFound:
        _refuse_overlap()
        _create(client)
    _require_bridge()
    _ip("-6", "route", "replace", str(RANGE6), "dev", BRIDGE)
    for address in kept:
        # Servers take the whole range for their own link: answer for the exceptions.
        _ip("neigh", "replace", "proxy", address, "dev", BRIDGE)
    for rule in _RULES:
        if not _rule(rule, "-C"):
            _rule(rule, "-I")


def _create(client: docker.DockerClient) -> None:
    pools = [
        IPAMPool(subnet=str(RANGE4), gateway=GATEWAY4),
        IPAMPool(subnet=_DOCKER_RANGE6, gateway=GATEWAY6),
    ]
    try:
        client.networks.create(
            NETWORK,
            driver="bridge",
            enable_ipv6=True,
            options={"com.docker.network.bridge.name": BRIDGE},
            ipam=IPAMConfig(pool_configs=pools),
            labels={"deployment-flow": "sandbox"},
        )
    except APIError as error:
        raise NetworkError(
            f"docker refused to make the servers' network: {error.explanation or error}. It needs "
            f"{RANGE4} and {RANGE6} for itself, and a kernel with IPv6 switched on."
        ) from error


def remove(client: docker.DockerClient) -> None:
    """Undo `ensure`; containers must be gone."""
    for rule in _RULES:
        _rule(rule, "-D")
    with contextlib.suppress(NotFound):
        client.networks.get(NETWORK).remove()


def settle_addresses(pid: int, ipv4: str | None, ipv6: str | None) -> None:
    """Give the server whose init is `pid` its own IPv6 address, and none that is not its own.

    Docker has given it an IPv4 address (its own, or a filler to be taken away) and
    an IPv6 address out of its books.
    """
    wanted = {address for address in (ipv4, ipv6) if address}
    inside = ["nsenter", "-t", str(pid), "-n"]
    shown = json.loads(_run([*inside, "ip", "-j", "addr", "show", "dev", "eth0"]) or "[]")
    entries = [entry for link in shown for entry in link.get("addr_info", [])]
    there = {entry["local"] for entry in entries}
    if ipv6 and ipv6 not in there:
        address = f"{ipv6}/{RANGE6.prefixlen}"
        _run([*inside, "ip", "-6", "addr", "add", address, "dev", "eth0", "nodad"])
        _run([*inside, "ip", "-6", "route", "replace", "default", "via", GATEWAY6, "dev", "eth0"])
    for entry in entries:
        if entry["scope"] == "global" and entry["local"] not in wanted:
            spare = f"{entry['local']}/{entry['prefixlen']}"
            _run([*inside, "ip", "addr", "del", spare, "dev", "eth0"])


def exists() -> bool:
    """Whether the bridge has its address, and so whether servers can be sent to."""
    return any(
        entry.get("local") == GATEWAY4
        for link in _json("addr", "show", "dev", BRIDGE)
        for entry in link.get("addr_info", [])
    )


def _require_bridge() -> None:
    if not exists():
        raise NetworkError(
            f"docker's network {NETWORK!r} exists but its bridge {BRIDGE} has no address "
            f"{GATEWAY4}. Remove the network (docker network rm {NETWORK}) and try again."
        )


def _refuse_overlap() -> None:
    for link in _json("addr", "show"):
        for entry in link.get("addr_info", []):
            address = ipaddress.ip_address(entry["local"])
            if (address in RANGE4 or address in RANGE6) and link["ifname"] != BRIDGE:
                raise NetworkError(
                    f"this machine already has {address} on {link['ifname']}, inside the "
                    f"sandbox's range. Give that device another address and try again."
                )


def _outside_addresses(names: Iterable[str]) -> set[str]:
    """Addresses of our range that belong to somebody this machine already talks to."""
    found: set[str] = set()
    for name in {*names, *_proxies(), *_nameservers()}:
        try:
            entries = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
        except OSError:
            continue
        found |= {str(entry[4][0]) for entry in entries}
    for route in _routes():
        found.add(str(route.get("gateway", "")))
        if route.get("protocol") == "static":
            found.add(str(route.get("dst", "")))
    return {address for address in found if _inside(address)}


def _proxies() -> set[str]:
    """Hosts of package indexes and proxies this machine's environment names."""
    pattern = re.compile(r"(proxy|index_url|registry)$", re.IGNORECASE)
    values = [value for key, value in os.environ.items() if pattern.search(key)]
    return {name for value in values if (name := urlsplit(value).hostname)}


def _nameservers() -> list[str]:
    try:
        text = Path("/etc/resolv.conf").read_text()
    except OSError:
        return []
    return re.findall(r"^nameserver\s+(\S+)", text, re.MULTILINE)


def _inside(address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in RANGE4 and address != GATEWAY4
    except ValueError:
        return False


def _keep_route(address: str) -> None:
    """Pin an address to the way it is reached by default, past our own range."""
    if any(r.get("dst") == address and r.get("protocol") != "static" for r in _routes()):
        return
    default = next((r for r in _routes() if r.get("dst") == "default" and "gateway" in r), None)
    if default is None:
        return
    _ip(
        "route", "replace", f"{address}/32", "via", default["gateway"],
        "dev", default["dev"], "protocol", "static",
    )  # fmt: skip


def _routes() -> list[dict[str, Any]]:
    return _json("-4", "route", "show")


def _rule(rule: list[str], operation: str) -> bool:
    """Check (-C), insert (-I) or delete (-D) one rule; whether it went."""
    tool, table, *rest = rule
    command = [tool, "-w", "5", "-t", table, operation, *rest]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    if operation == "-I" and done.returncode != 0:
        raise NetworkError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.returncode == 0


def _json(*arguments: str) -> list[dict[str, Any]]:
    output = _run(["ip", "-j", *arguments], check=False)
    return json.loads(output) if output else []


def _ip(*arguments: str, check: bool = True) -> None:
    _run(["ip", *arguments], check=check)


def _run(command: list[str], *, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    if check and done.returncode != 0:
        raise NetworkError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
