"""What this stack's last run left behind: its outputs, and the resources in its state.

Read through the engine, once, before anything is registered. The state answers for a stack
whose last `up` failed half-way, too, when there are no outputs yet.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi

_PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)  # seconds
_STACK: Final = "pulumi:pulumi:Stack"
_STAGE: Final = "deployment-flow:index:Environment"
# What the guard compares is in these; values of the rest (keys, commands) stay unread.
_HETZNER: Final = "hcloud:index/"
# What GitHub refuses to make twice. Its secrets are not among it, and stay unread.
_GITHUB: Final = (
    "github:index/actionsEnvironmentVariable:",
    "github:index/repositoryEnvironmentDeploymentPolicy:",
    "github:index/repositoryRuleset:",
)


@dataclass(frozen=True)
class Recorded:
    """One resource of Hetzner's or GitHub's in the state."""

    type: str
    """Without package and module: Server, Volume, PrimaryIp, ZoneRrset…"""
    name: str
    """Name in the program: staging-server."""
    properties: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Record:
    """The last run of this stack; empty for a new one."""

    resources: tuple[Recorded, ...] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    release: Mapping[str, Any] | None = field(default=None, repr=False)
    """The release that was last found healthy, as plan.Kept writes it."""
    releases: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    """The releases it was found healthy with, newest first, as history.with_release has them."""
    registry: Mapping[str, Any] | None = field(default=None, repr=False)
    """What the server pulled that release with: {"server", "username", "password"}."""

    def find(self, kind: str) -> tuple[Recorded, ...]:
        """Every recorded resource of one type."""
        return tuple(each for each in self.resources if each.type == kind)

    @property
    def expires(self) -> int | None:
        """A demo's recorded end in seconds since 1970."""
        value = self.outputs.get("expires")
        return int(value) if isinstance(value, int | float | str) else None


def read() -> Record:
    """The record of the stack this program runs for."""
    # In full: a short name would be looked for in the user's default organisation.
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    for pause in (*_PAUSES, None):
        try:
            answer = pulumi.runtime.invoke(
                "pulumi:pulumi:readStackResourceOutputs", {"stackName": name}
            )
            break
        except Exception as error:
            # A backend in a folder rewrites the state in place, and the engine does so just
            # now: it has registered the stack itself. A half-written one is whole a moment later.
            if pause is None or "failed to load checkpoint" not in str(error):
                raise
            time.sleep(pause)
    return parse(answer.value["outputs"])


def parse(resources: Mapping[str, Any]) -> Record:
    """A record from {URN: {"type", "outputs"}}; pure."""
    outputs: Mapping[str, Any] = {}
    release: Mapping[str, Any] | None = None
    registry: Mapping[str, Any] | None = None
    releases: tuple[Mapping[str, Any], ...] = ()
    found = []
    for urn, resource in sorted(resources.items()):
        kind: str = resource["type"]
        if kind == _STACK:
            outputs = _whole_numbers(resource["outputs"])
        elif kind == _STAGE:
            # Not a stack output: those are printed after every `up`, and this is a whole
            # Compose file.
            kept = _whole_numbers(resource["outputs"])
            release, registry = _mapping(kept, "release"), _mapping(kept, "registry")
            releases = tuple(
                each for each in kept.get("releases") or () if _mapping(each, "release")
            )
        elif kind.startswith((_HETZNER, *_GITHUB)):
            found.append(
                Recorded(
                    type=kind.rpartition(":")[2],
                    name=urn.rpartition("::")[2],
                    properties=_whole_numbers(resource["outputs"]),
                )
            )
    return Record(
        resources=tuple(found),
        outputs=outputs,
        release=release,
        releases=releases,
        registry=registry,
    )


def _mapping(values: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    found = values.get(name)
    return found if isinstance(found, Mapping) else None


def _whole_numbers(value: Any) -> Any:
    """Protobuf knows only floats; a port that comes back as 80.0 would look changed."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole_numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(each) for each in value]
    return value
