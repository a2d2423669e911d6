"""Locations, which stand for what was a data centre."""

from sandbox.hetzner import catalogue
from sandbox.hetzner.cloud import Call
from sandbox.hetzner.errors import ApiError, not_found
from sandbox.hetzner.listing import Answer, page, select
from sandbox.hetzner.routing import Routes

routes = Routes()


@routes.get("/locations")
def list_locations(call: Call) -> Answer:
    """All locations."""
    chosen = select(catalogue.locations(), call.query, sorts=("id", "name"))
    return page("locations", call.path, chosen, dict, call.query)


@routes.get("/locations/{id}")
def get_location(call: Call) -> Answer:
    """One location."""
    found = catalogue.by_reference(catalogue.locations(), call.params["id"])
    if found is None:
        raise not_found("location", call.params["id"])
    return Answer(200, {"location": found})


@routes.get("/datacenters")
@routes.get("/datacenters/{id}")
def get_datacenters(_: Call) -> Answer:
    """What there is no more since October 2026, as the description does not know yet."""
    raise ApiError("deprecated_api_endpoint", "the data centres are gone: use /locations")
