"""Primary IPs: public addresses that outlive servers and move between them."""

from typing import Any

from sandbox.hetzner import addresses, catalogue, labels
from sandbox.hetzner.cloud import Call
from sandbox.hetzner.errors import ApiError, invalid
from sandbox.hetzner.listing import Answer, page, select, timestamp
from sandbox.hetzner.resources.actions import begun
from sandbox.hetzner.resources.actions import render as render_action
from sandbox.hetzner.routing import Routes
from sandbox.store import Record, Store

routes = Routes()


def render(primary_ip: Record) -> dict[str, Any]:
    """A primary IP as the API shows it."""
    shown = ("id", "name", "ip", "type", "labels", "auto_delete", "assignee_id", "dns_ptr")
    return {
        **{name: primary_ip[name] for name in shown},
        "assignee_type": "server",
        "blocked": False,
        "protection": primary_ip["protection"],
        "location": catalogue.by_reference(catalogue.locations(), primary_ip["location"]),
        "created": timestamp(primary_ip["created"]),
    }


def check_fits(store: Store, server: Record, kind: str) -> None:
    """Raise unless a stopped server has no address of this kind yet."""
    if server["status"] != "off":
        raise ApiError("server_not_stopped", "server must be powered off")
    if kind in addresses.of_server(store, server["id"]):
        raise ApiError(f"server_has_{kind}", f"server already has an {kind} address")


@routes.get("/primary_ips")
def list_primary_ips(call: Call) -> Answer:
    """All primary IPs of the project."""
    chosen = select(call.owned("primary_ip"), call.query, ("name", "ip"))
    return page("primary_ips", call.path, chosen, render, call.query)


@routes.post("/primary_ips")
def create_primary_ip(call: Call) -> Answer:
    """A new address, in a location or on a stopped server."""
    body = call.body
    labels.check(body.get("labels", {}))
    call.unique_name("primary_ip", body["name"])
    server = None
    if body.get("assignee_id") is not None:
        server = call.find("server", body["assignee_id"])
        check_fits(call.store, server, body["type"])
        place = server["location"]
    else:
        place = body.get("location")
    location = catalogue.by_reference(catalogue.locations(), place)
    if location is None:
        raise invalid(location="location or assignee_id must be given" if not place else "unknown")
    primary_ip = addresses.create(
        call.store,
        call.project,
        body["type"],
        location["name"],
        name=body["name"],
        labels=body.get("labels", {}),
        auto_delete=bool(body.get("auto_delete", False)),
        assignee_id=server["id"] if server else None,
    )
    answer: dict[str, Any] = {"primary_ip": render(primary_ip)}
    if server is not None:
        answer["action"] = _move(call, "assign_primary_ip", primary_ip, server["id"])
    return Answer(201, answer)


@routes.get("/primary_ips/{id}")
def get_primary_ip(call: Call) -> Answer:
    """One primary IP."""
    return Answer(200, {"primary_ip": render(call.find("primary_ip"))})


@routes.put("/primary_ips/{id}")
def update_primary_ip(call: Call) -> Answer:
    """Its name, labels, and whether it goes with its server."""
    primary_ip = call.rename("primary_ip")
    if "auto_delete" in call.body:
        if call.body["auto_delete"] and primary_ip["protection"]["delete"]:
            raise invalid(auto_delete="cannot be set while the primary IP is delete protected")
        primary_ip["auto_delete"] = call.body["auto_delete"]
        call.store.save("primary_ip", primary_ip)
    return Answer(200, {"primary_ip": render(primary_ip)})


@routes.delete("/primary_ips/{id}")
def delete_primary_ip(call: Call) -> Answer:
    """Give an unassigned address back."""
    primary_ip = call.find("primary_ip")
    if primary_ip["protection"]["delete"]:
        raise ApiError("protected", "primary IP is delete protected")
    if primary_ip["assignee_id"] is not None:
        raise ApiError("must_be_unassigned", "primary IP must be unassigned before it is deleted")
    call.store.remove("primary_ip", primary_ip["id"])
    return Answer(204, None)


@routes.post("/primary_ips/{id}/actions/assign")
def assign(call: Call) -> Answer:
    """Give it to a stopped server in the same location."""
    primary_ip, server = call.find("primary_ip"), call.find("server", call.body["assignee_id"])
    if primary_ip["assignee_id"] is not None:
        raise ApiError("primary_ip_already_assigned", "primary IP is already assigned")
    call.refuse_when_locked(server)
    check_fits(call.store, server, primary_ip["type"])
    if server["location"] != primary_ip["location"]:
        raise invalid(assignee_id="server and primary IP must be in the same location")
    call.store.change("primary_ip", primary_ip["id"], assignee_id=server["id"])
    return Answer(201, {"action": _move(call, "assign_primary_ip", primary_ip, server["id"])})


@routes.post("/primary_ips/{id}/actions/unassign")
def unassign(call: Call) -> Answer:
    """Take it from its stopped server."""
    primary_ip = call.find("primary_ip")
    if primary_ip["assignee_id"] is None:
        raise ApiError("primary_ip_not_assigned", "primary IP is not assigned")
    server = call.find("server", primary_ip["assignee_id"])
    call.refuse_when_locked(server)
    if server["status"] != "off":
        raise ApiError("server_not_stopped", "server must be powered off")
    call.store.change("primary_ip", primary_ip["id"], assignee_id=None)
    return Answer(201, {"action": _move(call, "unassign_primary_ip", primary_ip, server["id"])})


@routes.post("/primary_ips/{id}/actions/change_dns_ptr")
def change_dns_ptr(call: Call) -> Answer:
    """Set or reset a reverse name."""
    primary_ip = call.find("primary_ip")
    addresses.set_reverse_name(primary_ip, call.body["ip"], call.body["dns_ptr"])
    call.store.save("primary_ip", primary_ip)
    return _done(call, "change_dns_ptr", primary_ip)


@routes.post("/primary_ips/{id}/actions/change_protection")
def change_protection(call: Call) -> Answer:
    """Whether it may be deleted."""
    primary_ip = call.find("primary_ip")
    if call.body.get("delete") and primary_ip["auto_delete"]:
        raise invalid(delete="protection needs auto_delete to be false")
    primary_ip["protection"] = {**primary_ip["protection"], **call.body}
    call.store.save("primary_ip", primary_ip)
    return _done(call, "change_protection", primary_ip)


def _done(call: Call, command: str, primary_ip: Record) -> Answer:
    action = call.cloud.jobs.done(call.project, command, [("primary_ip", primary_ip["id"])])
    return Answer(201, {"action": render_action(action)})


def _move(call: Call, command: str, primary_ip: Record, server: int) -> dict[str, Any]:
    resources = [("primary_ip", primary_ip["id"]), ("server", server)]
    return begun(call, call.cloud.jobs.begin(call.project, command, resources))[0]
