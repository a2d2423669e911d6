"""What the real API has and the sandbox does not yet: empty, and honest about it.

Lists are empty, so that a sweep over everything a project owns works; making
one answers `unsupported_error`. A file of its own replaces an entry here.
"""

from sandbox.hetzner.cloud import Call
from sandbox.hetzner.errors import ApiError, not_found
from sandbox.hetzner.listing import Answer, page
from sandbox.hetzner.routing import Routes

routes = Routes()

MADE = ("networks", "load_balancers", "floating_ips", "certificates")
GIVEN = ("load_balancer_types", "isos")
SERVER_ACTIONS = (
    "attach_iso",
    "attach_to_network",
    "change_alias_ips",
    "create_image",
    "detach_from_network",
    "detach_iso",
    "disable_backup",
    "disable_rescue",
    "enable_backup",
    "enable_rescue",
    "request_console",
    "reset_password",
)


def _register(name: str) -> None:
    @routes.get(f"/{name}")
    def list_none(call: Call) -> Answer:
        return page(name, call.path, [], dict, call.query)

    @routes.get(f"/{name}/{{id}}")
    def get_none(call: Call) -> Answer:
        raise not_found(name, call.params["id"])

    if name in MADE:

        @routes.post(f"/{name}")
        def refuse(_call: Call) -> Answer:
            raise ApiError("unsupported_error", f"the sandbox has no {name} yet")


for _name in (*MADE, *GIVEN):
    _register(_name)


def _refuse(call: Call) -> Answer:
    call.find("server")
    name = call.path.rsplit("/", 1)[-1]
    raise ApiError("unsupported_error", f"the sandbox has no {name} yet")


for _name in SERVER_ACTIONS:
    routes.post(f"/servers/{{id}}/actions/{_name}")(_refuse)
