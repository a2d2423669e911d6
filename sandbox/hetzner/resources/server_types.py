"""Server types."""

from typing import Any

from sandbox.hetzner import catalogue
from sandbox.hetzner.cloud import Call
from sandbox.hetzner.errors import not_found
from sandbox.hetzner.listing import Answer, page, select
from sandbox.hetzner.routing import Routes
from sandbox.store import Record

routes = Routes()


def render(call: Call, kind: Record) -> dict[str, Any]:
    """A server type as the API shows it, with where it can be had just now."""
    sold_out = call.cloud.faults.announced_unavailable
    places = [
        {**place, "available": not sold_out(call.project, kind["name"], place["name"])}
        for place in kind["locations"]
    ]
    return {**kind, "locations": places}


@routes.get("/server_types")
def list_server_types(call: Call) -> Answer:
    """All server types."""
    chosen = select(catalogue.server_types(), call.query, sorts=("id", "name"))
    return page("server_types", call.path, chosen, lambda kind: render(call, kind), call.query)


@routes.get("/server_types/{id}")
def get_server_type(call: Call) -> Answer:
    """One server type."""
    found = catalogue.by_reference(catalogue.server_types(), call.params["id"])
    if found is None:
        raise not_found("server_type", call.params["id"])
    return Answer(200, {"server_type": render(call, found)})
