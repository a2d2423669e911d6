"""Back to a release that ran before: which one, and the `up` that brings it back."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from flow import deploying, state
from flow.errors import FlowError
from flow.project import Project
from flow.stages import Stages


@dataclass(frozen=True)
class Past:
    """A release that was found healthy. `since` in seconds since 1970; `current` runs now."""

    id: str
    version: str
    commit: str
    since: int
    current: bool

    def output(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def releases(recorded: Sequence[Mapping[str, Any]]) -> list[Past]:
    """What a stack's state has of them, the running one first."""
    return [
        Past(
            id=str(each.get("id") or ""),
            version=str((each.get("release") or {}).get("version") or ""),
            commit=str((each.get("release") or {}).get("revision") or ""),
            since=int(each.get("since") or 0),
            current=at == 0,
        )
        for at, each in enumerate(recorded)
    ]


def target(stack: str, found: Sequence[Past], wanted: str | None) -> Past:
    """The release to go back to: the one named, else the last before the running one.

    wanted  the beginning of an id, or a version. Raises FlowError.
    """
    if not found:
        raise FlowError(f"{stack} has no release yet", f"flow deploy {stack}", code=2)
    current, others = found[0], found[1:]
    if wanted is None:
        before = [each for each in others if each.since < current.since]
        if not before:
            raise FlowError(
                f"nothing is known that ran on {stack} before version {current.version}",
                f"flow rollback {stack} --list says what is kept; name one with --to",
                code=2,
            )
        return before[0]
    if current.id.startswith(wanted) or current.version == wanted:
        raise FlowError(f"{stack} runs {current.version}, release {current.id}, already", code=2)
    fitting = [each for each in others if each.id.startswith(wanted) or each.version == wanted]
    if not fitting:
        kept = ", ".join(f"{each.version} ({each.id})" for each in others) or "none but what runs"
        raise FlowError(
            f"{stack} keeps no release {wanted}; it keeps {kept}",
            f"an older version is a deploy: flow deploy {stack} --version {wanted}",
            code=2,
        )
    # The newest of a version that was deployed with several settings.
    return fitting[0]


def recorded(project: Project, stack: str) -> list[Past]:
    """The releases of a stack, the running one first. Raises FlowError."""
    return releases(state.parse(project.stacks.state(stack)).releases)


def roll_back(project: Project, stack: str, to: Past, stages: Stages) -> deploying.Deployed:
    """Have `to` run again; raises FlowError."""
    started = time.monotonic()
    with stages.stage(f"{stack}: back to version {to.version}, release {to.id}") as stage:
        # A version that the stack's file pins is not meant now.
        settings = {"rollback": to.id, "version": ""}
        done = project.stacks.up(stack, stage.note, settings=settings)
        stage.result = deploying.told_changes(done.changes)
    return deploying.deployed(project, stack, time.monotonic() - started, done.changes)
