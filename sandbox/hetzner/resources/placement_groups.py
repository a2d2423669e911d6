"""Placement groups. Everything here runs on one machine, so they only count."""

from typing import Any

from sandbox.hetzner import labels
from sandbox.hetzner.cloud import Call
from sandbox.hetzner.errors import ApiError
from sandbox.hetzner.listing import Answer, page, select, timestamp
from sandbox.hetzner.routing import Routes
from sandbox.store import Record, Store

routes = Routes()

MOST_SERVERS = 10


def members(store: Store, group: Record) -> list[int]:
    """The numbers of the servers in a group."""
    servers = store.all("server", group["project"])
    return [server["id"] for server in servers if server["placement_group"] == group["id"]]


def check_room(store: Store, group: Record) -> None:
    """Raise `placement_error` when a group is full."""
    if len(members(store, group)) >= MOST_SERVERS:
        raise ApiError("placement_error", f"placement group is full ({MOST_SERVERS} servers)")


def render(store: Store, group: Record) -> dict[str, Any]:
    """A placement group as the API shows it."""
    return {
        "id": group["id"],
        "name": group["name"],
        "type": group["type"],
        "labels": group["labels"],
        "created": timestamp(group["created"]),
        "servers": members(store, group),
    }


@routes.get("/placement_groups")
def list_placement_groups(call: Call) -> Answer:
    """All groups of the project."""
    chosen = select(call.owned("placement_group"), call.query, ("name", "type"))
    return page(
        "placement_groups", call.path, chosen, lambda group: render(call.store, group), call.query
    )


@routes.post("/placement_groups")
def create_placement_group(call: Call) -> Answer:
    """A new, empty group."""
    labels.check(call.body.get("labels", {}))
    call.unique_name("placement_group", call.body["name"])
    group = call.store.add(
        "placement_group",
        call.project,
        {
            "name": call.body["name"],
            "type": call.body["type"],
            "labels": call.body.get("labels", {}),
            "created": call.store.now(),
        },
    )
    return Answer(201, {"placement_group": render(call.store, group)})


@routes.get("/placement_groups/{id}")
def get_placement_group(call: Call) -> Answer:
    """One group."""
    return Answer(200, {"placement_group": render(call.store, call.find("placement_group"))})


@routes.put("/placement_groups/{id}")
def update_placement_group(call: Call) -> Answer:
    """Its name and labels."""
    return Answer(200, {"placement_group": render(call.store, call.rename("placement_group"))})


@routes.delete("/placement_groups/{id}")
def delete_placement_group(call: Call) -> Answer:
    """Remove a group; its servers stay."""
    group = call.find("placement_group")
    for number in members(call.store, group):
        call.store.change("server", number, placement_group=None)
    call.store.remove("placement_group", group["id"])
    return Answer(204, None)
