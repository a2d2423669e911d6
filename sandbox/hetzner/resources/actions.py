"""Actions: all together, of a kind of resource, and of one resource."""

from typing import Any

from sandbox.hetzner.cloud import Call
from sandbox.hetzner.errors import ApiError, not_found
from sandbox.hetzner.listing import Answer, page, select, timestamp, values
from sandbox.hetzner.routing import Routes
from sandbox.store import Record

routes = Routes()

# The kinds by the first part of their paths; a zone can also be asked for by name.
KINDS = {
    "servers": "server",
    "volumes": "volume",
    "firewalls": "firewall",
    "primary_ips": "primary_ip",
    "images": "image",
    "zones": "zone",
}
SORTS = ("id", "command", "status", "started", "finished")


def render(action: Record) -> dict[str, Any]:
    """An action as the API shows it."""
    finished = action["finished"]
    return {
        "id": action["id"],
        "command": action["command"],
        "status": action["status"],
        "progress": action["progress"],
        "started": timestamp(action["started"]),
        "finished": None if finished is None else timestamp(finished),
        "resources": action["resources"],
        "error": action["error"],
    }


def begun(call: Call, *actions: Record) -> list[dict[str, Any]]:
    """Let actions run, in this order, once the answer is out; as shown in it."""
    call.started.extend(action["id"] for action in actions)
    return [render(action) for action in actions]


def _of_kind(call: Call, kind: str) -> list[Record]:
    return [a for a in call.owned("action") if any(r["type"] == kind for r in a["resources"])]


def _of_resource(call: Call, kind: str) -> list[Record]:
    reference: object = call.params["id"]
    if kind == "zone":
        zones = call.owned("zone")
        reference = next((z["id"] for z in zones if reference in (z["name"], str(z["id"]))), 0)
    found = [
        action
        for action in call.owned("action")
        if any(r["type"] == kind and str(r["id"]) == str(reference) for r in action["resources"])
    ]
    # A deleted resource keeps its actions; one that never was has none.
    if not found and kind != "image" and call.store.get(kind, str(reference), call.project) is None:
        raise not_found(kind, call.params["id"])
    return found


def _one(call: Call, found: list[Record]) -> Answer:
    for action in found:
        if str(action["id"]) == call.params["action_id"]:
            return Answer(200, {"action": render(action)})
    raise not_found("action", call.params["action_id"])


def _list(call: Call, found: list[Record]) -> Answer:
    chosen = select(found, call.query, ("id", "status"), SORTS)
    return page("actions", call.path, chosen, render, call.query)


@routes.get("/actions")
def list_actions(call: Call) -> Answer:
    """Several actions by their numbers, which must be given."""
    wanted = values(call.query, "id")
    if not wanted:
        raise ApiError(
            "deprecated_api_endpoint",
            "listing all actions was removed; ask for actions by their id",
            status=410,
        )
    found = [call.store.get("action", number, call.project) for number in wanted]
    return _list(call, [action for action in found if action is not None])


@routes.get("/actions/{action_id}")
def get_action(call: Call) -> Answer:
    """One action."""
    found = call.store.get("action", call.params["action_id"], call.project)
    return _one(call, [found] if found else [])


def _register(segment: str, kind: str) -> None:
    @routes.get(f"/{segment}/actions")
    def list_of_kind(call: Call) -> Answer:
        return _list(call, _of_kind(call, kind))

    @routes.get(f"/{segment}/actions/{{action_id}}")
    def get_of_kind(call: Call) -> Answer:
        return _one(call, _of_kind(call, kind))

    @routes.get(f"/{segment}/{{id}}/actions")
    def list_of_resource(call: Call) -> Answer:
        return _list(call, _of_resource(call, kind))

    @routes.get(f"/{segment}/{{id}}/actions/{{action_id}}")
    def get_of_resource(call: Call) -> Answer:
        return _one(call, _of_resource(call, kind))


for _segment, _kind in KINDS.items():
    _register(_segment, _kind)
