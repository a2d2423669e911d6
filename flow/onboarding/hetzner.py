"""What a Hetzner token may and reaches, by requests that change nothing."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from components import labels
from flow.errors import FlowError

_SECONDS = 8.0
_READ_ONLY = "token_readonly"


@dataclass(frozen=True)
class Access:
    """What one token is good for."""

    valid: bool
    writable: bool
    zones: tuple[str, ...] = ()
    stages: frozenset[str] = frozenset()
    """Stages that servers in the project are labelled with."""


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
    )


def _code(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return _READ_ONLY if answer.status_code == httpx.codes.FORBIDDEN else ""
