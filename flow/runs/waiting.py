"""A run waits for a stack that another update holds; a person is told so at once instead.

Runs of one stack wait for each other at GitHub already. The nightly reaper is in no stack's group,
and a person's command in none at all: nobody would start again what they stood in the way of.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from flow import clock, deploying, terminal
from flow.errors import FlowError
from flow.locks import BUSY
from flow.project import Project
from flow.stacks import NoStackError

SECONDS = 600.0
EVERY_SECONDS = 20.0

_Done = TypeVar("_Done")


def when_idle(project: Project, stack: str, work: Callable[[], _Done]) -> _Done:
    """What `work` returns, begun again once nobody else works on the stack.

    Raises FlowError: its own, and after ten minutes that the stack is busy still.
    """
    until = time.monotonic() + SECONDS
    while True:
        try:
            return work()
        except FlowError as error:
            if error.code != BUSY or time.monotonic() >= until:
                raise
            told = f"waiting for it, for up to {clock.span(until - time.monotonic())}"
            terminal.say(f"{error.problem}; {told}")
        _wait(project, stack, until)


def _wait(project: Project, stack: str, until: float) -> None:
    """Look now and then; over when the stack is idle, or gone, or the time is up."""
    while time.monotonic() < until:
        time.sleep(EVERY_SECONDS)
        try:
            deploying.check_idle(project, stack)
        except NoStackError:
            return
        except FlowError as error:
            if error.code != BUSY:
                raise
        else:
            return
