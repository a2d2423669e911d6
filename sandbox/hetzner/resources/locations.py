"""Locations and the (deprecated) data centres."""

from sandbox.hetzner import catalogue
from sandbox.hetzner.cloud import Call
from sandbox.hetzner.errors import not_found
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
def list_datacenters(call: Call) -> Answer:
    """All data centres."""
    chosen = select(catalogue.datacenters(), call.query, sorts=("id", "name"))
    first = catalogue.datacenters()[0]["id"]
    return page("datacenters", call.path, chosen, dict, call.query, recommendation=first)


@routes.get("/datacenters/{id}")
def get_datacenter(call: Call) -> Answer:
    """One data centre."""
    found = catalogue.by_reference(catalogue.datacenters(), call.params["id"])
    if found is None:
        raise not_found("datacenter", call.params["id"])
    return Answer(200, {"datacenter": found})
