"""What every part of the GitHub shares."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.github.access import Caller, Tokens
from sandbox.github.errors import not_found
from sandbox.github.faults import Faults
from sandbox.github.git import Git
from sandbox.store import Record, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """Something that happened in a repository, as workflows are told of it.

    name      push, pull_request, release, delete, create, workflow_dispatch, schedule, …
    action    opened, published, …; "" where the event has none
    ref, sha  what a workflow of it runs on
    payload   GitHub's webhook payload
    actor     who did it
    by_workflow_token  made with a run's GITHUB_TOKEN: starts no workflow
    """

    name: str
    repository: str
    ref: str
    sha: str
    actor: str
    action: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict)
    by_workflow_token: bool = False


class Hub:
    """The records, the repositories, the tokens, and who listens.

    folder  holds `<owner>/<name>.git` and the logs of runs
    url     where people and git find it, without a slash at the end
    """

    def __init__(self, store: Store, folder: Path, url: str) -> None:
        self.store = store
        self.folder = folder
        self.url = url
        self.api = f"{url}/api/v3"
        self.tokens = Tokens(store)
        self.faults = Faults(store)
        self._listeners: list[Callable[[Event], None]] = []

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Tell it of every event from now on, in a thread that may not be kept waiting long."""
        self._listeners.append(listener)

    def publish(self, events: list[Event]) -> None:
        """Tell who listens. A listener's fault does not undo what has happened."""
        for event in events:
            for listener in self._listeners:
                try:
                    listener(event)
                except Exception:
                    log.exception("%s of %s was not taken", event.name, event.repository)

    def repository(self, owner: str, name: str) -> Record:
        """A repository by its name. Raises 404."""
        wanted = f"{owner}/{name}".lower()
        for record in self.store.all("repository"):
            if record["full_name"].lower() == wanted:
                return record
        raise not_found()

    def repository_by_id(self, number: int | str) -> Record:
        """A repository by its number. Raises 404."""
        record = self.store.get("repository", number)
        if record is None:
            raise not_found()
        return record

    def git(self, repository: Record) -> Git:
        """The bare repository behind a record."""
        return Git(self.folder / f"{repository['full_name']}.git")

    def account(self, login: str) -> Record:
        """A user or an organisation by name. Raises 404."""
        for kind in ("user", "organization"):
            for record in self.store.all(kind):
                if record["login"].lower() == login.lower():
                    return record
        raise not_found()

    def event(self, caller: Caller, repository: Record, name: str, **more: Any) -> Event:
        """An event the caller caused."""
        return Event(
            name=name,
            repository=repository["full_name"],
            actor=caller.login,
            by_workflow_token=caller.is_workflow,
            **{"ref": "", "sha": "", **more},
        )

    def now(self) -> str:
        """The time as the API writes it."""
        return iso(self.store.now())


def iso(seconds: float) -> str:
    """`2031-05-31T12:00:00Z`."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
