"""The nightly job that saves a stage's data, and a month's first that proves it."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping

from components import naming
from flow import clock, deploying, project, state, terminal
from flow.backups import bucket, drilling, keeping, records, retention, ticket
from flow.runs import jobs
from flow.runs.run import Run
from flow.stacks import NoStackError
from flow.stages import Stages


def backup(run: Run, stack: str, today: datetime.date) -> None:
    """Save the data of a stage; on a month's first day have a drill prove that it is good.

    A team without a bucket has no backups, and is told so. Production's has a ticket in place of
    the state, which reaches no further, and without one there is none; its drill is a person's.
    Raises FlowError.
    """
    heading = f"### Backup of {stack}"
    if not os.environ.get(bucket.BUCKET):
        run.tell(f"{heading}\n\nThere is none: {bucket.BUCKET} is not set (docs/backups.md).")
        terminal.say(f"no backup of {stack}: {bucket.BUCKET} is not set")
        return
    given = os.environ.get(ticket.VARIABLE)
    if not given and naming.stage_of_stack(stack) == "prod":
        # Its environment is made before there is a production that a ticket could be of.
        run.tell(f"{heading}\n\nThere is none: {ticket.VARIABLE} is not set (docs/backups.md).")
        terminal.say(f"no backup of {stack}: {ticket.VARIABLE} is not set")
        return
    team, kept = project.find(), retention.policy()
    store = keeping.Store(bucket.Bucket(bucket.Place.of_backups()), team.name)
    try:
        found = ticket.read(given, stack) if given else state.parse(team.stacks.state(stack))
    except NoStackError:
        found = state.State()
    if not found.release:
        run.tell(f"{heading}\n\nNothing runs there yet.")
        return
    with Stages() as stages:
        with stages.stage(f"{stack}: backup") as stage:
            made = store.create(stack, found, records.NIGHTLY, stage.note)
            stage.result = made.id
        with stages.stage(f"{stack}: backups that others stand for") as stage:
            removed = store.prune(stack, kept, stage.note)
            stage.result = f"{len(removed)} removed"
        if not given:
            drilling.clear(team, stack, stages)
        lines = [heading, "", f"`{made.id}`, {made.bytes / 1e6:.1f} MB, in {made.seconds:.0f} s"]
        lines += [f"- {line}" for line in _counted(made.rows)]
        run.tell("\n".join(lines))
        if today.day != 1 or given:
            return
        folder = deploying.application_for(team, stack, jobs.application())
        done = drilling.drill(team, store, made, stages, folder)
    drilled = done.backup
    lines = [
        f"### Drill of {stack}",
        "",
        f"`{drilled.id}`: {clock.span(done.age_seconds)} old, {drilled.bytes / 1e6:.1f} MB",
        "",
        f"Restored in {done.restore_seconds:.0f} s, all in {done.seconds:.0f} s",
        "",
        *(f"- {line}" for line in _counted(done.rows)),
    ]
    run.tell("\n".join(lines))


def _counted(rows: Mapping[str, Mapping[str, int]]) -> list[str]:
    return [
        f"{service}.{name}: {number}"
        for service, counted in sorted(rows.items())
        for name, number in sorted(counted.items())
    ]
