"""`flow exec`: a command with what opens one environment's state, as plain `pulumi`."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Annotated

import typer

from flow import backends, lock_notes, project
from flow.commands.environments import Environment
from flow.errors import FlowError


def execute(
    environment: Environment,
    command: Annotated[list[str], typer.Argument(help="What to run, after --.")],
) -> None:
    """Run a command with ENV's own state, passphrase and keys, under the names Pulumi knows.

    For plain `pulumi` where production, demos and the stages before have states of their own:
    flow exec prod -- pulumi preview -s prod. Ends with the command's exit code.
    """
    team = project.find()
    stack = project.stack_of(environment)
    wanted = backends.opening(stack, {**os.environ, **team.environment})
    program = shutil.which(command[0], path=wanted.get("PATH"))
    if program is None:
        raise FlowError(f"there is no `{command[0]}` on PATH", "look at the name", code=127)
    note = lock_notes.of(os.getpid(), time.time(), command[1:], wanted)
    if note is not None and Path(program).name == "pulumi":
        lock_notes.leave_for_this_process(note, team.name, wanted)
    os.execve(program, command, wanted)  # noqa: S606  # nosec B606
