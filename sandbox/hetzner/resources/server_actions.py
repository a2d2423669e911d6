"""What can be asked of a server once it exists."""

from sandbox.hetzner import addresses, catalogue
from sandbox.hetzner.cloud import Call
from sandbox.hetzner.errors import ApiError, invalid, not_found
from sandbox.hetzner.listing import Answer
from sandbox.hetzner.machines import image, server_type
from sandbox.hetzner.resources import placement_groups
from sandbox.hetzner.resources.actions import begun, render
from sandbox.hetzner.resources.server_create import find_image, new_root_password
from sandbox.hetzner.routing import Routes
from sandbox.store import Record

routes = Routes()

# The path's last part, and the command its action has.
POWER = {
    "poweron": "start_server",
    "poweroff": "stop_server",
    "shutdown": "shutdown_server",
    "reboot": "reboot_server",
    "reset": "reset_server",
}
NEED_RUNNING = ("reboot", "reset")


def _begin(call: Call, server: Record, command: str, **args: object) -> Answer:
    resources = [("server", server["id"])]
    action = call.cloud.jobs.begin(call.project, command, resources, **args)
    return Answer(201, {"action": begun(call, action)[0]})


def _done(call: Call, server: Record, command: str) -> Answer:
    action = call.cloud.jobs.done(call.project, command, [("server", server["id"])])
    return Answer(201, {"action": render(action)})


def _need_off(server: Record) -> None:
    if server["status"] != "off":
        raise ApiError("server_not_stopped", "server must be powered off")


def _register(name: str, command: str) -> None:
    @routes.post(f"/servers/{{id}}/actions/{name}")
    def switch(call: Call) -> Answer:
        server = call.find("server")
        call.refuse_when_locked(server)
        if name in NEED_RUNNING and server["status"] != "running":
            raise ApiError("server_not_running", "server is not running")
        return _begin(call, server, command)


for _name, _command in POWER.items():
    _register(_name, _command)


@routes.post("/servers/{id}/actions/rebuild")
def rebuild(call: Call) -> Answer:
    """A fresh disk from an image; everything on the old one is lost."""
    server = call.find("server")
    if server["protection"]["rebuild"]:
        raise ApiError("protected", "server is rebuild protected")
    call.refuse_when_locked(server)
    architecture = image(server["image"])["architecture"]
    server["image"] = find_image(call.body["image"], architecture)["id"]
    if "user_data" in call.body:
        server["user_data"] = call.body["user_data"]
    password = None
    if not server["keys"]:
        password, server["root_password_hash"] = new_root_password()
    call.store.save("server", server)
    answer = _begin(call, server, "rebuild_server")
    return Answer(201, {**(answer.body or {}), "root_password": password})


@routes.post("/servers/{id}/actions/change_type")
def change_type(call: Call) -> Answer:
    """More or fewer cores, memory and (for good) disk."""
    server, wanted = call.find("server"), call.body["server_type"]
    call.refuse_when_locked(server)
    kind = catalogue.by_reference(catalogue.server_types(), wanted)
    if kind is None:
        raise not_found("server_type", wanted)
    _need_off(server)
    problems = {
        "server already has this type": kind["name"] == server["server_type"],
        "architectures differ": kind["architecture"]
        != server_type(server["server_type"])["architecture"],
        "its disk is too small": kind["disk"] < server["primary_disk_size"],
        "it is not sold in the server's location": server["location"]
        not in [place["name"] for place in kind["locations"]],
    }
    for problem, holds in problems.items():
        if holds:
            raise ApiError("invalid_server_type", f"cannot change to {kind['name']}: {problem}")
    call.cloud.faults.check_capacity(call.project, kind["name"], server["location"])
    upgrade = call.body["upgrade_disk"]
    name = kind["name"]
    return _begin(call, server, "change_server_type", server_type=name, upgrade_disk=upgrade)


@routes.post("/servers/{id}/actions/change_protection")
def change_protection(call: Call) -> Answer:
    """Whether it may be deleted or rebuilt; the API wants both to be the same."""
    server = call.find("server")
    protection = {**server["protection"], **call.body}
    if protection["delete"] != protection["rebuild"]:
        raise invalid(rebuild="delete and rebuild protection must have the same value")
    call.store.change("server", server["id"], protection=protection)
    return _done(call, server, "change_protection")


@routes.post("/servers/{id}/actions/change_dns_ptr")
def change_dns_ptr(call: Call) -> Answer:
    """Set or reset the reverse name of one of its addresses."""
    server, ip = call.find("server"), call.body["ip"]
    for primary_ip in addresses.of_server(call.store, server["id"]).values():
        try:
            addresses.set_reverse_name(primary_ip, ip, call.body["dns_ptr"])
        except ApiError:
            continue
        call.store.save("primary_ip", primary_ip)
        return _done(call, server, "change_dns_ptr")
    raise invalid(ip="does not belong to this server")


@routes.post("/servers/{id}/actions/add_to_placement_group")
def add_to_placement_group(call: Call) -> Answer:
    """Put a stopped server into a group."""
    server = call.find("server")
    group = call.find("placement_group", call.body["placement_group"])
    if server["placement_group"] is not None:
        raise ApiError("placement_error", "server is already in a placement group")
    _need_off(server)
    placement_groups.check_room(call.store, group)
    call.store.change("server", server["id"], placement_group=group["id"])
    return _done(call, server, "add_to_placement_group")


@routes.post("/servers/{id}/actions/remove_from_placement_group")
def remove_from_placement_group(call: Call) -> Answer:
    """Take a server out of its group."""
    server = call.find("server")
    if server["placement_group"] is None:
        raise invalid(placement_group="server is in no placement group")
    call.store.change("server", server["id"], placement_group=None)
    return _done(call, server, "remove_from_placement_group")
