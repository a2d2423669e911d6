"""How a resource's file says which requests it answers, and what they take."""

import importlib
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.github.call import Call


@dataclass(frozen=True)
class Answer:
    """A status, a body (None for none; bytes as they are), and headers."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Endpoint:
    """A method and a path template, who answers, and what a caller needs for it.

    path        as in the API's description; `{ref:path}` takes slashes, too
    permission  `contents:read`: what a fine-grained token, an app's or a workflow's needs, and
                (see access.py) which role it takes; "" for what any token may
    role        the role in the repository a person needs, where not the permission's usual one
    """

    method: str
    path: str
    handler: Handler
    permission: str
    role: str

    @property
    def template(self) -> str:
        """The path as the description has it."""
        return re.sub(r"\{(\w+):\w+\}", r"{\1}", self.path)

    @property
    def rank(self) -> tuple[tuple[bool, bool, str], ...]:
        """Sorts what is literal before what is not, what takes slashes last, longer ones first."""
        parts = [(":path" in part, part.startswith("{"), part) for part in self.path.split("/")]
        return (*parts, (True, True, "~"))


class Routes:
    """The endpoints of one file, collected by decorators."""

    def __init__(self) -> None:
        self.endpoints: list[Endpoint] = []

    def _on(
        self, method: str, path: str, permission: str, role: str
    ) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            self.endpoints.append(Endpoint(method, path, handler, permission, role))
            return handler

        return register

    def get(self, path: str, permission: str = "", role: str = "") -> Callable[[Handler], Handler]:
        """Answer GET on a path."""
        return self._on("GET", path, permission, role)

    def post(self, path: str, permission: str = "", role: str = "") -> Callable[[Handler], Handler]:
        """Answer POST on a path."""
        return self._on("POST", path, permission, role)

    def put(self, path: str, permission: str = "", role: str = "") -> Callable[[Handler], Handler]:
        """Answer PUT on a path."""
        return self._on("PUT", path, permission, role)

    def patch(
        self, path: str, permission: str = "", role: str = ""
    ) -> Callable[[Handler], Handler]:
        """Answer PATCH on a path."""
        return self._on("PATCH", path, permission, role)

    def delete(
        self, path: str, permission: str = "", role: str = ""
    ) -> Callable[[Handler], Handler]:
        """Answer DELETE on a path."""
        return self._on("DELETE", path, permission, role)


def collect(package: str = "sandbox.github.resources") -> list[Endpoint]:
    """The endpoints of every file in the package, most specific path first."""
    found: list[Endpoint] = []
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        routes = getattr(importlib.import_module(f"{package}.{module.name}"), "routes", None)
        if isinstance(routes, Routes):
            found += routes.endpoints
    return sorted(found, key=lambda endpoint: endpoint.rank)
