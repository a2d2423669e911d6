"""What no stack owns: found at Hetzner and GitHub, judged, shown, and removed on demand.

States are lost, and updates are killed: what they made still costs money. Nothing is removed that
a state holds, that an update may be making just now, or that is protected; data only when asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from components import naming
from flow import backends, clock, engine, locks, lost_at_github, ownerless, pricing, state, survey
from flow.errors import FlowError
from flow.labelled import DATA, UNPRICED, Found
from flow.ownerless import Key, Place
from flow.project import Project
from flow.stages import Stages

YOUNG_SECONDS = 3600
"""An `up` of somebody else's may still be making what is younger: no job of a run takes longer."""
REMOVALS = 4  # at once

Action = Literal["remove", "keep", "removed", "failed"]


@dataclass(frozen=True)
class Wish:
    """What a person has said besides the command."""

    stacks: frozenset[str] = frozenset()
    """Labels of the stacks that were named; empty: of any."""
    volumes: bool = False
    """Whether what holds data goes, too."""


@dataclass(frozen=True)
class Owner:
    """What is known of the stack that things are labelled with."""

    name: str = ""
    """Empty where the backend has no such stack."""
    lives: bool = False
    """Whether its state holds anything."""
    problem: str = ""
    """Why its state cannot be read."""
    busy: str = ""
    """Who holds its lock now."""


@dataclass(frozen=True)
class Finding:
    """One thing that no stack owns, and what is to be done with it, or was."""

    found: Found
    action: Action
    why: str
    settled: bool = False
    """Kept because an update may be at work on it: it may well be owned in a minute."""

    @property
    def left(self) -> bool:
        """Whether it stays, ownerless."""
        return self.action == "failed" or (self.action == "keep" and not self.settled)

    @property
    def key(self) -> Key:
        """What it is at Hetzner; at GitHub its path below the repository."""
        return self.found.kind, self.found.id

    @property
    def holds_data(self) -> bool:
        """Whether data goes with it."""
        return self.found.kind in DATA

    def output(self, now: float, prices: pricing.Prices | None) -> dict[str, Any]:
        """As JSON has it: `age` in seconds, the cost net; None is unknown."""
        found = self.found
        return {
            "kind": found.kind,
            "name": found.name,
            "id": found.id,
            "stack": found.stack,
            "branch": found.labels.get("branch", ""),
            "age": None if found.created is None else int(now - found.created),
            "expires": found.expires,
            "cost_a_month": month(found, prices),
            "action": self.action,
            "why": self.why,
        }


@dataclass(frozen=True)
class Plan:
    """All that was found, in the order it is removed in."""

    findings: tuple[Finding, ...]
    prices: pricing.Prices | None
    now: float
    problems: tuple[str, ...] = ()
    """Hetzner projects that could not be asked, and GitHub."""
    places: Mapping[Key, Place] = field(default_factory=dict, repr=False)
    unasked: str = ""
    """Why GitHub was not asked; empty where it was, and where the team has no repository there."""

    def to(self, action: Action) -> list[Finding]:
        """Those it stands so with."""
        return [each for each in self.findings if each.action == action]


def month(found: Found, prices: pricing.Prices | None) -> float | None:
    """What one thing costs a month, net; None when that is not known."""
    if found.item is None:
        return None if found.kind in UNPRICED else 0.0
    day = pricing.a_day([found.item], prices) if prices else None
    return None if day is None else pricing.a_month(day)


def judge(
    found: Sequence[Found],
    owners: Mapping[str, Owner],
    wish: Wish,
    now: float,
    *,
    any_demo: bool = True,
) -> list[Finding]:
    """What is to be done with each of `found`, servers first; pure.

    owners    what is known of each stack, by its label
    any_demo  whether the backend knows any demo at all: if not, it may be the wrong one
    """
    youngest: dict[str, int] = {}
    for each in found:
        if each.created is not None:
            youngest[each.stack] = max(youngest.get(each.stack, 0), each.created)
    going: set[str] = set()
    findings = []
    for each in found:
        if wish.stacks and each.stack not in wish.stacks:
            continue
        owner = owners.get(each.stack, Owner())
        age = now - youngest[each.stack] if each.stack in youngest else None
        finding = (
            _of_stack(each, owner, wish, age, any_demo)
            or _of_itself(each, wish, going)
            or Finding(each, "remove", "no stack holds it")
        )
        if finding.action == "remove" and each.kind == "server":
            going.add(each.id)
        findings.append(finding)
    return findings


def _of_stack(
    each: Found, owner: Owner, wish: Wish, age: float | None, any_demo: bool
) -> Finding | None:
    """Kept for the stack it is labelled with; None where that stands in no way."""
    if owner.problem:
        return Finding(each, "keep", f"the state of {owner.name} cannot be read: {owner.problem}")
    if owner.busy:
        return Finding(each, "keep", owner.busy, settled=True)
    if wish.stacks:
        return None
    name = f"flow sweep --stack {owner.name or each.stack}"
    if age is not None and age < YOUNG_SECONDS:
        why = (
            f"of its stack something was made {survey.span(age)} ago, maybe by an update that runs"
        )
        return Finding(each, "keep", f"{why}; {name}", settled=True)
    if owner.lives:
        back = f"flow deploy {owner.name} takes back what it can, else {name}"
        return Finding(each, "keep", f"{owner.name} lives, and its state lacks this; {back}")
    if each.labels.get("stage") != "demo":
        return Finding(each, "keep", f"it is a stage's; {name}")
    if backends.group_of(each.stack) != backends.DEMO:
        return Finding(each, "keep", f"it is of a stage's drill, and holds a stage's data; {name}")
    if not any_demo:
        return Finding(each, "keep", f"the state has no demo: is it the demos' own? Then {name}")
    return None


def _of_itself(each: Found, wish: Wish, going: Set[str]) -> Finding | None:
    """Kept for what it is; None where that stands in no way. `going`: servers that are removed."""
    if each.protected:
        return Finding(each, "keep", f"it is protected; {unprotect(each)}")
    if staying := sorted(each.used_by - going):
        return Finding(each, "keep", f"server {staying[0]}, which stays, uses it")
    if each.kind in DATA and not wish.volumes:
        return Finding(each, "keep", "it holds data; --volumes removes it, too")
    return None


def unprotect(found: Found) -> str:
    """The command that makes a protected thing deletable."""
    kind = "image" if found.kind == "snapshot" else found.kind.lower().replace(" ", "-")
    if found.kind == "record set":
        zone, name, of = found.id.split("/")
        return f"hcloud zone rrset disable-protection {zone} {name} {of} change"
    levels = "delete rebuild" if found.kind == "server" else "delete"
    return f"hcloud {kind} disable-protection {found.id} {levels}"


def plan(project: Project, wish: Wish) -> Plan:
    """What no stack owns, with what is to be done with each. Raises FlowError."""
    look = ownerless.look(project)
    hub, unasked = lost_at_github.at_hand(project)
    listed, at_github, problems = ownerless.listed_by([] if hub is None else [("GitHub", hub)])
    # What a state holds of these is not looked up: with a stack there is somebody who owns them.
    known = {naming.label_value(name) for name in look.names}
    listed = [each for each in listed if each.stack not in known]
    all_lost = [*look.lost, *listed]
    concerned = {each.stack for each in all_lost if not wish.stacks or each.stack in wish.stacks}
    owners = {
        each.stack: Owner(each.stack, problem=problem)
        for each in all_lost
        if (problem := look.unknown(each))
    }
    newest: list[state.State] = []
    for name in look.names:
        if (label := naming.label_value(name)) in concerned:
            owners[label], found = _owner(project, name, look.states[name])
            newest.append(found)
    # What an update has made since the states were read is in one of them now.
    lost = ownerless.ownerless(look.lost, project.name, ownerless.held(newest))
    now = clock.now()
    any_demo = any(_is_demo(name) for name in look.names)
    findings = judge([*lost, *listed], owners, wish, now, any_demo=any_demo)
    prices = ownerless.prices_for(project, look) if findings else None
    places = {**look.clouds, **at_github}
    return Plan(tuple(findings), prices, now, (*look.problems, *problems), places, unasked)


def _is_demo(stack: str) -> bool:
    """Whether it is in the demos' state; a stage's drill is not."""
    return naming.stage_of_stack(stack) == "demo" and backends.group_of(stack) == backends.DEMO


def only(planned: Plan, agreed: Sequence[Finding]) -> Plan:
    """`planned`, with no more to be removed than was agreed to; pure."""
    keys = {each.key for each in agreed}
    findings = [
        replace(each, action="keep", why="it was not shown before")
        if each.action == "remove" and each.key not in keys
        else each
        for each in planned.findings
    ]
    return replace(planned, findings=tuple(findings))


def _owner(
    project: Project, name: str, found: state.State | FlowError
) -> tuple[Owner, state.State]:
    """Who holds the stack, and its state once nobody did."""
    if isinstance(found, FlowError):
        return Owner(name, problem=found.problem), state.State()
    if holders := project.stacks.holders(name):
        return Owner(name, busy=locks.told(name, holders)), found
    try:
        found = state.parse(project.stacks.state(name, secrets=False))
    except FlowError as error:
        return Owner(name, problem=error.problem), found
    return Owner(name, lives=not found.empty), found


def sweep(planned: Plan, stages: Stages) -> Plan:
    """Remove what `planned` says; one that fails keeps no other. What became of each."""
    due = planned.to("remove")
    if not due:
        return planned
    done: dict[Key, Finding] = {}
    with stages.stage(f"sweep: remove {len(due)} thing(s)") as stage:

        def remove(each: Finding) -> Finding:
            stage.note(str(each.found))
            try:
                planned.places[each.key].remove(each.found)
            except FlowError as error:
                return replace(each, action="failed", why=error.problem)
            return replace(each, action="removed", why="")

        # Kind by kind: a server has to be gone before its address is free.
        for kind in dict.fromkeys(each.found.kind for each in due):
            of_kind = [each for each in due if each.found.kind == kind]
            for each in engine.at_once(remove, of_kind, REMOVALS):
                done[each.key] = each
        still = _still(planned, done)
        removed = sum(each.action == "removed" for each in still.values())
        stage.result = f"{removed} removed, {len(due) - removed} failed"
    findings = [still.get(each.key, each) for each in planned.findings]
    return replace(planned, findings=tuple(findings))


def _still(planned: Plan, done: dict[Key, Finding]) -> dict[Key, Finding]:
    """`done`, but what is listed all the same has failed."""
    places = {id(place): place for key, place in planned.places.items() if key in done}
    listed, _, problems = ownerless.listed_by([("", each) for each in places.values()])
    there = {(each.kind, each.id) for each in listed}

    def checked(key: Key, each: Finding) -> Finding:
        if each.action != "removed" or (key not in there and not problems):
            return each
        why = "it is still listed" if key in there else "whether it is gone was not to be asked"
        return replace(each, action="failed", why=why)

    return {key: checked(key, each) for key, each in done.items()}
