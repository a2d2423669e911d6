"""A sandbox stack's settings, of the committed ones and a person's own changes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Settings that name the world outside: a team's own values must not reach the
# sandbox, whose defaults stand for them.
OUTSIDE = frozenset(
    (
        *("acmeEmail", "acmeRoot", "acmeServer"),
        *("host", "hostKey", "hostPort", "hostSshKey", "hostUser"),
        *("addressDomain", "hostname", "zone", "sshFrom"),
        *("githubRepository", "githubReviewers"),
        *("images", "registryPassword", "registryUsername"),
    )
)


def stack_settings(committed: Mapping[str, Any], namespace: str, zone: str) -> dict[str, Any]:
    """The config of a sandbox stack: the committed one's, less secrets and the world outside."""
    settings: dict[str, Any] = {}
    for key, value in (committed.get("config") or {}).items():
        space, _, name = str(key).rpartition(":")
        secret = isinstance(value, dict) and set(value) == {"secure"}
        if secret or space not in ("", namespace) or name in OUTSIDE:
            continue
        settings[f"{namespace}:{name}"] = value
    settings[f"{namespace}:zone"] = zone
    return settings


def merge(
    own: Mapping[str, Any], taken: Mapping[str, Any], wanted: Mapping[str, Any]
) -> dict[str, Any]:
    """`own` with what changed between `taken`, last time's settings, and `wanted`, today's."""
    merged = dict(own)
    for key in taken.keys() | wanted.keys():
        if taken.get(key) == wanted.get(key):
            continue
        if key in wanted:
            merged[key] = wanted[key]
        else:
            merged.pop(key, None)
    return dict(sorted(merged.items()))
