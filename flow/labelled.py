"""What Hetzner's API lists under our labels: what is left of a stack, and what states have lost."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import hcloud
import httpx
import requests

from components import labels
from flow.errors import FlowError
from flow.pricing import HETZNER_API, Item

TIMEOUT_SECONDS = 10.0
ALL = f"managed-by={labels.MANAGED_BY}"
DATA = frozenset({"volume", "snapshot"})
"""Kinds that hold data, and outlive servers for it."""
UNPRICED = frozenset({"load balancer", "floating IP", "snapshot"})
"""Kinds that are paid for, and that no stack makes: what they cost is not known here."""
# What was just let go of is in use for some seconds more.
_PASSING = frozenset({"conflict", "locked", "must_be_unassigned", "resource_in_use"})
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Found:
    """One thing at Hetzner; `kind` as "server" or "primary IP"."""

    kind: str
    name: str
    labels: Mapping[str, str]
    thing: Any = field(repr=False)
    id: str = ""
    """Hetzner's own; of a record set zone/name/type."""
    created: int | None = None
    """In seconds since 1970; None for a record set, of which the API does not tell."""
    protected: bool = False
    used_by: frozenset[str] = frozenset()
    """Ids of the servers it is attached, assigned or applied to."""
    item: Item | None = None
    """What is paid for; None for what costs nothing, and for UNPRICED."""

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
        chosen: dict[str, Any] = {"label_selector": selector}
        kinds: dict[str, Callable[[], Iterable[Any]]] = {
            "server": lambda: client.servers.get_all(**chosen),
            "load balancer": lambda: client.load_balancers.get_all(**chosen),
            "volume": lambda: client.volumes.get_all(**chosen),
            "primary IP": lambda: client.primary_ips.get_all(**chosen),
            "floating IP": lambda: client.floating_ips.get_all(**chosen),
            "firewall": lambda: client.firewalls.get_all(**chosen),
            "network": lambda: client.networks.get_all(**chosen),
            "placement group": lambda: client.placement_groups.get_all(**chosen),
            "certificate": lambda: client.certificates.get_all(**chosen),
            "SSH key": lambda: client.ssh_keys.get_all(**chosen),
            "snapshot": lambda: client.images.get_all(type=["snapshot"], **chosen),
        }
        try:
            found = [_found(kind, each) for kind, find in kinds.items() for each in find()]
            return found + [
                _record_set(str(zone.name), each)
                for zone in client.zones.get_all()
                for each in client.zones.get_rrset_all(zone, **chosen)
            ]
        except (hcloud.HCloudException, requests.RequestException) as error:
            raise self._unasked(error) from error

    def record_set(self, zone: str, name: str, kind: str) -> Found | None:
        """The record set of that name and type (A, AAAA), whoever made it. Raises FlowError."""
        try:
            held = self._client.zones.get(zone)
            # Its types are the API's, as words of their own.
            found = self._client.zones.get_rrset(held, name, cast(Any, kind))
            return _record_set(zone, found)
        except hcloud.APIException as error:
            if error.code == "not_found":
                return None
            raise self._unasked(error) from error
        except (hcloud.HCloudException, requests.RequestException) as error:
            raise self._unasked(error) from error

    def _unasked(self, error: Exception) -> FlowError:
        return FlowError(
            f"{self.endpoint} cannot be asked what is left: {error}",
            "check the token and the network, then run it again",
        )

    def delete(self, found: Iterable[Found]) -> None:
        """Delete what was listed, in that order. What is protected stays, and is an error."""
        for each in found:
            self.remove(each)

    def remove(self, each: Found) -> None:
        """Delete one thing; that it is gone already is fine. Raises FlowError."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return self._remove(each)
            except hcloud.APIException as error:
                if error.code == "not_found":  # it went with its server
                    return None
                if error.code in _PASSING and time.monotonic() < until:
                    time.sleep(1)
                    continue
                raise FlowError(
                    f"{each} cannot be deleted: {error}", "delete it in Hetzner's console"
                ) from error
            except (hcloud.HCloudException, requests.RequestException) as error:
                raise FlowError(
                    f"{each} was not deleted: {error}", "run it again: it goes on from here"
                ) from error

    def _remove(self, each: Found) -> None:
        if each.kind == "volume":
            # As it is now: its server may have gone since it was listed.
            volume = self._client.volumes.get_by_id(each.thing.id)
            if volume.server is not None:
                volume.detach().wait_until_finished()
        done = (
            self._client.zones.delete_rrset(each.thing)
            if each.kind == "record set"
            else each.thing.delete()
        )
        action = getattr(done, "action", done)
        if hasattr(action, "wait_until_finished"):
            action.wait_until_finished()


def _found(kind: str, thing: Any) -> Found:
    created = getattr(thing, "created", None)
    return Found(
        kind,
        str(thing.name or getattr(thing, "description", None) or thing.id),
        dict(thing.labels or {}),
        thing,
        id=str(thing.id),
        created=None if created is None else int(created.timestamp()),
        protected=bool((getattr(thing, "protection", None) or {}).get("delete")),
        used_by=_used_by(kind, thing),
        item=_item(kind, thing),
    )


def _used_by(kind: str, thing: Any) -> frozenset[str]:
    if kind == "firewall":
        found = [each.server for each in thing.applied_to or [] if each.server is not None]
    elif kind in ("volume", "floating IP"):
        found = [thing.server] if thing.server is not None else []
    else:
        assigned = getattr(thing, "assignee_id", None)
        return frozenset() if assigned is None else frozenset({str(assigned)})
    return frozenset(str(each.id) for each in found)


def _record_set(zone: str, thing: Any) -> Found:
    name = zone if thing.name == "@" else f"{thing.name}.{zone}"
    return Found(
        "record set",
        f"{name} {thing.type}",
        dict(thing.labels or {}),
        thing,
        id=f"{zone}/{thing.name}/{thing.type}",
        protected=bool((thing.protection or {}).get("change")),
    )


def _item(kind: str, thing: Any) -> Item | None:
    if kind == "server":
        return Item("server", str(thing.server_type.name), str(thing.location.name))
    if kind == "primary IP":
        return Item("address", str(thing.type), str(thing.location.name))
    return Item("volume", size=float(thing.size)) if kind == "volume" else None
