"""A Hetzner Cloud API of this process on a loopback port, with hosts that only take notes.

The official client's objects are `Any` here: their types allow None nearly everywhere.

Every answer is compared with the API's description; a difference fails the test.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx
import pytest
from hcloud import APIException, Client
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType
from starlette.applications import Starlette

from sandbox.faults import Faults
from sandbox.hetzner.access import RateLimits
from sandbox.hetzner.app import create_app
from sandbox.hetzner.null_hosts import NullHosts
from sandbox.store import Store
from tests.unit.listening import listening

PROJECTS = {
    "demo": {"token": "d" * 64, "read_only_token": "e" * 64},
    "prod": {"token": "p" * 64, "read_only_token": "q" * 64},
}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl someone"
FSN1 = Location(name="fsn1")


@dataclass
class Cloud:
    """A served API: its address, what it drives, and clients for it."""

    url: str
    app: Starlette
    store: Store
    hosts: NullHosts
    faults: Faults
    raw: httpx.Client = field(init=False)
    clients: list[httpx.Client] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.raw = self.http("d" * 64)

    @cached_property
    def client(self) -> Any:
        """The official client, with the demo project's token."""
        return self.client_for("d" * 64)

    def client_for(self, token: str) -> Any:
        """The official client with another token."""
        return Client(token, api_endpoint=f"{self.url}/v1", poll_interval=0.01, timeout=20)

    def http(self, token: str) -> httpx.Client:
        """A plain HTTP client below /v1."""
        headers = {"Authorization": f"Bearer {token}"}
        client = httpx.Client(base_url=f"{self.url}/v1", headers=headers, timeout=20)
        self.clients.append(client)
        return client

    def server(self, name: str = "web", **more: Any) -> Any:
        """A server that is up (or, with start_after_create=False, made)."""
        made = self.client.servers.create(
            name=name,
            server_type=more.pop("server_type", ServerType(name="cx23")),
            image=more.pop("image", Image(name="debian-13")),
            location=more.pop("location", FSN1),
            **more,
        )
        made.action.wait_until_finished()
        for action in made.next_actions:
            action.wait_until_finished()
        return self.client.servers.get_by_id(made.server.id)

    def settled(self) -> None:
        """Wait until no action runs, told of or not."""
        assert self.app.state.cloud.jobs.wait(10)


@contextmanager
def serving(
    store: Store | None = None,
    hosts: NullHosts | None = None,
    pace: float = 0.01,
    limits: RateLimits | None = None,
) -> Iterator[Cloud]:
    """Serve an API for as long as the block runs, taking up what the store had running."""
    store, hosts = store or Store(), hosts or NullHosts()
    app = create_app(store, hosts, PROJECTS, pace=pace, limits=limits, validate=True)
    url, switch = listening("hetzner")
    switch.app = app
    cloud = Cloud(url, app, store, hosts, Faults(url))
    app.state.cloud.jobs.resume(app.state.cloud)
    try:
        yield cloud
    finally:
        for client in cloud.clients:
            client.close()
        cloud.faults.close()
        app.state.cloud.jobs.close()
    assert app.state.violations.found == []


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """An empty cloud."""
    with serving() as served:
        yield served
    # Its jobs are done with it only now.
    served.store.close()


@contextmanager
def refused(code: str, status: int | None = None) -> Iterator[pytest.ExceptionInfo[APIException]]:
    """The block must be answered with this error."""
    with pytest.raises(APIException) as caught:
        yield caught
    assert caught.value.code == code, caught.value
