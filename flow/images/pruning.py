"""Who needs which image, and the removal of those nobody needs: seen whole, or not begun.

Every record and GitHub's branches are read, then the registries. Right before a batch is removed
the former are read again: what was released meanwhile stays.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import httpx
from github.Repository import Repository

from flow import clock, locks
from flow.engine import ENGINES, at_once
from flow.errors import FlowError
from flow.images import branches, judging, records, stock
from flow.images.judging import Finding, Limits
from flow.images.records import Need
from flow.images.stock import Image, Place, Say
from flow.project import Project
from flow.promotion import team
from flow.stages import Stages
from registry.client import Opened

BATCH = 50
"""Images that are removed between two readings of the records."""
FAILURES = 5
"""Of one repository: then it is the right to, or the registry, and no single image."""


@dataclass(frozen=True)
class Wish:
    """What is asked for. `without`: stages that have no stack yet; `repository`: at GitHub."""

    limits: Limits = Limits()  # noqa: RUF009 (it is frozen)
    without: frozenset[str] = frozenset()
    repository: str = ""


@dataclass(frozen=True)
class Plan:
    """What was found. `missing`: what somebody needs and no registry has, with who needs it."""

    findings: tuple[Finding, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
    now: float = 0.0
    stacks: tuple[str, ...] = ()

    def to(self, action: judging.Action) -> list[Finding]:
        """The findings of one action."""
        return [each for each in self.findings if each.action == action]

    def of(self, repository: str) -> list[Finding]:
        """Those of one repository."""
        return [each for each in self.findings if each.image.repository == repository]

    @property
    def repositories(self) -> list[str]:
        """By name, in order."""
        return list(dict.fromkeys(each.image.repository for each in self.findings))


@dataclass
class Pruner:
    """Open as a context; its places stay logged in from the plan to the removal."""

    project: Project
    wish: Wish
    client: httpx.Client | None = None
    _places: dict[str, Place] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._open = ExitStack()
        self._http = self._open.enter_context(Opened(self.client))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def plan(self, say: Say) -> Plan:
        """Everything there is, and what would become of it. Raises FlowError; changes nothing."""
        say("the stacks' records, and GitHub's branches")
        found, needs = self._needs()
        findings: list[Finding] = []
        missing: dict[tuple[str, str], None] = {}
        self._places = {
            name: stock.at(image, self._http) for name, image in found.repositories.items()
        }
        now = clock.now()
        for name, place in self._places.items():
            wanted = _digests(needs, name)
            listed = place.images(wanted, say)
            findings += judging.judge(listed, needs, self.wish.limits, now)
            there = {each.digest for each in listed}
            for digest in wanted.keys() - there:
                missing[f"{name}@{digest}", wanted[digest]] = None
        return Plan(tuple(findings), tuple(sorted(missing)), now, found.stacks)

    def check(self, planned: Plan) -> None:
        """Raises FlowError for what stands in the way of any removal, before anybody is asked.

        That is an update that runs as well: what it deploys is in no record yet.
        """
        for name in dict.fromkeys(each.image.repository for each in planned.to("remove")):
            self._places[name].check()
        found = at_once(self.project.stacks.holders, planned.stacks, ENGINES)
        busy = [
            locks.told(name, holders)
            for name, holders in zip(planned.stacks, found, strict=True)
            if holders
        ]
        if busy:
            raise FlowError(
                f"{'; '.join(busy)}. What it deploys is in no record yet, so nothing was removed",
                "run it again when that is over; if it is dead: flow unlock ENV",
                code=locks.BUSY,
            )

    def prune(self, planned: Plan, stages: Stages) -> Plan:
        """Remove what `planned` says and nobody needs by now; what became of each."""
        findings: list[Finding] = []
        for name in planned.repositories:
            of_name = planned.of(name)
            due = [each.image for each in judging.in_order(of_name)]
            done: dict[str, Finding] = {}
            if due:
                with stages.stage(f"{name}: remove {len(due)} image(s)") as stage:
                    done = self._remove(name, [each.image for each in of_name], due, stage.note)
                    counts = Counter[str](each.action for each in done.values())
                    told = (
                        ("removed", "removed"),
                        ("failed", "failed"),
                        ("keep", "kept after all"),
                    )
                    stage.result = ", ".join(
                        f"{counts[action]} {word}" for action, word in told if counts[action]
                    )
            findings += [done.get(each.image.digest, each) for each in of_name]
        return replace(planned, findings=tuple(findings))

    def _remove(
        self, name: str, images: Sequence[Image], due: Sequence[Image], say: Say
    ) -> dict[str, Finding]:
        """What became of each of `due`, by digest."""
        place, done = self._places[name], dict[str, Finding]()
        stuck: list[Need] = []
        for start in range(0, len(due), BATCH):
            say(f"{start} of {len(due)}; the stacks' records once more")
            judged = self._judged(name, images, stuck)
            for each in due[start : start + BATCH]:
                now = judged[each.digest]
                if now.action == "remove" and len(stuck) < FAILURES:
                    say(judging.name(each))
                    now = _removed(place, now)
                    if now.action == "failed":
                        # Its parts stay with it.
                        stuck.append(Need("it could not be removed", each.digest, name))
                        judged = self._judged(name, images, stuck)
                elif now.action == "remove":
                    now = replace(now, action="failed", why=(f"not tried after {FAILURES}",))
                done[each.digest] = now
        removed = [each.image for each in done.values() if each.action == "removed"]
        for digest in place.left(removed) if removed else ():
            why = "it is still there: whoever has the token may not remove it"
            done[digest] = replace(done[digest], action="failed", why=(why,))
        return done

    def _judged(
        self, name: str, images: Sequence[Image], stuck: Sequence[Need]
    ) -> dict[str, Finding]:
        """What is to be done about each by the records as they are now."""
        _, needs = self._needs()
        known = {each.digest for each in images}
        if new := _digests(needs, name).keys() - known:
            # What it consists of may be among the old.
            more = self._places[name].named(new)
            images = [*images, *(each for each in more if each.digest not in known)]
        found = judging.judge(images, [*needs, *stuck], self.wish.limits, clock.now())
        return {each.image.digest: each for each in found}

    def _needs(self) -> tuple[records.Records, list[Need]]:
        found = records.read(self.project, self.wish.without)
        branches.check_places(self._at_github, {**os.environ, **self.project.environment})
        return found, [*found.needs, *branches.needs(self._at_github)]

    @cached_property
    def _at_github(self) -> Repository:
        settings = self.project.settings("dev")
        return team.repository(self.wish.repository or str(settings.get("githubRepository") or ""))


def _removed(place: Place, due: Finding) -> Finding:
    """What became of one."""
    try:
        place.remove(due.image)
    except FlowError as error:
        return replace(due, action="failed", why=(error.problem,))
    return replace(due, action="removed")


def only(planned: Plan, agreed: Plan) -> Plan:
    """`planned`, with no more to be removed than was agreed to; pure."""
    shown = {str(each.image) for each in agreed.to("remove")}
    findings = [
        replace(each, action="keep", why=("it was not shown before",))
        if each.action == "remove" and str(each.image) not in shown
        else each
        for each in planned.findings
    ]
    return replace(planned, findings=tuple(findings))


def _digests(needs: Sequence[Need], name: str) -> dict[str, str]:
    """Digests that somebody needs of a repository, each with who it is."""
    return {
        each.reference: each.why for each in needs if each.is_digest and each.repository == name
    }
