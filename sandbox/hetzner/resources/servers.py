"""Servers: listing, looking at, renaming and deleting them.

Making one is `server_create.py`, their actions `server_actions.py`.
"""

from typing import Any

from sandbox.hetzner import addresses, catalogue, machines
from sandbox.hetzner.cloud import Call
from sandbox.hetzner.errors import ApiError, invalid
from sandbox.hetzner.jobs import LOCKING, LOCKING_DELETE
from sandbox.hetzner.listing import Answer, page, select, timestamp
from sandbox.hetzner.naming import check_hostname
from sandbox.hetzner.resources import placement_groups
from sandbox.hetzner.resources.actions import begun
from sandbox.hetzner.routing import Routes
from sandbox.store import Record, Store

routes = Routes()


def render(store: Store, server: Record) -> dict[str, Any]:
    """A server as the API shows it."""
    kind = machines.server_type(server["server_type"])
    here = [p for p in kind["prices"] if p["location"] == server["location"]]
    group = store.get("placement_group", server["placement_group"] or 0)
    volumes = store.all("volume", server["project"])
    return {
        "id": server["id"],
        "name": server["name"],
        "status": server["status"],
        "created": timestamp(server["created"]),
        "public_net": _public_net(store, server),
        "private_net": [],
        "server_type": kind,
        "location": catalogue.by_reference(catalogue.locations(), server["location"]),
        "image": machines.image(server["image"]),
        "iso": None,
        "rescue_enabled": False,
        "locked": any(entry["command"] in LOCKING for entry in server["busy"]),
        "backup_window": None,
        "outgoing_traffic": 0,
        "ingoing_traffic": 0,
        "included_traffic": here[0]["included_traffic"] if here else 0,
        "protection": server["protection"],
        "labels": server["labels"],
        "volumes": [v["id"] for v in volumes if v["server"] == server["id"]],
        "load_balancers": [],
        "primary_disk_size": server["primary_disk_size"],
        "placement_group": placement_groups.render(store, group) if group else None,
    }


def _public_net(store: Store, server: Record) -> dict[str, Any]:
    ips = addresses.of_server(store, server["id"])
    v4, v6 = ips.get("ipv4"), ips.get("ipv6")
    settling = {"apply_firewall", "set_firewall_rules", "create_server"}
    pending = any(entry["command"] in settling for entry in server["busy"])
    return {
        "ipv4": None
        if v4 is None
        else {
            "id": v4["id"],
            "ip": v4["ip"],
            "blocked": False,
            "dns_ptr": v4["dns_ptr"][0]["dns_ptr"] if v4["dns_ptr"] else "",
        },
        "ipv6": None
        if v6 is None
        else {"id": v6["id"], "ip": v6["ip"], "blocked": False, "dns_ptr": v6["dns_ptr"]},
        "floating_ips": [],
        "firewalls": [
            {"id": firewall["id"], "status": "pending" if pending else "applied"}
            for firewall in machines.firewalls_of(store, server)
        ],
    }


@routes.get("/servers")
def list_servers(call: Call) -> Answer:
    """All servers of the project."""
    chosen = select(call.owned("server"), call.query, ("name", "status"))
    return page("servers", call.path, chosen, lambda s: render(call.store, s), call.query)


@routes.get("/servers/{id}")
def get_server(call: Call) -> Answer:
    """One server."""
    return Answer(200, {"server": render(call.store, call.find("server"))})


@routes.put("/servers/{id}")
def update_server(call: Call) -> Answer:
    """Its name and labels; new labels may bring or take firewalls."""
    if call.body.get("name"):
        check_hostname(call.body["name"])
    before = machines.rules_of(call.store, call.find("server"))
    server = call.rename("server")
    if machines.rules_of(call.store, server) != before:
        # The API tells of no action here; the change follows a moment later.
        resources = [("server", server["id"])]
        begun(call, call.cloud.jobs.begin(call.project, "apply_firewall", resources))
    return Answer(200, {"server": render(call.store, server)})


@routes.delete("/servers/{id}")
def delete_server(call: Call) -> Answer:
    """Remove a server; what it was doing is given up."""
    server = call.find("server")
    if server["protection"]["delete"]:
        raise ApiError("protected", "server is delete protected")
    call.refuse_when_locked(server, LOCKING_DELETE)
    deleting = [entry["id"] for entry in server["busy"] if entry["command"] == "delete_server"]
    if deleting:
        raise ApiError("locked", f"server {server['id']} is being deleted")
    call.cloud.jobs.cancel(server["id"], "the server was deleted")
    call.store.change("server", server["id"], status="deleting")
    resources = [("server", server["id"])]
    action = call.cloud.jobs.begin(call.project, "delete_server", resources)
    return Answer(200, {"action": begun(call, action)[0]})


@routes.get("/servers/{id}/metrics")
def get_metrics(call: Call) -> Answer:
    """Empty series: the sandbox measures nothing."""
    call.find("server")
    given = dict(call.query)
    if "type" not in given or "start" not in given or "end" not in given:
        raise invalid(type="type, start and end must be given")
    metrics = {"start": given["start"], "end": given["end"], "step": 60, "time_series": {}}
    return Answer(200, {"metrics": metrics})
