"""What a Hetzner token may and reaches, by requests that change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from components import labels
from flow.errors import FlowError

_SECONDS = 8.0
_READ_ONLY = "token_readonly"
# A zone that is not known to its parent answers nobody; `unknown` is one that was just made.
_ASTRAY = frozenset({"invalid", "lame", "unregistered"})


@dataclass(frozen=True)
class Access:
    """What one token is good for."""

    valid: bool
    writable: bool
    zones: tuple[str, ...] = ()
    stages: frozenset[str] = frozenset()
    """Stages that servers in the project are labelled with."""
    astray: Mapping[str, str] = field(default_factory=dict)
    """Zones whose name servers nobody is sent to, and what mends it."""
    secondary: frozenset[str] = frozenset()
    """Zones that are copies: nobody can add a record to one."""


def ask(token: str, endpoint: str) -> Access:
    """Look at a token. Raises FlowError where the API cannot be asked.

    Whether it may write is asked with a key that is none: a token that may not is refused before
    the key is looked at.
    """
    try:
        with httpx.Client(
            base_url=endpoint.rstrip("/"),
            headers={"Authorization": f"Bearer {token}"},
            timeout=_SECONDS,
        ) as client:
            tried = client.post("/ssh_keys", json={})
            if tried.status_code == httpx.codes.UNAUTHORIZED:
                return Access(valid=False, writable=False)
            zones = client.get("/zones", params={"per_page": 50}).raise_for_status().json()
            selector = f"managed-by={labels.MANAGED_BY}"
            listed = client.get("/servers", params={"label_selector": selector, "per_page": 50})
            servers = listed.raise_for_status().json()["servers"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise FlowError(
            f"Hetzner cannot be asked at {endpoint}: {type(error).__name__}",
            "check the network and https://status.hetzner.com, then run it again",
        ) from error
    return Access(
        valid=True,
        writable=_code(tried) != _READ_ONLY,
        zones=tuple(str(each["name"]) for each in zones["zones"]),
        stages=frozenset(str((each.get("labels") or {}).get("stage") or "") for each in servers)
        - {""},
        astray={str(each["name"]): mend for each in zones["zones"] if (mend := _delegation(each))},
        secondary=frozenset(
            str(each["name"]) for each in zones["zones"] if each.get("mode") == "secondary"
        ),
    )


def _delegation(zone: Mapping[str, Any]) -> str:
    """What mends a zone's delegation; empty where nothing is wrong with it."""
    servers = zone.get("authoritative_nameservers") or {}
    status = servers.get("delegation_status")
    if status not in _ASTRAY:
        return ""
    if status == "unregistered":
        return f"register {zone['name']}, or look at its spelling"
    return f"have its registrar name {', '.join(servers.get('assigned') or [])}"


def _code(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return _READ_ONLY if answer.status_code == httpx.codes.FORBIDDEN else ""
