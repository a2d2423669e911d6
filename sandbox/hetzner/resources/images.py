"""System images. Snapshots and backups are not part of the sandbox yet."""

from sandbox.hetzner import catalogue
from sandbox.hetzner.cloud import Call
from sandbox.hetzner.errors import ApiError, not_found
from sandbox.hetzner.listing import Answer, page, select
from sandbox.hetzner.routing import Routes
from sandbox.store import Record

routes = Routes()


def _image(call: Call) -> Record:
    reference = call.params["id"]
    for image in catalogue.images():
        if str(image["id"]) == reference:
            return image
    raise not_found("image", reference)


@routes.get("/images")
def list_images(call: Call) -> Answer:
    """All images, by name, type, architecture and status."""
    filters = ("name", "type", "architecture", "status", "bound_to")
    chosen = select(catalogue.images(), call.query, filters)
    return page("images", call.path, chosen, dict, call.query)


@routes.get("/images/{id}")
def get_image(call: Call) -> Answer:
    """One image, by its number."""
    return Answer(200, {"image": _image(call)})


@routes.put("/images/{id}")
def update_image(call: Call) -> Answer:
    """Refused, as for every system image."""
    raise ApiError("forbidden", f"image '{_image(call)['name']}' is a system image")


@routes.delete("/images/{id}")
def delete_image(call: Call) -> Answer:
    """Refused, as for every system image."""
    raise ApiError("forbidden", f"image '{_image(call)['name']}' is a system image")


@routes.post("/images/{id}/actions/change_protection")
def change_protection(call: Call) -> Answer:
    """Refused, as for every system image."""
    raise ApiError("forbidden", f"image '{_image(call)['name']}' is a system image")
