"""How a resource's file says which requests it answers."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.hetzner.cloud import Call
from sandbox.hetzner.listing import Answer

Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Endpoint:
    """A method and a path template of the API's description, and who answers."""

    method: str
    path: str
    handler: Handler

    @property
    def rank(self) -> tuple[tuple[bool, str], ...]:
        """Sorts `/servers/actions` before `/servers/{id}`."""
        return tuple((part.startswith("{"), part) for part in self.path.split("/"))


class Routes:
    """The endpoints of one file, collected by decorators."""

    def __init__(self) -> None:
        self.endpoints: list[Endpoint] = []

    def _on(self, method: str, path: str) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            self.endpoints.append(Endpoint(method, path, handler))
            return handler

        return register

    def get(self, path: str) -> Callable[[Handler], Handler]:
        """Answer GET on a path."""
        return self._on("GET", path)

    def post(self, path: str) -> Callable[[Handler], Handler]:
        """Answer POST on a path."""
        return self._on("POST", path)

    def put(self, path: str) -> Callable[[Handler], Handler]:
        """Answer PUT on a path."""
        return self._on("PUT", path)

    def delete(self, path: str) -> Callable[[Handler], Handler]:
        """Answer DELETE on a path."""
        return self._on("DELETE", path)


def collect(package: str = "sandbox.hetzner.resources") -> list[Endpoint]:
    """The endpoints of every file in the package, most specific path first."""
    found: list[Endpoint] = []
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        routes = getattr(importlib.import_module(f"{package}.{module.name}"), "routes", None)
        if isinstance(routes, Routes):
            found += routes.endpoints
    return sorted(found, key=lambda endpoint: endpoint.rank)
