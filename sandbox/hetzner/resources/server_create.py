"""Making a server: what it is made of, where, and what comes with it."""

import secrets
import subprocess
from typing import Any

from sandbox.hetzner import addresses, catalogue, labels
from sandbox.hetzner.cloud import Call
from sandbox.hetzner.errors import ApiError, invalid, not_found
from sandbox.hetzner.listing import Answer
from sandbox.hetzner.naming import check_hostname
from sandbox.hetzner.resources import placement_groups, servers, volumes
from sandbox.hetzner.resources.actions import begun
from sandbox.hetzner.routing import Routes
from sandbox.store import Record

routes = Routes()

LONGEST_USER_DATA = 32 * 1024


def new_root_password() -> tuple[str, str]:
    """A password and its SHA-512 crypt hash."""
    password = secrets.token_urlsafe(15)
    made = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"],
        input=password,
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return password, made.stdout.strip()


def find_image(reference: object, architecture: str) -> Record:
    """An image by number, or by name for an architecture; raises `not_found`."""
    fitting = [image for image in catalogue.images() if image["architecture"] == architecture]
    found = catalogue.by_reference(fitting, reference)
    if found is None:
        if catalogue.by_reference(catalogue.images(), reference):
            raise invalid(image=f"image is not for architecture {architecture}")
        raise not_found("image", reference)
    return found


def _wanted_ips(call: Call) -> tuple[dict[str, Record], list[str]]:
    """Primary IPs asked for, and the kinds of which a new one is to be made."""
    public = call.body.get("public_net") or {}
    given: dict[str, Record] = {}
    new: list[str] = []
    for kind in ("ipv4", "ipv6"):
        if public.get(kind) is not None:
            primary_ip = call.find("primary_ip", public[kind])
            if primary_ip["type"] != kind:
                message = f"primary IP {primary_ip['id']} is not an {kind} address"
                raise ApiError("primary_ip_version_mismatch", message)
            if primary_ip["assignee_id"] is not None:
                message = f"primary IP {primary_ip['id']} is already assigned"
                raise ApiError("primary_ip_assigned", message)
            given[kind] = primary_ip
        elif public.get(f"enable_{kind}", True):
            new.append(kind)
    return given, new


def _location(call: Call, kind: Record, bound: list[Record]) -> str:
    """Where the server goes: as asked, else where its things are."""
    wanted = call.body.get("location")
    if wanted is None:
        wanted = bound[0]["location"] if bound else kind["locations"][0]["name"]
    place = catalogue.by_reference(catalogue.locations(), wanted)
    if place is None:
        raise not_found("location", wanted)
    if place["name"] not in [entry["name"] for entry in kind["locations"]]:
        raise invalid(location="unsupported location for server type")
    return str(place["name"])


def _check_bound(location: str, ips: list[Record], disks: list[Record]) -> None:
    for primary_ip in ips:
        if primary_ip["location"] != location:
            message = f"primary IP {primary_ip['id']} is in {primary_ip['location']}"
            raise ApiError("primary_ip_datacenter_mismatch", message)
    for volume in disks:
        volumes.check_attachable(volume, {"location": location})


@routes.post("/servers")
def create_server(call: Call) -> Answer:
    """A new server, booted unless `start_after_create` is false."""
    body = call.body
    check_hostname(body["name"])
    call.unique_name("server", body["name"])
    labels.check(body.get("labels") or {})
    user_data = body.get("user_data") or ""
    if len(user_data.encode()) > LONGEST_USER_DATA:
        raise invalid(user_data=f"must be at most {LONGEST_USER_DATA} bytes")
    if body.get("networks"):
        raise ApiError("unsupported_error", "the sandbox has no private networks yet")
    kind = catalogue.by_reference(catalogue.server_types(), body["server_type"])
    if kind is None:
        raise not_found("server_type", body["server_type"])
    image = find_image(body["image"], kind["architecture"])
    keys = [_ssh_key(call, reference) for reference in body.get("ssh_keys") or []]
    firewalls = [call.find("firewall", f["firewall"]) for f in body.get("firewalls") or []]
    disks = [call.find("volume", number) for number in body.get("volumes") or []]
    given, new = _wanted_ips(call)
    location = _location(call, kind, [*disks, *given.values()])
    _check_bound(location, list(given.values()), disks)
    group = None
    if body.get("placement_group") is not None:
        group = call.find("placement_group", body["placement_group"])
        placement_groups.check_room(call.store, group)
    call.cloud.faults.check_capacity(call.project, kind["name"], location)

    password, hashed = (None, None) if keys else new_root_password()
    server = call.store.add(
        "server",
        call.project,
        {
            "name": body["name"],
            "status": "initializing",
            "created": call.store.now(),
            "server_type": kind["name"],
            "image": image["id"],
            "location": location,
            "user_data": user_data,
            "keys": [key["public_key"] for key in keys],
            "root_password_hash": hashed,
            "labels": body.get("labels") or {},
            "protection": {"delete": False, "rebuild": False},
            "placement_group": group["id"] if group else None,
            "primary_disk_size": kind["disk"],
            "busy": [],
        },
    )
    for primary_ip in given.values():
        call.store.change("primary_ip", primary_ip["id"], assignee_id=server["id"])
    for address in new:
        addresses.create(call.store, call.project, address, location, assignee_id=server["id"])
    for firewall in firewalls:
        target = {"type": "server", "server": {"id": server["id"]}}
        call.store.change("firewall", firewall["id"], applied_to=[*firewall["applied_to"], target])
    return _answer(call, server, disks, password)


def _answer(call: Call, server: Record, disks: list[Record], password: str | None) -> Answer:
    start = bool(call.body.get("start_after_create", True))
    begin, itself = call.cloud.jobs.begin, [("server", server["id"])]
    actions = [begin(call.project, "create_server", itself, start=start)]
    if start:
        actions.append(begin(call.project, "start_server", itself))
    automount = bool(call.body.get("automount"))
    actions += [volumes.attach(call, volume, server, automount) for volume in disks]
    action, *next_actions = begun(call, *actions)
    body: dict[str, Any] = {
        "server": servers.render(call.store, call.find("server", server["id"])),
        "action": action,
        "next_actions": next_actions,
        "root_password": password,
    }
    return Answer(201, body)


def _ssh_key(call: Call, reference: object) -> Record:
    for key in call.owned("ssh_key"):
        if str(reference) in (str(key["id"]), key["name"]):
            return key
    raise not_found("ssh_key", reference)
