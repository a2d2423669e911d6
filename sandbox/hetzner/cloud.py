"""What every handler of the API works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.hetzner import labels
from sandbox.hetzner.errors import ApiError, not_found
from sandbox.hetzner.jobs import LOCKING, Jobs
from sandbox.hetzner.listing import Query
from sandbox.hosts.interface import Hosts
from sandbox.store import Record, Store

if TYPE_CHECKING:
    from sandbox.hetzner.faults import Faults


@dataclass(frozen=True)
class Cloud:
    """The records, the machines, what runs, and what is set to go wrong."""

    store: Store
    hosts: Hosts
    jobs: Jobs
    faults: Faults


@dataclass(frozen=True)
class Call:
    """One authenticated request. `body` is {} where the request had none."""

    cloud: Cloud
    project: str
    path: str
    params: dict[str, str]
    query: Query
    body: dict[str, Any]
    started: list[int]

    @property
    def store(self) -> Store:
        """The records."""
        return self.cloud.store

    def find(self, kind: str, record_id: int | str | None = None) -> Record:
        """The project's record by the `id` of the path (or the one given).

        Raises `not_found`, also for what another project owns.
        """
        reference = self.params["id"] if record_id is None else record_id
        found = self.store.get(kind, reference, self.project)
        if found is None:
            raise not_found(kind, reference)
        return found

    def unique_name(self, kind: str, name: str, own_id: int | None = None) -> None:
        """Raise `uniqueness_error` when another of the project has this name."""
        if any(r["name"] == name and r["id"] != own_id for r in self.owned(kind)):
            raise ApiError(
                "uniqueness_error",
                f"{kind} name is already used",
                {"fields": [{"name": "name", "messages": ["is already used"]}]},
            )

    def rename(self, kind: str) -> Record:
        """The PUT that most resources have: a new name, new labels, or both."""
        record = self.find(kind)
        if "labels" in self.body:
            labels.check(self.body["labels"])
            record["labels"] = self.body["labels"]
        if self.body.get("name"):
            self.unique_name(kind, self.body["name"], record["id"])
            record["name"] = self.body["name"]
        self.store.save(kind, record)
        return record

    def refuse_when_locked(self, server: Record, commands: frozenset[str] = LOCKING) -> None:
        """Raise `locked` while an action runs that a server cannot be touched in."""
        if any(entry["command"] in commands for entry in server["busy"]):
            raise ApiError("locked", f"server {server['id']} is locked")

    def owned(self, kind: str) -> list[Record]:
        """The project's records of a kind, oldest first."""
        return self.store.all(kind, self.project)
