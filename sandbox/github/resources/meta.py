"""What GitHub tells of itself."""

from sandbox.github.call import Call
from sandbox.github.faults import LIMIT
from sandbox.github.routing import Answer, Routes

routes = Routes()

_RESOURCES = ("core", "graphql", "search", "integration_manifest", "code_search")


@routes.get("/rate_limit")
def rate_limit(call: Call) -> Answer:
    """What is left; it is never less here, but for a fault."""
    each = {
        "limit": LIMIT,
        "used": 1,
        "remaining": LIMIT - 1,
        "reset": int(call.store.now()) + 3600,
    }
    return Answer({"resources": dict.fromkeys(_RESOURCES, each), "rate": each})


@routes.get("/meta")
def meta(_call: Call) -> Answer:
    """Addresses and keys: there are none to tell."""
    return Answer(
        {
            "verifiable_password_authentication": False,  # a word's name  # nosec
            "hooks": [],
            "web": [],
            "git": [],
        }
    )


@routes.get("/zen")
def zen(_call: Call) -> Answer:
    """A word to go on with."""
    headers = {"content-type": "text/plain"}
    return Answer(b"Practicality beats purity.", headers=headers)


@routes.get("/versions")
def versions(_call: Call) -> Answer:
    """Of the API."""
    return Answer(["2022-11-28"])
