"""What Hetzner lists under the project's labels and no state holds, by every token at hand."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from components import labels, naming
from flow import engine, pricing, state, survey
from flow.errors import FlowError
from flow.labelled import Cloud, Found
from flow.project import Project

# Kinds of a state → kinds of the API's lists.
_KINDS = {
    "Server": "server",
    "LoadBalancer": "load balancer",
    "Volume": "volume",
    "PrimaryIp": "primary IP",
    "FloatingIp": "floating IP",
    "Firewall": "firewall",
    "Network": "network",
    "PlacementGroup": "placement group",
    "SshKey": "SSH key",
    "Snapshot": "snapshot",
}

Key = tuple[str, str]
"""(kind, id) of one thing at Hetzner."""


class Place(Protocol):
    """Where things are: a Hetzner project, a repository at GitHub."""

    def listed(self) -> list[Found]:
        """All of them that the program made, in the order to delete them in. Raises FlowError."""

    def remove(self, each: Found) -> None:
        """Delete one; that it is gone already is fine. Raises FlowError."""


@dataclass(frozen=True)
class Look:
    """What was found, everywhere."""

    names: tuple[str, ...]
    """Stacks of the backend."""
    states: Mapping[str, state.State | FlowError] = field(repr=False)
    """The state of each, without its secrets, or why it cannot be read."""
    owned: frozenset[Key]
    lost: tuple[Found, ...]
    clouds: Mapping[Key, Place] = field(repr=False)
    """Where each listed thing is."""
    problems: tuple[str, ...] = ()
    """Hetzner projects that could not be asked."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Groups of stacks whose states cannot be listed, and why."""
    astray: Mapping[str, str] = field(default_factory=dict)
    """Labels of stacks that lie in the state of another group, which nobody reads."""

    def unknown(self, found: Found) -> str:
        """Why nobody can say whether a state holds it; empty where that is known."""
        if group := self.astray.get(found.stack):
            return f"a stack of its name lies in the state of {group}"
        # Older teams kept all in one state: any of another group's may lie in it still.
        return next(iter(self.unread.values()), "")


def look(project: Project) -> Look:
    """Ask the backends for all states and Hetzner for all that is labelled. Raises FlowError."""
    names, rows = survey.listed(project)
    unread = {each.environment: each.problem for each in rows}
    astray = {} if unread else project.stacks.astray()
    states = survey.states(project, names)
    whole = {name: each for name, each in states.items() if isinstance(each, state.State)}
    owned = held(whole.values())
    listed, clouds, problems = listed_by(clouds_at_hand(project, whole))
    lost = ownerless(listed, project.name, owned)
    return Look(
        names=tuple(names),
        states=states,
        owned=frozenset(owned),
        lost=tuple(lost),
        clouds=clouds,
        problems=tuple(problems),
        unread=unread,
        astray={naming.label_value(name): group for name, group in astray.items()},
    )


def prices_for(project: Project, found: Look) -> pricing.Prices | None:
    """Today's prices, by any token; None where no one tells them."""
    whole = {name: each for name, each in found.states.items() if isinstance(each, state.State)}
    return survey.price_list(survey.providers(project, whole))


def held(states: Iterable[state.State]) -> set[Key]:
    """Everything that these states hold."""
    found: set[Key] = set()
    for each in states:
        for thing in each.resources:
            of = thing.properties
            if thing.kind == "ZoneRrset":
                found.add(("record set", f"{of.get('zone')}/{of.get('name')}/{of.get('type')}"))
            elif thing.kind.endswith("Certificate"):
                found.add(("certificate", str(of.get("id"))))
            elif thing.kind in _KINDS:
                found.add((_KINDS[thing.kind], str(of.get("id"))))
    return found


def ownerless(listed: Iterable[Found], project: str, owned: set[Key]) -> list[Found]:
    """What carries this project's labels and is in no state; pure."""
    ours = labels.MANAGED_BY, naming.label_value(project)
    return [
        each
        for each in listed
        if (each.labels.get("managed-by"), each.labels.get("project")) == ours
        and (each.kind, each.id) not in owned
    ]


def clouds_at_hand(project: Project, states: Mapping[str, state.State]) -> list[tuple[str, Cloud]]:
    """Every Hetzner project there is a token for, with whose that token is.

    Raises FlowError without one.
    """
    found: dict[tuple[str, str], str] = {}
    for whose, provider in _providers(project, states):
        if token := provider.get("token"):
            endpoint = provider.get("endpoint") or os.environ.get("HCLOUD_ENDPOINT") or ""
            found.setdefault((str(token), str(endpoint or pricing.HETZNER_API)), whose)
    if not found:
        raise FlowError(
            "there is no Hetzner token to look with", "export HCLOUD_TOKEN, one of the project's"
        )
    return [(whose, Cloud(*at)) for at, whose in found.items()]


def _providers(
    project: Project, states: Mapping[str, state.State]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "HCLOUD_TOKEN", {"token": os.environ.get("HCLOUD_TOKEN")}
    stacks = project.stacks

    def read(name: str) -> Mapping[str, Any]:
        try:
            if "token" in states[name].provider:
                return state.parse(stacks.state(name)).provider
            settings = stacks.settings(name)
        except FlowError:
            return {}
        return {key: settings.get(f"hcloud:{key}") for key in ("token", "endpoint")}

    # A demo has none of its own; a stage has, when its state is empty or lost, too.
    asked = [
        name
        for name, each in states.items()
        if "token" in each.provider or naming.stage_of_stack(name) not in ("demo", None)
    ]
    for name, provider in zip(asked, engine.at_once(read, asked, engine.ENGINES), strict=True):
        yield f"the token of {name}", provider


def listed_by(
    places: Sequence[tuple[str, Place]],
) -> tuple[list[Found], dict[Key, Place], list[str]]:
    """What all places list, once each, where, and which of them could not be asked."""

    def ask(at: tuple[str, Place]) -> list[Found] | FlowError:
        try:
            return at[1].listed()
        except FlowError as error:
            return error

    found: list[Found] = []
    where: dict[Key, Place] = {}
    problems = []
    answers = engine.at_once(ask, places, survey.REQUESTS)
    for (whose, place), answer in zip(places, answers, strict=True):
        if isinstance(answer, FlowError):
            problems.append(f"{whose}: {answer.problem}")
            continue
        for each in answer:
            # Two tokens may be of one project.
            if (each.kind, each.id) not in where:
                where[each.kind, each.id] = place
                found.append(each)
    return found, where, problems
