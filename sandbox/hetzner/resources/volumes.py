"""Volumes: block devices that outlive their server."""

from typing import Any

from sandbox.hetzner import catalogue, labels
from sandbox.hetzner.cloud import Call, Cloud
from sandbox.hetzner.errors import ApiError, invalid
from sandbox.hetzner.jobs import job
from sandbox.hetzner.listing import Answer, page, select, timestamp
from sandbox.hetzner.resources.actions import begun
from sandbox.hetzner.resources.actions import render as render_action
from sandbox.hetzner.routing import Routes
from sandbox.store import Record

routes = Routes()

SMALLEST, LARGEST = 10, 10240


def render(volume: Record) -> dict[str, Any]:
    """A volume as the API shows it."""
    shown = ("id", "name", "server", "size", "labels", "protection", "format", "status")
    return {
        **{name: volume[name] for name in shown},
        "location": catalogue.by_reference(catalogue.locations(), volume["location"]),
        "linux_device": f"/dev/disk/by-id/scsi-0HC_Volume_{volume['id']}",
        "created": timestamp(volume["created"]),
    }


def check_attachable(volume: Record, server: Record) -> None:
    """Raise when a volume cannot go to a server."""
    if volume["server"] is not None:
        raise ApiError("volume_already_attached", "volume is already attached to a server")
    if volume["location"] != server["location"]:
        raise invalid(server="server and volume must be in the same location")


def attach(call: Call, volume: Record, server: Record, automount: bool) -> Record:
    """Begin attaching; the volume is the server's from now on."""
    call.store.change("volume", volume["id"], server=server["id"])
    resources = [("server", server["id"]), ("volume", volume["id"])]
    return call.cloud.jobs.begin(call.project, "attach_volume", resources, automount=automount)


@routes.get("/volumes")
def list_volumes(call: Call) -> Answer:
    """All volumes of the project."""
    chosen = select(call.owned("volume"), call.query, ("name", "status"))
    return page("volumes", call.path, chosen, render, call.query)


@routes.post("/volumes")
def create_volume(call: Call) -> Answer:
    """A new volume, in a location or attached to a server at once."""
    body = call.body
    labels.check(body.get("labels", {}))
    if not SMALLEST <= body["size"] <= LARGEST:
        raise invalid(size=f"must be between {SMALLEST} and {LARGEST}")
    if body.get("format") not in (None, "xfs", "ext4"):
        raise invalid(format="must be one of xfs, ext4")
    if (body.get("server") is None) == (body.get("location") is None):
        raise invalid(location="exactly one of location and server must be given")
    server = call.find("server", body["server"]) if body.get("server") is not None else None
    place = server["location"] if server else body["location"]
    location = catalogue.by_reference(catalogue.locations(), place)
    if location is None:
        raise invalid(location=f"location '{place}' not found")
    call.unique_name("volume", body["name"])
    volume = call.store.add(
        "volume",
        call.project,
        {
            "name": body["name"],
            "size": body["size"],
            "format": body.get("format"),
            "location": location["name"],
            "server": None,
            "status": "creating",
            "labels": body.get("labels", {}),
            "protection": {"delete": False},
            "created": call.store.now(),
        },
    )
    create = call.cloud.jobs.begin(call.project, "create_volume", [("volume", volume["id"])])
    following = [attach(call, volume, server, bool(body.get("automount")))] if server else []
    action, *next_actions = begun(call, create, *following)
    shown = render({**volume, "server": server["id"] if server else None})
    return Answer(201, {"volume": shown, "action": action, "next_actions": next_actions})


@routes.get("/volumes/{id}")
def get_volume(call: Call) -> Answer:
    """One volume."""
    return Answer(200, {"volume": render(call.find("volume"))})


@routes.put("/volumes/{id}")
def update_volume(call: Call) -> Answer:
    """Its name and labels."""
    return Answer(200, {"volume": render(call.rename("volume"))})


@routes.delete("/volumes/{id}")
def delete_volume(call: Call) -> Answer:
    """Destroy a volume that is attached to nothing."""
    volume = call.find("volume")
    if volume["protection"]["delete"]:
        raise ApiError("protected", "volume is delete protected")
    if volume["server"] is not None:
        raise ApiError("resource_in_use", "volume is attached to a server; detach it first")
    call.store.remove("volume", volume["id"])
    # The API tells of no action here; the device goes a moment later.
    resources = [("volume", volume["id"])]
    begun(call, call.cloud.jobs.begin(call.project, "delete_volume", resources))
    return Answer(204, None)


@routes.post("/volumes/{id}/actions/attach")
def attach_volume(call: Call) -> Answer:
    """Attach to a server in the same location."""
    volume, server = call.find("volume"), call.find("server", call.body["server"])
    check_attachable(volume, server)
    call.refuse_when_locked(server)
    action = attach(call, volume, server, bool(call.body.get("automount")))
    return Answer(201, {"action": begun(call, action)[0]})


@routes.post("/volumes/{id}/actions/detach")
def detach_volume(call: Call) -> Answer:
    """Take it from its server."""
    volume = call.find("volume")
    if volume["server"] is None:
        raise invalid(volume="volume is not attached to a server")
    call.refuse_when_locked(call.find("server", volume["server"]))
    resources = [("server", volume["server"]), ("volume", volume["id"])]
    action = call.cloud.jobs.begin(call.project, "detach_volume", resources)
    return Answer(201, {"action": begun(call, action)[0]})


@routes.post("/volumes/{id}/actions/resize")
def resize_volume(call: Call) -> Answer:
    """Make it larger."""
    volume, size = call.find("volume"), int(call.body["size"])
    if size <= volume["size"]:
        raise invalid(size="must be larger than the current size")
    if size > LARGEST:
        raise invalid(size=f"must be at most {LARGEST}")
    call.store.change("volume", volume["id"], size=size)
    resources = [("volume", volume["id"])]
    action = call.cloud.jobs.begin(call.project, "resize_volume", resources, size=size)
    return Answer(201, {"action": begun(call, action)[0]})


@routes.post("/volumes/{id}/actions/change_protection")
def change_protection(call: Call) -> Answer:
    """Whether it may be deleted."""
    volume = call.find("volume")
    call.store.change("volume", volume["id"], protection={**volume["protection"], **call.body})
    action = call.cloud.jobs.done(call.project, "change_protection", [("volume", volume["id"])])
    return Answer(201, {"action": render_action(action)})


def _volume(action: Record) -> int:
    return int(next(r["id"] for r in action["resources"] if r["type"] == "volume"))


@job("create_volume")
def make(cloud: Cloud, action: Record) -> None:
    """Make the device and its file system."""
    volume = cloud.store.get("volume", _volume(action))
    if volume is not None:
        cloud.hosts.create_volume(volume["id"], volume["size"], volume["format"])
        cloud.store.change("volume", volume["id"], status="available")


@job("delete_volume")
def destroy(cloud: Cloud, action: Record) -> None:
    """Destroy the device."""
    cloud.hosts.delete_volume(_volume(action))


@job("attach_volume")
def plug_in(cloud: Cloud, action: Record) -> None:
    """Show the device in the guest; a host not made yet gets it as it is made."""
    volume = cloud.store.get("volume", _volume(action))
    server = volume["server"] if volume else None
    if volume and server and cloud.hosts.state(server) != "missing":
        cloud.hosts.attach_volume(volume["id"], server, bool(action["args"]["automount"]))


@job("detach_volume")
def unplug(cloud: Cloud, action: Record) -> None:
    """Take the device from the guest."""
    cloud.hosts.detach_volume(_volume(action))
    cloud.store.change("volume", _volume(action), server=None)


@job("resize_volume")
def enlarge(cloud: Cloud, action: Record) -> None:
    """Make the device larger; its file system is the owner's to grow."""
    cloud.hosts.resize_volume(_volume(action), int(action["args"]["size"]))
