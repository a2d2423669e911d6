"""What Hetzner's API lists under our labels: what is left of a stack, and what states have lost."""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import hcloud
import httpx
import requests

from flow.errors import FlowError
from flow.pricing import HETZNER_API

TIMEOUT_SECONDS = 10.0
ALL = "managed-by=deployment-flow"


@dataclass(frozen=True)
class Found:
    """One thing at Hetzner; `kind` as "server" or "primary IP"."""

    kind: str
    name: str
    labels: Mapping[str, str]
    thing: Any = field(repr=False)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def stack(self) -> str:
        """The label of its stack."""
        return self.labels.get("stack", "")

    @property
    def expires(self) -> int | None:
        """When its demo ends, in seconds since 1970; None for what has no readable end."""
        value = self.labels.get("expires", "")
        return int(value) if value.isdigit() else None


class Cloud:
    """One Hetzner project, by one token."""

    def __init__(self, token: str, endpoint: str = "") -> None:
        self.endpoint = (endpoint or HETZNER_API).rstrip("/")
        self._token = token
        self._client = hcloud.Client(
            token=token,
            api_endpoint=self.endpoint,
            application_name="deployment-flow",
            timeout=TIMEOUT_SECONDS,
        )

    def now(self) -> float:
        """The API's clock, in seconds since 1970. Raises FlowError when it does not tell it."""
        try:
            answer = httpx.get(
                f"{self.endpoint}/locations",
                params={"per_page": 1},
                headers={"Authorization": f"Bearer {self._token}"},
                timeout=TIMEOUT_SECONDS,
            )
            answer.raise_for_status()
            return email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp()
        except (httpx.HTTPError, KeyError, ValueError) as error:
            raise FlowError(
                f"{self.endpoint} does not tell its time: {error}",
                "check the token and the network, then run it again",
            ) from error

    def listed(self, selector: str = ALL) -> list[Found]:
        """Everything the labels select, in the order it can be deleted in. Raises FlowError."""
        client = self._client
        kinds: dict[str, Callable[[], Iterable[Any]]] = {
            "server": lambda: client.servers.get_all(label_selector=selector),
            "volume": lambda: client.volumes.get_all(label_selector=selector),
            "primary IP": lambda: client.primary_ips.get_all(label_selector=selector),
            "firewall": lambda: client.firewalls.get_all(label_selector=selector),
            "SSH key": lambda: client.ssh_keys.get_all(label_selector=selector),
            "record set": lambda: [
                record
                for zone in client.zones.get_all()
                for record in client.zones.get_rrset_all(zone, label_selector=selector)
            ],
        }
        try:
            return [
                Found(kind, str(each.name), dict(each.labels or {}), each)
                for kind, find in kinds.items()
                for each in find()
            ]
        except (hcloud.APIException, requests.RequestException) as error:
            raise FlowError(
                f"{self.endpoint} cannot be asked what is left: {error}",
                "check the token and the network, then run it again",
            ) from error

    def delete(self, found: Iterable[Found]) -> None:
        """Delete what was listed, in that order. What is protected stays, and is an error."""
        for each in found:
            try:
                if each.kind == "volume" and each.thing.server is not None:
                    each.thing.detach().wait_until_finished()
                done = (
                    self._client.zones.delete_rrset(each.thing)
                    if each.kind == "record set"
                    else each.thing.delete()
                )
                action = getattr(done, "action", done)
                if hasattr(action, "wait_until_finished"):
                    action.wait_until_finished()
            except hcloud.APIException as error:
                if error.code == "not_found":  # it went with its server
                    continue
                raise FlowError(
                    f"{each} cannot be deleted: {error}", "delete it in Hetzner's console"
                ) from error
            except (hcloud.HCloudException, requests.RequestException) as error:
                raise FlowError(
                    f"{each} was not deleted: {error}", "run it again: it goes on from here"
                ) from error
