"""What a stack's own server, volume and addresses are at Hetzner now, and a clean shutdown.

Asked by the ids that the state holds, not by labels: what answers is what the state means.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import hcloud
import requests

from flow import backends
from flow.errors import FlowError
from flow.pricing import HETZNER_API
from flow.project import Project
from flow.state import State

TIMEOUT_SECONDS = 10.0
SHUTDOWN_SECONDS = 60.0
"""What a guest gets to shut down in, before its power is cut."""
_EVERY = 0.5
_REFUSED = ("unauthorized", "forbidden", "token_readonly")


@dataclass(frozen=True)
class Sight:
    """What of a state is there, as one token sees it."""

    server: str = ""
    """Its status, as running or off; empty where it is gone."""
    reached: frozenset[str] = frozenset()
    """Ids of the volumes and addresses that are there."""
    volume_on: str = ""
    """Id of the server the data volume is attached to."""
    sold_in: tuple[str, ...] = ()
    """Locations that have room for the server type now."""


def of(project: Project, stack: str) -> Machines:
    """The stack's Hetzner project by the token that an `up` of it would use. Raises FlowError."""
    own = project.stacks.settings(stack)
    token = own.get("hcloud:token") or os.environ.get("HCLOUD_TOKEN")
    endpoint = own.get("hcloud:endpoint") or os.environ.get("HCLOUD_ENDPOINT") or ""
    if not token:
        raise FlowError(
            f"there is no Hetzner token for {stack}. Nothing was changed",
            f"{backends.set_token(stack)}, or export HCLOUD_TOKEN",
        )
    return Machines(str(token), str(endpoint), stack)


class Machines:
    """One Hetzner project, by the token of `stack`."""

    def __init__(self, token: str, endpoint: str, stack: str) -> None:
        self._stack = stack
        self._endpoint = (endpoint or HETZNER_API).rstrip("/")
        self._client: Any = hcloud.Client(
            token=token,
            api_endpoint=self._endpoint,
            application_name="deployment-flow",
            timeout=TIMEOUT_SECONDS,
        )

    def look(self, found: State, server_type: str) -> Sight:
        """What is there of a state, and where `server_type` is to be had. Raises FlowError."""
        client = self._client
        servers, volumes = found.find("Server"), found.find("Volume")
        with self._asking():
            server = _there(lambda: client.servers.get_by_id(int(servers[0]["id"])), servers)
            reached: dict[str, Any] = {}
            for kind, each in (
                *((client.volumes, each) for each in volumes),
                *((client.primary_ips, each) for each in found.find("PrimaryIp")),
            ):
                id_ = str(each["id"])
                if (thing := _there(lambda: kind.get_by_id(int(id_)), [id_])) is not None:  # noqa: B023
                    reached[id_] = thing
            kind = client.server_types.get_by_name(server_type)
            on = reached.get(str(volumes[0]["id"])) if volumes else None
            return Sight(
                server="" if server is None else str(server.status),
                reached=frozenset(reached),
                volume_on=str(on.server.id) if on is not None and on.server is not None else "",
                sold_in=tuple(
                    str(each.location.name)
                    for each in ([] if kind is None else kind.locations or [])
                    if getattr(each, "available", True)
                ),
            )

    def shut_down(
        self, server: str, note: Callable[[str], Any], seconds: float = SHUTDOWN_SECONDS
    ) -> str:
        """Switch a server off, cleanly where it still answers; how it went. Raises FlowError."""
        with self._asking():
            machine = self._client.servers.get_by_id(int(server))
            if machine.status == "off":
                return "it was off already"
            began = time.monotonic()
            machine.shutdown().wait_until_finished()
            while time.monotonic() - began < seconds:
                machine.reload()
                if machine.status == "off":
                    return f"cleanly, in {time.monotonic() - began:.0f} s"
                note(f"waiting for it to shut down ({machine.status})")
                time.sleep(_EVERY)
            # Nobody listens there any more; its disks are as after a power cut.
            machine.power_off().wait_until_finished()
            return f"it did not react in {seconds:.0f} s, so its power was cut"

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except hcloud.APIException as error:
            if error.code in _REFUSED:
                raise FlowError(
                    f"{self._endpoint} refuses the token ({error.code}). Nothing was changed",
                    "give it one with read and write access: "
                    f"{backends.set_token(self._stack)}, or HCLOUD_TOKEN",
                ) from error
            raise FlowError(
                f"{self._endpoint} answers {error.code}: {error}", "run it again in a few minutes"
            ) from error
        except (hcloud.HCloudException, requests.RequestException) as error:
            raise FlowError(
                f"{self._endpoint} does not answer: {error}",
                "check the network and https://status.hetzner.com, then run it again",
            ) from error


def _there(ask: Callable[[], Any], wanted: list[Any]) -> Any:
    """What is asked for; None where nothing is wanted, or what is wanted is gone."""
    if not wanted:
        return None
    try:
        return ask()
    except hcloud.APIException as error:
        if error.code == "not_found":
            return None
        raise
