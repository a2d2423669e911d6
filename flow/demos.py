"""Feature demos: made from a branch, kept for a while, ended with their data saved first."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import naming
from flow import backends, clock, deploying, destroying, sleeping, state, survey
from flow.errors import FlowError
from flow.project import Project
from flow.stages import Stages


@dataclass(frozen=True)
class Dumps:
    """What happens to a demo's data at its end."""

    wanted: bool = True
    """False: the data goes with the demo."""
    folder: Path | None = None
    """Where dumps are written; None: see saving.place."""


def stack_for(branch: str) -> str:
    """The demo's stack, by its branch or by its own name. Raises FlowError for a stage."""
    stack = branch if naming.stage_of_stack(branch) else naming.stack_of_branch(branch)
    if naming.stage_of_stack(stack) != "demo":
        raise FlowError(f"{branch} is no demo: {stack} stays", f"flow deploy {stack}", code=2)
    return stack


def last_day(text: str | None, today: datetime.date) -> str | None:
    """A demo's last day as a setting. Raises FlowError for what is no date to come."""
    if text is None:
        return None
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        raise FlowError(f"{text!r} is no date", "give it as 2031-05-31", code=2) from None
    if day < today:
        raise FlowError(f"{text} has passed", "give a day to come", code=2)
    return day.isoformat()


def up(
    project: Project,
    branch: str,
    stages: Stages,
    *,
    version: str | None = None,
    until: str | None = None,
    application: Path | None = None,
) -> deploying.Deployed:
    """Make the demo of a branch, or deploy to the one there is. `until` holds until another."""
    stack = stack_for(branch)
    wish = deploying.Wish(
        stack,
        version=version,
        application=application,
        branch=deploying.branch_for(branch, stack),
        until=until,
    )
    return deploying.deploy(project, wish, stages)


def extend(project: Project, branch: str, until: str, stages: Stages) -> deploying.Deployed:
    """Give a demo that runs another last day; its release stays. Raises FlowError."""
    stack = stack_for(branch)
    found = state.parse(project.stacks.state(stack))
    if found.empty:
        raise FlowError(f"{stack} is not deployed", f"flow demo up {branch} --until {until}")
    # An `up` would wake it.
    asleep = True if found.asleep else None
    return deploying.deploy(project, deploying.Wish(stack, until=until, asleep=asleep), stages)


def end(
    project: Project,
    branch: str,
    stages: Stages,
    dumps: Dumps | None = None,
    before_destroy: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Save a demo's data, remove all of it, forget its stack; raises FlowError.

    {"environment", "changes", "dump": where it is or None}. A demo that is gone already is fine:
    {"environment", "changes": {}, "gone": True}. `before_destroy` may raise to stop it there.
    """
    # What encrypts is only needed here, and not installed everywhere.
    from flow import saving

    stack = stack_for(branch)
    if stack not in project.stacks.names((backends.group_of(stack),)):
        return {"environment": stack, "changes": {}, "dump": None, "gone": True}
    dumps = dumps or Dumps()
    found = state.parse(project.stacks.state(stack))
    saved: str | None = None
    known = sleeping.dump_of(project, stack, found) if dumps.wanted else None
    if known is not None:
        saved = known.place
    elif dumps.wanted and not found.empty:
        if found.asleep:
            raise FlowError(
                f"{stack} is asleep, and its data was not saved when it fell asleep: its volume "
                "alone has it",
                f"flow demo wake {stack}, then end it; or lose it: flow demo end {stack} --no-dump",
            )
        with stages.stage(f"{stack}: a last dump") as stage:
            saved = saving.save(stack, found, dumps.folder, stage.note)
            stage.result = saved or "nothing to save"
    if before_destroy is not None:
        before_destroy()
    done = destroying.destroy(project, stack, stages)
    return {**done, "dump": saved, "gone": False}


def names(project: Project) -> list[str]:
    """Stacks of demos, sorted; the drills of stages are not among them."""
    listed = project.stacks.names((backends.DEMO,))
    return sorted(name for name in listed if naming.stage_of_stack(name) == "demo")


def rows(project: Project) -> list[survey.Row]:
    """Every demo as it is now."""
    return survey.look(project, names(project))


def today() -> datetime.date:
    """Of UTC, as the ends of demos are."""
    return datetime.datetime.fromtimestamp(clock.now(), datetime.UTC).date()
