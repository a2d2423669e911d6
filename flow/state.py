"""A stack's exported state, read: its outputs, and what is Hetzner's and GitHub's in it. Pure."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The engine's mark of a special value.
_SECRET = "4dabf18193072939515e22adb298388d"  # noqa: S105  # nosec B105
_STACK = "pulumi:pulumi:Stack"
_PROVIDER = "pulumi:providers:hcloud"
_GITHUB = "pulumi:providers:github"
_HETZNER = "hcloud:index/"
_AT_GITHUB = "github:index/"
_COMMAND = "command:local:Command"
_ENVIRONMENT = "deployment-flow:index:Environment"
_DEPLOYMENT = "deployment-flow:index:Deployment"


@dataclass(frozen=True)
class Held:
    """One Hetzner resource of the state: `kind` as Server or Volume, its properties in clear."""

    kind: str
    properties: Mapping[str, Any] = field(repr=False)
    urn: str = ""
    """Its name in the state."""


@dataclass(frozen=True)
class State:
    """What a stack's last run left; `outputs` may hold secrets in clear."""

    outputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    resources: tuple[Held, ...] = ()
    provider: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Inputs of the Hetzner provider, as token and endpoint, where the state knows them."""
    release: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The release that was last found healthy: version, revision, images, compose…"""
    releases: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    """The releases it was found healthy with, what runs first: id, since, release."""
    created: int | None = None
    """When the oldest of it was made, in seconds since 1970."""
    deployed: int | None = None
    """When a release was last handed over."""
    tls: str = ""
    """What the last hand-over of a release found: issued, pending, or off for plain HTTP."""
    github: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Inputs of the GitHub provider, where the stack has a part at GitHub."""
    released_on: str = ""
    """Id of the server, or address of the given host, that a release was handed to last."""
    repository: str = ""
    """The repository (owner/name) that part is in."""

    @property
    def empty(self) -> bool:
        """Nothing was ever made, or all of it is gone."""
        return not self.outputs and not self.resources

    @property
    def images(self) -> str:
        """Hash of its images' digests; empty without a release.

        Two environments that have the same one run the same images, to the byte.
        """
        named = self.release.get("images") or {}
        digests = sorted({str(each).rpartition("@")[2] for each in named.values()})
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:10] if digests else ""

    @property
    def asleep(self) -> bool:
        """A demo whose server was put away; one that has not woken whole has it already."""
        return bool(self.outputs.get("asleep")) and not self.find("Server")

    def find(self, kind: str) -> list[Mapping[str, Any]]:
        """Properties of every resource of one kind."""
        return [each.properties for each in self.resources if each.kind == kind]

    def number(self, name: str) -> int | None:
        """An output that is a number, as times are; None where it is absent."""
        value = self.outputs.get(name)
        return int(value) if isinstance(value, int | float | str) and str(value) else None


def parse(deployment: Mapping[str, Any]) -> State:
    """A State from the engine's export (its `deployment`)."""
    outputs: Mapping[str, Any] = {}
    provider: Mapping[str, Any] = {}
    github: Mapping[str, Any] = {}
    repository = ""
    release: Mapping[str, Any] = {}
    releases: tuple[Mapping[str, Any], ...] = ()
    found = []
    created: list[int] = []
    deployed, released_on, tls = None, "", ""
    for resource in deployment.get("resources") or []:
        kind = str(resource.get("type"))
        # What waits for its deletion is no longer the stack's.
        if resource.get("delete"):
            continue
        if (when := _seconds(resource.get("created"))) is not None:
            created.append(when)
        values = _clear(resource.get("outputs") or {})
        if kind == _STACK:
            outputs = values
        elif kind == _ENVIRONMENT:
            release = values.get("release") or {}
            releases = tuple(values.get("releases") or ())
        elif kind == _DEPLOYMENT:
            tls = str(values.get("tls") or "")
        elif kind == _PROVIDER:
            provider = _clear(resource.get("inputs") or {})
        elif kind == _GITHUB:
            github = _clear(resource.get("inputs") or {})
        elif kind.startswith(_AT_GITHUB):
            repository = str(values.get("repository") or repository)
        elif kind.startswith(_HETZNER):
            properties = {**values, "id": resource.get("id")}
            found.append(Held(kind.rpartition(":")[2], properties, str(resource.get("urn"))))
        elif kind == _COMMAND and str(resource.get("urn")).endswith("-release"):
            deployed = _seconds(resource.get("modified"))
            machine = (_clear(resource.get("inputs") or {}).get("triggers") or [""])[0]
            released_on = str(machine).partition(" ")[0]
    first = min(created, default=None)
    where = f"{github.get('owner')}/{repository}" if repository and github.get("owner") else ""
    return State(
        outputs=outputs,
        resources=tuple(found),
        provider=provider,
        release=release,
        releases=releases,
        created=first,
        deployed=deployed,
        tls=tls,
        github=github,
        released_on=released_on,
        repository=where,
    )


def _seconds(when: Any) -> int | None:
    """A time of the engine's, as 2031-05-31T09:00:00.123456789Z, in seconds since 1970."""
    try:
        whole = str(when).partition(".")[0].removesuffix("Z")
        return int(datetime.datetime.fromisoformat(f"{whole}+00:00").timestamp())
    except ValueError:
        return None


def _clear(value: Any) -> Any:
    """Secrets as the engine exports them, {mark: …, "plaintext": JSON}, by their values."""
    if isinstance(value, Mapping):
        if _SECRET in value:
            return json.loads(value["plaintext"]) if "plaintext" in value else None
        return {key: _clear(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_clear(each) for each in value]
    return value
