"""Our own deadline for what the Hetzner provider would wait for without end: record sets.

It polls their actions for as long as they run, whatever `customTimeouts` and Ctrl-C say; the
engine waits for the provider, and so for ever, even when the program has ended. What ends it is
the end of the provider's process: the step fails, the state is written, the lock given back.
The engine tells of a step's start and end through hooks.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

PROVIDER: Final = "pulumi-resource-hcloud"


class Deadline:
    """A timer for each step in progress; `late` is told of the first one that runs out.

    All methods are for the event loop's thread, where the engine's hooks run.
    """

    def __init__(self, seconds: float, late: Callable[[str], None]) -> None:
        self.passed = False
        """Whether it ran out: what fails from now on fails because of that."""
        self._seconds = seconds
        self._late = late
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def start(self, urn: str, what: str) -> None:
        """A step begins, or begins anew; `what` names it to a person."""
        self.stop(urn)
        loop = asyncio.get_running_loop()
        self._timers[urn] = loop.call_later(self._seconds, self._pass, what)

    def stop(self, urn: str) -> None:
        """The step has ended, well or not."""
        timer = self._timers.pop(urn, None)
        if timer is not None:
            timer.cancel()

    def _pass(self, what: str) -> None:
        if not self.passed:
            self.passed = True
            self._late(what)


class Process(NamedTuple):
    """One line of the process table."""

    parent: int
    program: str
    """Its file's name, without folders."""


def providers(processes: Mapping[int, Process], own: int) -> list[int]:
    """Pids of the Hetzner provider of the engine that runs this program (`own`); pure.

    The engine is an ancestor of ours and the provider a child of the engine, so that of two
    engines at work each loses only its own.
    """
    at, seen = own, set[int]()
    while at in processes and at not in seen:
        seen.add(at)
        at = processes[at].parent
        found = [
            pid
            for pid, each in processes.items()
            if each.parent == at and each.program.startswith(PROVIDER)
        ]
        if found:
            return found
    return []


def listed(text: str) -> dict[int, Process]:
    """The process table of lines `pid ppid /folder/program`, as macOS's ps prints it; pure."""
    rows = [line.split(None, 2) for line in text.splitlines()]
    return {int(row[0]): Process(int(row[1]), Path(row[2]).name) for row in rows if len(row) == 3}


def end_provider() -> bool:
    """End the provider of the engine that runs this program; whether it was found."""
    found = providers(_processes(), os.getpid())
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return bool(found)


def _processes() -> dict[int, Process]:
    """The process table: from /proc, which even the smallest image has; else from `ps` (macOS)."""
    if not Path("/proc/self/stat").exists():
        command = ["ps", "-A", "-o", "pid=,ppid=,comm="]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        return listed(done.stdout)
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            program = (folder / "cmdline").read_bytes().partition(b"\0")[0]
        except OSError:
            continue  # it has just ended
        found[int(folder.name)] = Process(int(status[1]), Path(os.fsdecode(program)).name)
    return found
