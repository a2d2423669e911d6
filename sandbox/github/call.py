"""One request, as a resource's handler sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.github.access import Caller
from sandbox.github.errors import invalid, not_found
from sandbox.store import Record, Store

if TYPE_CHECKING:
    from sandbox.github.hub import Event, Hub


@dataclass
class Call:
    """Who asks what. Handlers run in one transaction; `events` are told once it is written.

    params      the path's variables
    query       the query's pairs, in order
    body        the JSON object sent, or {}
    permission  what the endpoint takes
    accept      the Accept header: some answers come raw as well
    """

    hub: Hub
    caller: Caller
    path: str
    params: dict[str, str]
    query: Sequence[tuple[str, str]]
    body: dict[str, Any]
    permission: str = ""
    accept: str = ""
    found: Record | None = None
    events: list[Event] = field(default_factory=list)

    @property
    def store(self) -> Store:
        """All records."""
        return self.hub.store

    @property
    def repository(self) -> Record:
        """The repository the path names, which the caller may see."""
        if self.found is None:
            raise not_found()
        return self.found

    @property
    def full_name(self) -> str:
        """`owner/name` of the repository the path names; records of it carry it as `project`."""
        return str(self.repository["full_name"])

    def asked(self, name: str, default: str = "") -> str:
        """The last value of a query's parameter."""
        return next((value for key, value in reversed(self.query) if key == name), default)

    def need(self, resource: str, *names: str) -> list[Any]:
        """Values of the body that have to be there. Raises 422 for the first that is not."""
        for name in names:
            if self.body.get(name) in (None, ""):
                raise invalid(resource, name, "missing_field")
        return [self.body[name] for name in names]

    def url(self, path: str) -> str:
        """An address under the API: `/repos/o/r` → `http://…/api/v3/repos/o/r`."""
        return self.hub.api + path
