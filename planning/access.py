"""What is wrong with a Hetzner token, asked by requests that change nothing, before anything does.

With a token of another project everything a stack has made looks deleted: a refresh, or a destroy,
would forget what still costs money. One that expired, or may only read, fails at the first step
that needs it, half-way. Needs no engine: `flow` asks, too, before it starts one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

SECONDS: Final = 5.0
_PATHS: Final = {
    "Server": "servers",
    "Volume": "volumes",
    "PrimaryIp": "primary_ips",
    "Firewall": "firewalls",
    "SshKey": "ssh_keys",
}
_READ_ONLY: Final = "token_readonly"


@dataclass(frozen=True)
class Mistake:
    """Why a token will not do, and the command that mends it."""

    problem: str
    remedy: str


def places(held: Sequence[tuple[str, Mapping[str, Any]]], *, finished: bool = True) -> list[str]:
    """Where to ask for what a state holds, (kind, properties) each; a zone only where that is all.

    Kinds as in the state's types: Server, Volume, PrimaryIp, Firewall, SshKey, ZoneRrset.

    finished  whether an `up` ever went through. One that was killed before it had a server may have
              deleted all it had, on its way to another location, and its state not know: nothing
              is asked for then, as nothing could be lost
    """
    if not finished and not any(kind == "Server" for kind, _ in held):
        return []
    own = [
        f"/{_PATHS[kind]}/{properties['id']}"
        for kind, properties in held
        if kind in _PATHS and str(properties.get("id") or "").isdigit()
    ]
    zones = {
        f"/zones/{properties['zone']}"
        for kind, properties in held
        if kind == "ZoneRrset" and properties.get("zone")
    }
    return own or sorted(zones)


def mistake(
    token: str, endpoint: str, stack: str, where: Sequence[str], *, writes: bool
) -> Mistake | None:
    """What is wrong with a stack's token; None where nothing is, or Hetzner cannot be asked.

    where   what the state holds, as `places` says: the token's project must have one of them
    writes  whether it has to be allowed to change something
    """
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with httpx.Client(base_url=endpoint, headers=headers, timeout=SECONDS) as client:
            status, refused = int(httpx.codes.OK), ""
            for each in where:
                status = client.get(each).status_code
                if status != httpx.codes.NOT_FOUND:
                    break
            if writes and status == httpx.codes.OK:
                # A key that is none: a token that may not write is refused before it is looked at.
                tried = client.post("/ssh_keys", json={})
                status, refused = tried.status_code, _code(tried)
    except (httpx.HTTPError, httpx.InvalidURL):
        # That is another fault, and what asks for more says so.
        return None
    mend = f"pulumi config set --secret hcloud:token -s {stack} (or export HCLOUD_TOKEN)"
    if status == httpx.codes.UNAUTHORIZED:
        return Mistake(
            f"Hetzner does not know the token of {stack} (unauthorized): it has expired, was "
            "deleted, or never was one. Nothing was changed",
            f"make one with read and write access in the same project, then: {mend}",
        )
    if where and status == httpx.codes.NOT_FOUND:
        return Mistake(
            f"the token reaches nothing of {stack}: either it is one of another Hetzner project, "
            "or all of it was deleted by hand. Nothing was changed",
            f"give the right one: {mend}; if all is gone: pulumi destroy --refresh -s {stack}",
        )
    if refused == _READ_ONLY:
        return Mistake(
            f"the token of {stack} may only read. Nothing was changed",
            f"make one with read and write access in the same project, then: {mend}",
        )
    return None


def _code(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""
