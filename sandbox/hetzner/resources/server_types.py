"""Server types."""

from sandbox.hetzner import catalogue
from sandbox.hetzner.cloud import Call
from sandbox.hetzner.errors import not_found
from sandbox.hetzner.listing import Answer, page, select
from sandbox.hetzner.routing import Routes

routes = Routes()


@routes.get("/server_types")
def list_server_types(call: Call) -> Answer:
    """All server types."""
    chosen = select(catalogue.server_types(), call.query, sorts=("id", "name"))
    return page("server_types", call.path, chosen, dict, call.query)


@routes.get("/server_types/{id}")
def get_server_type(call: Call) -> Answer:
    """One server type."""
    found = catalogue.by_reference(catalogue.server_types(), call.params["id"])
    if found is None:
        raise not_found("server_type", call.params["id"])
    return Answer(200, {"server_type": found})
