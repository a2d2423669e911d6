"""What `flow rebuild` would do, and why it may not: pure, from a state and a look at Hetzner.

A rebuild keeps addresses, volume, names and release, and replaces the server alone. Every plan is
one that the same command goes on from when it was stopped half-way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from components import compose, naming, plain_yaml
from flow import backends
from flow.errors import FlowError
from flow.machines import Sight
from flow.state import Held, State

Name = Literal["let go", "stop", "forget", "replace", "make", "finish", "hold"]


@dataclass(frozen=True)
class Step:
    """One step, and what it does, for people."""

    name: Name
    text: str


@dataclass(frozen=True)
class Plan:
    """The steps of one rebuild, in order."""

    stack: str
    steps: tuple[Step, ...]
    server: str = ""
    """Hetzner's id of the server that goes; empty where none does."""
    urn: str = ""
    """Its name in the state."""
    word: str = ""
    """What confirms that this server goes; good for one time. Empty where none goes."""
    by_word: bool = False
    """It takes that word to go: it is protected, or production's."""

    @property
    def names(self) -> list[Name]:
        """The steps by name."""
        return [each.name for each in self.steps]


@dataclass(frozen=True)
class Settings:
    """What the stack's settings ask for."""

    server_type: str
    locations: tuple[str, ...]
    volume_size: int

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Settings:
        """From a project's settings of one stack."""
        return cls(
            server_type=str(settings.get("serverType") or "cx23"),
            locations=tuple(str(each) for each in settings.get("locations") or ()),
            volume_size=int(settings.get("volumeSize") or 0),
        )


def data_on_disk(found: State) -> list[str]:
    """Names of the application's data that is on the server's own disk, and goes with it."""
    if found.find("Volume"):
        return []
    return compose.data_volumes(plain_yaml.load(str(found.release.get("compose") or "{}")) or {})


def check_release(stack: str, found: State) -> None:
    """Raises FlowError where there is nothing that could be brought back."""
    if not found.release or not found.outputs.get("release"):
        raise FlowError(
            f"{stack} has no release that was ever found healthy: there is nothing to bring back. "
            "Nothing was changed",
            f"flow deploy {stack}",
        )
    if not found.find("PrimaryIp"):
        raise FlowError(
            f"{stack} is on a machine that was given to it, not made by it. Nothing was changed",
            f"install that machine anew yourself, then: flow deploy {stack}",
        )


def make(
    stack: str,
    found: State,
    sight: Sight,
    wanted: Settings,
    *,
    lose_data: bool = False,
    anew: bool = False,
) -> Plan:
    """The plan. Raises FlowError for what would lose something, or could not be brought back.

    lose_data  data on the server's own disk may go with it
    anew       the server is replaced even where an earlier rebuild has not finished on it
    """
    check_release(stack, found)
    if found.asleep:
        raise FlowError(f"{stack} is asleep. Nothing was changed", f"flow demo wake {stack}")
    _check_things(stack, found, sight, wanted)
    server = next((each for each in found.resources if each.kind == "Server"), None)
    if server is None:
        return Plan(stack, (_make(),))
    if not sight.server:
        gone = f"forget server {_called(server)}, which is gone, in the state"
        return Plan(stack, (Step("forget", gone), _make()))
    if found.released_on != str(server.properties["id"]) and not anew:
        text = f"go on with server {_called(server)}, which an earlier rebuild made"
        return Plan(stack, (Step("finish", text),))
    if (lost := data_on_disk(found)) and not lose_data:
        raise FlowError(
            f"{stack} keeps data on its server's own disk ({', '.join(lost)}), which would go with "
            "it. Nothing was changed",
            f"save it first; to lose it on purpose: flow rebuild {stack} --lose-data",
        )
    return _replace(stack, server, sight, lost)


def _replace(stack: str, server: Held, sight: Sight, lost: list[str]) -> Plan:
    known = server.properties
    protected = known.get("deleteProtection") is True
    stage = naming.stage_of_stack(stack)
    steps = []
    if protected or known.get("shutdownBeforeDeletion") is True:
        what = "lift the protection of" if protected else "let go of"
        steps.append(Step("let go", f"{what} server {_called(server)}, and of nothing else"))
    if sight.server != "off":
        steps.append(Step("stop", f"shut down server {_called(server)}, cleanly if it answers"))
    disk = f", and its disk with {', '.join(lost)}" if lost else ""
    steps.append(
        Step(
            "replace",
            f"delete server {_called(server)}{disk}; make it anew with its addresses, its volume "
            "and its release",
        )
    )
    if stage != "demo":
        again = "protect it again" if stage == "prod" else "hold on to it again"
        steps.append(Step("hold", f"{again}, as the settings say"))
    return Plan(
        stack,
        tuple(steps),
        server=str(known["id"]),
        urn=server.urn,
        word=f"replace-server-{known['id']}",
        by_word=protected or stage == "prod",
    )


def _make() -> Step:
    return Step("make", "make the server anew, with its addresses, its volume and its release")


def _called(server: Held) -> str:
    return f"{server.properties.get('name')} ({server.properties['id']})"


def _check_things(stack: str, found: State, sight: Sight, wanted: Settings) -> None:
    """What has to be there, is; and has room at its place. Raises FlowError."""
    kept = [each for each in found.resources if each.kind in ("Volume", "PrimaryIp")]
    gone = [each for each in kept if str(each.properties["id"]) not in sight.reached]
    if len(gone) == len(kept):
        raise FlowError(
            f"the token reaches nothing of {stack}: it is one of another Hetzner project, or all "
            "of it is gone. Nothing was changed",
            "check hcloud:token, or HCLOUD_TOKEN",
        )
    if gone:
        named = ", ".join(
            f"{each.kind} {each.properties.get('name')} ({each.properties['id']})" for each in gone
        )
        raise FlowError(
            f"what would have to be kept is gone: {named}. Nothing was changed",
            f"{backends.command(stack, 'up --refresh')} makes it anew, empty; a volume's data "
            "comes from a backup",
        )
    volume = next(iter(found.find("Volume")), None)
    server = next(iter(found.find("Server")), {})
    if sight.volume_on not in ("", str(server.get("id"))):
        raise FlowError(
            f"the data volume of {stack} is attached to server {sight.volume_on}, which is not "
            "this stack's. Nothing was changed",
            "detach it in Hetzner's console, then run it again",
        )
    if volume is not None and wanted.volume_size < int(volume.get("size") or 0):
        raise FlowError(
            f"the settings ask for a volume of {wanted.volume_size} GB, and the one that is there "
            f"has {volume.get('size')}: it would go with its data. Nothing was changed",
            backends.command(stack, f"config set volumeSize {volume.get('size')}"),
        )
    location = str(kept[0].properties.get("location"))
    if location not in wanted.locations:
        raise FlowError(
            f"volume and addresses of {stack} are in {location}, which the setting locations does "
            "not name. Nothing was changed",
            backends.command(stack, f"config set --path 'locations[0]' {location}"),
        )
    if location not in sight.sold_in:
        raise FlowError(
            f"Hetzner has no room for a {wanted.server_type} in {location} now, where volume and "
            "addresses are. Nothing was changed",
            f"another type, or later: {backends.command(stack, 'config set serverType …')}",
        )
