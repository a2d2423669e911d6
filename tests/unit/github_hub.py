"""A GitHub of this process on a loopback port, with an organisation, people and a repository.

PyGithub drives it; its objects are `Any` here. Every answer is compared with the API's
description; a difference fails the test.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import github
import httpx
import pytest
from starlette.applications import Starlette

from sandbox import credentials
from sandbox.github import seeds, spec
from sandbox.github.app import create_app
from sandbox.github.hub import Event, Hub
from sandbox.openapi import Violations
from sandbox.store import Store
from tests.unit.listening import listening

ORGANIZATION = seeds.ORGANIZATION
FULL_NAME = f"{ORGANIZATION}/fieldwork"


@dataclass
class Served:
    """A served GitHub: its address, what it keeps, who was told what, and clients for it."""

    url: str
    app: Starlette
    tokens: dict[str, str]
    events: list[Event] = field(default_factory=list)
    clients: list[Any] = field(default_factory=list)

    @property
    def hub(self) -> Hub:
        """What its parts share."""
        hub: Hub = self.app.state.hub
        return hub

    def client(self, who: str = "maintainer", token: str = "") -> Any:
        """PyGithub, as somebody."""
        made = github.Github(
            base_url=f"{self.url}/api/v3",
            auth=github.Auth.Token(token or self.tokens[who]),
            retry=None,
            seconds_between_requests=None,
            seconds_between_writes=None,
        )
        self.clients.append(made)
        return made

    def http(self, who: str = "maintainer", token: str = "") -> httpx.Client:
        """A plain HTTP client below /api/v3; nobody's when `who` is ""."""
        value = token or self.tokens.get(who, "")
        headers = {"Authorization": f"Bearer {value}"} if value else {}
        made = httpx.Client(base_url=f"{self.url}/api/v3", headers=headers, timeout=20)
        self.clients.append(made)
        return made

    def signed(self) -> str:
        """A web token that the app signs for itself."""
        known = app_key()
        auth = github.Auth.AppAuth(known["id"], known["private_key"])
        return str(auth.token)

    @cached_property
    def repo(self) -> Any:
        """The repository `fieldwork`, with the maintainer's rights."""
        return self.client().get_repo(FULL_NAME)

    @cached_property
    def raw(self) -> httpx.Client:
        """A plain client with the maintainer's rights."""
        return self.http()

    def told(self) -> list[str]:
        """The events since the last time it was asked: `push refs/heads/main`."""
        names = [f"{event.name} {event.ref}" for event in self.events]
        self.events.clear()
        return names


@cache
def app_key() -> dict[str, Any]:
    """What a sandbox's credentials hold of its app; a key takes a while to make."""
    with tempfile.TemporaryDirectory() as folder:
        known: dict[str, Any] = credentials.ensure(Path(folder))["github"]["app"]
    return known


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Serve a GitHub for as long as the block runs; repositories are kept in `folder`."""
    store = Store()
    url, switch = listening("github")
    violations = Violations(spec.answer_errors, with_requests=True)
    app = create_app(store, folder, url, violations=violations)
    switch.app = app
    tokens = {login: f"ghp_{login:x<36}" for login in seeds.PEOPLE}
    users = {who: {"token": token} for who, token in tokens.items()}
    seeds.seed(app.state.hub, {"users": users, "app": app_key()})
    served = Served(url, app, tokens)
    app.state.hub.listen(served.events.append)
    try:
        yield served
    finally:
        for client in served.clients:
            client.close()
        store.close()
    if app.state.violations.found:
        pytest.fail("\n".join(app.state.violations.found))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A GitHub with a repository `fieldwork`, in which `developer` and `reviewer` may write."""
    with serving(tmp_path) as found:
        organization = found.client().get_organization(ORGANIZATION)
        repo = organization.create_repo("fieldwork", private=True)
        for login in ("developer", "reviewer"):
            repo.add_to_collaborators(login, "push")
        yield found


def refused(status: int, work: Any, *arguments: Any, **named: Any) -> str:
    """The message a call is refused with, in this status."""
    with pytest.raises(github.GithubException) as told:
        work(*arguments, **named)
    assert told.value.status == status, told.value
    return str((told.value.data or {}).get("message"))
