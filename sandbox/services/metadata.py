"""What a server reads about itself at 169.254.169.254.

The address a question comes from tells which server asks; nobody else is answered.
"""

from collections.abc import Callable

import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sandbox.store import Record, Store


def create_app(store: Store) -> Starlette:
    """The paths cloud-init and people read."""

    def endpoint(read: Callable[[Record], str]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            server = _asking(store, request.client.host if request.client else "")
            if server is None:
                return PlainTextResponse("not found", 404)
            return PlainTextResponse(read(server))

        return answer

    parts: dict[str, Callable[[Record], str]] = {
        "hostname": lambda s: str(s["name"]),
        "instance-id": lambda s: str(s["id"]),
        "local-ipv4": lambda _: "",
        "public-ipv4": lambda s: _address(store, s, "ipv4"),
        "availability-zone": lambda s: f"{s['location']}-dc1",
        "region": lambda s: _region(str(s["location"])),
        "private-networks": lambda _: "[]\n",
        "public-keys": lambda s: _yaml(_keys(s)),
    }
    base = "/hetzner/v1"
    routes = [Route(f"{base}/metadata", endpoint(lambda s: _yaml(_document(store, s))))]
    routes += [Route(f"{base}/metadata/{name}", endpoint(read)) for name, read in parts.items()]
    routes.append(Route(f"{base}/userdata", endpoint(lambda s: str(s.get("user_data") or ""))))
    return Starlette(routes=routes)


def _asking(store: Store, address: str) -> Record | None:
    for primary_ip in store.all("primary_ip"):
        if primary_ip["ip"] == address and primary_ip["assignee_id"] is not None:
            return store.get("server", primary_ip["assignee_id"])
    return None


def _document(store: Store, server: Record) -> dict[str, object]:
    return {
        "availability-zone": f"{server['location']}-dc1",
        "hostname": server["name"],
        "instance-id": server["id"],
        "public-ipv4": _address(store, server, "ipv4"),
        "public-keys": _keys(server),
        "region": _region(str(server["location"])),
        "vendor_data": "#cloud-config\n{}\n",
    }


def _address(store: Store, server: Record, kind: str) -> str:
    for primary_ip in store.all("primary_ip"):
        if primary_ip["assignee_id"] == server["id"] and primary_ip["type"] == kind:
            return str(primary_ip["ip"])
    return ""


def _keys(server: Record) -> list[str]:
    return [str(key) for key in server["keys"]]


def _region(location: str) -> str:
    return {"ash": "us-east", "hil": "us-west", "sin": "ap-southeast"}.get(location, "eu-central")


def _yaml(content: object) -> str:
    return str(yaml.safe_dump(content, sort_keys=False))
