"""Two slots, so that a new version starts beside the old one and takes over once it is well.

A service that may run twice is called `web` in slot blue and `web.green` in slot green; its
loopback port moves with it. Services of one slot reach each other by their plain names, whatever
runs in the other. What may not run twice (a database, a scheduler) has one name, in both. Pure.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

PROJECT = "app"
SLOTS = ("blue", "green")
SINGLE = "deployment-flow.single"
_GREEN = ".green"
"""No service of an application has a dot in its name."""
_GREEN_PORTS = 10000
"""How far below its port a service's other port is; the program's begin at 20000."""


def other(slot: str) -> str:
    """The slot that is free."""
    return SLOTS[1 - SLOTS.index(slot)]


def name_in(slot: str, service: str) -> str:
    """What a service that may run twice is called in a slot."""
    return service if slot == SLOTS[0] else service + _GREEN


def plain(service: str) -> str:
    """What the application calls a service, whichever slot it is in."""
    return service.removesuffix(_GREEN)


def port_in(slot: str, port: int) -> int:
    """The loopback port of a service that may run twice."""
    return port if slot == SLOTS[0] else port - _GREEN_PORTS


def compose_in(slot: str, compose: Mapping[str, Any], doubled: Collection[str]) -> dict[str, Any]:
    """A release's Compose file as it runs in a slot."""
    rendered = copy.deepcopy(dict(compose))
    services = {}
    for name, service in compose["services"].items():
        if name in doubled:
            services[name_in(slot, name)] = _doubled(slot, name, service, doubled)
        else:
            services[name] = _single(slot, service, doubled)
    rendered["services"] = services
    return rendered


def ports_of(compose: Mapping[str, Any], services: Collection[str]) -> dict[str, int]:
    """Service → its loopback port, for those of `services` that have one."""
    found = {}
    for name in services:
        for port in compose["services"].get(name, {}).get("ports") or []:
            found[name] = int(str(port).split(":")[1])
    return found


def late(compose: Mapping[str, Any], doubled: Collection[str]) -> set[str]:
    """Services that follow once the new version serves: one only, and nothing new waits for them.

    A scheduler of the old version goes on until then; where the new version is given up before,
    it was never touched.
    """
    services = compose["services"]
    needed: set[str] = set()
    found = [*doubled]
    while found:
        name = found.pop()
        if name not in needed:
            needed.add(name)
            found += (services.get(name) or {}).get("depends_on") or {}
    return {
        name
        for name, service in services.items()
        if name not in needed and _labels(service).get(SINGLE) == "true"
    }


def _doubled(
    slot: str, name: str, service: Mapping[str, Any], doubled: Collection[str]
) -> dict[str, Any]:
    made = copy.deepcopy(dict(service))
    if waits := made.get("depends_on"):
        made["depends_on"] = {
            name_in(slot, each) if each in doubled else each: how for each, how in waits.items()
        }
    if links := made.get("links"):
        made["links"] = [_link(slot, str(each), doubled) for each in links]
    # Seen by this container alone, and before any other meaning of the name: while both slots run,
    # the network's own name means either.
    made["external_links"] = [
        f"{PROJECT}-{name_in(slot, each)}-1:{each}" for each in sorted(doubled) if each != name
    ]
    if slot != SLOTS[0]:
        made["networks"] = _with_alias(made.get("networks"), name)
    if ports := made.get("ports"):
        made["ports"] = [_moved(slot, str(each)) for each in ports]
    return made


def _single(slot: str, service: Mapping[str, Any], doubled: Collection[str]) -> dict[str, Any]:
    made = copy.deepcopy(dict(service))
    waits = dict(made.pop("depends_on", None) or {})
    if made.get("profiles"):  # a job, which is made anew each time
        waits = {name_in(slot, n) if n in doubled else n: how for n, how in waits.items()}
    else:
        # What it waits for is there by then, and a name that changes would replace it.
        waits = {name: how for name, how in waits.items() if name not in doubled}
    if waits:
        made["depends_on"] = waits
    return made


def _labels(service: Mapping[str, Any]) -> dict[str, str]:
    given = service.get("labels") or {}
    if isinstance(given, list):
        given = dict(str(entry).partition("=")[::2] for entry in given)
    return {str(key): str(value) for key, value in given.items()}


def _link(slot: str, link: str, doubled: Collection[str]) -> str:
    service, _, alias = link.partition(":")
    there = name_in(slot, service) if service in doubled else service
    return f"{there}:{alias or service}"


def _with_alias(networks: Any, alias: str) -> dict[str, Any]:
    """Networks in Compose's long form, where the service is known by its plain name as well."""
    if not networks:
        networks = ["default"]
    if isinstance(networks, list):
        networks = dict.fromkeys(networks)
    return {
        name: {**(how or {}), "aliases": [*((how or {}).get("aliases") or []), alias]}
        for name, how in networks.items()
    }


def _moved(slot: str, port: str) -> str:
    address, public, inside = port.split(":")
    return f"{address}:{port_in(slot, int(public))}:{inside}"
