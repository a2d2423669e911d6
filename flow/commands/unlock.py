"""`flow unlock`: break the lock of an update that is dead."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from flow import locks, project, terminal
from flow.commands.asking import DryRun, Json, Yes, agree, planned
from flow.commands.environments import Environment
from flow.errors import FlowError
from flow.locks import BUSY


def unlock(
    environment: Environment,
    host: Annotated[
        str | None,
        typer.Option(help="The machine whose update you know to be dead."),
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Break the lock on ENV that an update which was killed has left.

    Of this machine, only when its process is gone. Of another machine, or of one that only may be
    this, only when --host names it: nobody can see from here whether it still works.
    """
    team = project.find()
    stack = project.stack_of(environment)
    stacks = team.stacks
    found = stacks.holders(stack)
    now = time.time()
    for each in found:
        dead, problem = locks.is_dead(each), f"{stack} is locked by {locks.described(each, now)}"
        if not dead and locks.is_here(each):
            raise FlowError(
                problem, "wait for it, or stop it with Ctrl-C: it gives its lock back", code=BUSY
            )
        if not dead and each.host != host:
            raise FlowError(
                f"{problem}. It is not shown to be dead",
                f"wait for it; if you know that it is: flow unlock {stack} --host {each.host}",
                code=BUSY,
            )
        terminal.say(problem)
        if not dead and not dry_run:
            agree(f"Is {each} dead? Two updates at once ruin a state.", yes, word=each.host)
    if dry_run:
        would = [str(each) for each in found]
        told = [f"the lock of {each} would be broken" for each in would] or [
            f"{stack} is not locked"
        ]
        planned("\n".join(told), {"environment": stack, "would_break": would}, as_json)
        return
    if found:
        stacks.unlock(stack, found)
    if as_json:
        terminal.print_json({"environment": stack, "broken": [str(each) for each in found]})
    else:
        for each in found:
            terminal.say(f"the lock of {each} is broken")
        if not found:
            terminal.say(f"{stack} is not locked")
