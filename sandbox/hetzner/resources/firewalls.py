"""Firewalls, applied to servers directly or by label selector."""

import ipaddress
from typing import Any

from sandbox.hetzner import labels
from sandbox.hetzner.cloud import Call
from sandbox.hetzner.errors import ApiError, invalid
from sandbox.hetzner.listing import Answer, page, select, timestamp
from sandbox.hetzner.machines import firewalls_of
from sandbox.hetzner.resources.actions import begun
from sandbox.hetzner.routing import Routes
from sandbox.store import Record

routes = Routes()

MOST_RULES = 50
MOST_FIREWALLS = 5
MOST_NETWORKS = 100


def _matching(call: Call, selector: str) -> list[int]:
    servers = call.owned("server")
    return [s["id"] for s in servers if labels.matches(selector, s["labels"])]


def _reached(call: Call, firewall: Record) -> set[int]:
    """The servers a firewall holds for."""
    servers = call.owned("server")
    return {s["id"] for s in servers if firewall["id"] in _ids(firewalls_of(call.store, s))}


def _ids(records: list[Record]) -> list[int]:
    return [record["id"] for record in records]


def render(call: Call, firewall: Record) -> dict[str, Any]:
    """A firewall as the API shows it, with the servers its selectors match."""
    targets = []
    for target in firewall["applied_to"]:
        if target["type"] == "label_selector":
            reached = [
                {"type": "server", "server": {"id": number}}
                for number in _matching(call, target["label_selector"]["selector"])
            ]
            target = {**target, "applied_to_resources": reached}
        targets.append(target)
    return {
        "id": firewall["id"],
        "name": firewall["name"],
        "labels": firewall["labels"],
        "rules": firewall["rules"],
        "applied_to": targets,
        "created": timestamp(firewall["created"]),
    }


def check_rule(rule: dict[str, Any], place: str) -> dict[str, Any]:
    """A rule as it is kept; raises `invalid_input` naming `place`."""
    networks, others = ("source_ips", "destination_ips")
    if rule["direction"] == "out":
        networks, others = others, networks
    if not rule.get(networks):
        raise invalid(**{f"{place}.{networks}": "must not be empty"})
    if len(rule[networks]) > MOST_NETWORKS:
        raise invalid(**{f"{place}.{networks}": f"at most {MOST_NETWORKS} networks are allowed"})
    if rule.get(others):
        raise invalid(**{f"{place}.{others}": f"must be empty for direction {rule['direction']}"})
    try:
        canonical = [str(ipaddress.ip_network(network)) for network in rule[networks]]
    except ValueError as error:
        raise invalid(**{f"{place}.{networks}": str(error)}) from None
    port = rule.get("port")
    if rule["protocol"] in ("tcp", "udp"):
        if port is None:
            raise invalid(**{f"{place}.port": "is required for tcp and udp"})
        _check_port(port, place)
    elif port is not None:
        raise invalid(**{f"{place}.port": "is only allowed for tcp and udp"})
    return {
        "direction": rule["direction"],
        "protocol": rule["protocol"],
        "port": port,
        "description": rule.get("description"),
        networks: canonical,
        others: [],
    }


def _check_port(port: str, place: str) -> None:
    low, dash, high = port.partition("-")
    ends = [low, high] if dash else [low]
    if port == "any":
        return
    if not all(end.isascii() and end.isdigit() and 1 <= int(end) <= 65535 for end in ends):
        raise invalid(**{f"{place}.port": "must be a port, a range of ports or any"})
    if dash and int(low) > int(high):
        raise invalid(**{f"{place}.port": "the range ends before it begins"})


def _rules(body: dict[str, Any]) -> list[dict[str, Any]]:
    given = body.get("rules") or []
    if len(given) > MOST_RULES:
        raise invalid(rules=f"at most {MOST_RULES} rules are allowed")
    return [check_rule(rule, f"rules.{place}") for place, rule in enumerate(given)]


def _target(call: Call, target: dict[str, Any], status: int) -> Record:
    """A target as it is kept; raises when it does not exist."""
    if target["type"] == "label_selector":
        selector = (target.get("label_selector") or {}).get("selector", "")
        if not labels.parse(selector):
            raise invalid(label_selector="must not be empty")
        return {"type": "label_selector", "label_selector": {"selector": selector}}
    number = (target.get("server") or {}).get("id")
    if call.store.get("server", number or 0, call.project) is None:
        message = f"server {number} not found"
        raise ApiError("firewall_resource_not_found", message, status=status)
    return {"type": "server", "server": {"id": number}}


def _apply(call: Call, firewall: Record, given: list[dict[str, Any]], status: int) -> list[Record]:
    """Add targets; the actions that do it, one for each."""
    begin, actions = call.cloud.jobs.begin, []
    for target in [_target(call, target, status) for target in given]:
        if target in firewall["applied_to"]:
            raise ApiError("firewall_already_applied", "firewall is already applied to resource")
        firewall["applied_to"].append(target)
        call.store.save("firewall", firewall)
        resources = [("firewall", firewall["id"])]
        if target["type"] == "server":
            number = target["server"]["id"]
            server = call.find("server", number)
            if len(firewalls_of(call.store, server)) > MOST_FIREWALLS:
                message = f"a server can have at most {MOST_FIREWALLS} firewalls"
                raise ApiError("resource_limit_exceeded", message)
            action = begin(call.project, "apply_firewall", [*resources, ("server", number)])
        else:
            numbers = _matching(call, target["label_selector"]["selector"])
            action = begin(call.project, "apply_firewall", resources, servers=numbers)
        actions.append(action)
    return actions


@routes.get("/firewalls")
def list_firewalls(call: Call) -> Answer:
    """All firewalls of the project."""
    chosen = select(call.owned("firewall"), call.query)
    return page("firewalls", call.path, chosen, lambda f: render(call, f), call.query)


@routes.post("/firewalls")
def create_firewall(call: Call) -> Answer:
    """A new firewall, possibly applied at once."""
    labels.check(call.body.get("labels") or {})
    call.unique_name("firewall", call.body["name"])
    firewall = call.store.add(
        "firewall",
        call.project,
        {
            "name": call.body["name"],
            "labels": call.body.get("labels") or {},
            "rules": _rules(call.body),
            "applied_to": [],
            "created": call.store.now(),
        },
    )
    rules = call.cloud.jobs.done(call.project, "set_firewall_rules", [("firewall", firewall["id"])])
    applied = _apply(call, firewall, call.body.get("apply_to") or [], 422)
    return Answer(
        201, {"firewall": render(call, firewall), "actions": begun(call, rules, *applied)}
    )


@routes.get("/firewalls/{id}")
def get_firewall(call: Call) -> Answer:
    """One firewall."""
    return Answer(200, {"firewall": render(call, call.find("firewall"))})


@routes.put("/firewalls/{id}")
def update_firewall(call: Call) -> Answer:
    """Its name and labels."""
    return Answer(200, {"firewall": render(call, call.rename("firewall"))})


@routes.delete("/firewalls/{id}")
def delete_firewall(call: Call) -> Answer:
    """Remove a firewall that is applied to nothing."""
    firewall = call.find("firewall")
    if firewall["applied_to"]:
        raise ApiError("resource_in_use", "firewall is still applied to a resource")
    call.store.remove("firewall", firewall["id"])
    return Answer(204, None)


@routes.post("/firewalls/{id}/actions/set_rules")
def set_rules(call: Call) -> Answer:
    """Replace its rules, on every server it holds for."""
    firewall = call.find("firewall")
    firewall["rules"] = _rules(call.body)
    call.store.save("firewall", firewall)
    resources, servers = [("firewall", firewall["id"])], sorted(_reached(call, firewall))
    begin = call.cloud.jobs.begin
    actions = [begin(call.project, "set_firewall_rules", resources, servers=servers)]
    for number in servers:
        applied = [*resources, ("server", number)]
        actions.append(call.cloud.jobs.begin(call.project, "apply_firewall", applied))
    return Answer(201, {"actions": begun(call, *actions)})


@routes.post("/firewalls/{id}/actions/apply_to_resources")
def apply_to_resources(call: Call) -> Answer:
    """Apply it to more servers or selectors."""
    firewall = call.find("firewall")
    actions = _apply(call, firewall, call.body["apply_to"], 404)
    return Answer(201, {"actions": begun(call, *actions)})


@routes.post("/firewalls/{id}/actions/remove_from_resources")
def remove_from_resources(call: Call) -> Answer:
    """Take it from servers or selectors; one it was not applied to is fine."""
    firewall, actions = call.find("firewall"), []
    for target in [_target(call, target, 404) for target in call.body["remove_from"]]:
        before = _reached(call, firewall)
        number = target.get("server", {}).get("id")
        if target not in firewall["applied_to"] and number in before:
            raise ApiError(
                "firewall_managed_by_label_selector",
                "firewall is applied by a label selector and cannot be removed manually",
            )
        firewall["applied_to"] = [kept for kept in firewall["applied_to"] if kept != target]
        call.store.save("firewall", firewall)
        resources = [("firewall", firewall["id"])]
        if number is not None:
            resources.append(("server", number))
        servers = sorted(before - _reached(call, firewall))
        begin = call.cloud.jobs.begin
        actions.append(begin(call.project, "remove_firewall", resources, servers=servers))
    return Answer(201, {"actions": begun(call, *actions)})
