"""The processes of a job's steps: found by a mark in their environment, and ended in good order.

act gives each step a session of its own, so that no process group holds them all. It also ends a
step by killing its shell at once, which leaves what the shell waits for without a parent and
without a word. So the step is asked first, as GitHub asks: an interrupt, 7.5 s later a SIGTERM,
2.5 s later the end. They go to the step's own process and to none below it: what a shell waits for
hears nothing, unless it runs in the shell's place (`exec`). Only then is act told.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

MARK = "RUNNER_TRACKING_ID"

_INTERRUPT_SECONDS = 7.5
_TERMINATE_SECONDS = 2.5
_GRACE_SECONDS = 0.2
_ALL_SECONDS = 300.0  # what steps with `if: always()` may take after a cancellation


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int


class StepProcesses:
    """Those of one job, below one act."""

    def __init__(self, act: "subprocess.Popen[bytes]", mark: str) -> None:
        self._act = act
        self._mark = mark
        self._began: float | None = None
        self._asked: set[int] = set()
        self._before: list[int] = []
        self._told = 0.0
        self._stage = 0

    def stop(self) -> None:
        """Do the next thing that is due; call it every tenth of a second until act has ended."""
        now = time.monotonic()
        if self._began is None:
            self._began = now
            self._asked = self._ask_first()
        if self._stage == 0:
            gone = not any(_lives(pid) for pid in self._asked)
            if gone or now > self._began + _INTERRUPT_SECONDS + _TERMINATE_SECONDS:
                self._stage, self._told = 1, now
                for pid in self._asked:
                    _send(pid, signal.SIGKILL)
                self._before = [process.pid for process in self._found()]
                # Its way to hear of a cancellation; a SIGTERM would end it with all at once.
                self._act.send_signal(signal.SIGINT)
            elif now > self._began + _INTERRUPT_SECONDS:
                for pid in self._asked:
                    _send(pid, signal.SIGTERM)
        elif self._stage == 1 and now > self._told + _GRACE_SECONDS:
            # Else what the step left behind would hold its output, and act would wait for it.
            self._stage = 2
            for pid in self._before:
                _send(pid, signal.SIGKILL)
        if now > self._began + _ALL_SECONDS:
            self.kill()

    def kill(self) -> None:
        """End everything at once, act too."""
        self._act.kill()
        self.sweep()

    def sweep(self) -> None:
        """End what a job left behind."""
        sweep(self._mark)

    def _ask_first(self) -> set[int]:
        asked = {process.pid for process in self._found() if process.parent == self._act.pid}
        for pid in asked:
            _send(pid, signal.SIGINT)
        return asked

    def _found(self) -> list[_Process]:
        return [process for process in _marked(self._mark) if process.pid != self._act.pid]


def new_mark() -> str:
    """A mark for a job, as GitHub's runner makes it."""
    return f"github_{secrets.token_hex(16)}"


def sweep(mark: str) -> None:
    """End every process with the mark, act too."""
    for _ in range(3):  # one may start another while it is looked for
        left = _marked(mark)
        for process in left:
            _send(process.pid, signal.SIGKILL)
        if not left:
            return


def _marked(mark: str) -> list[_Process]:
    wanted = f"{MARK}={mark}\0".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            if wanted not in (entry / "environ").read_bytes() + b"\0":
                continue
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state != "Z":
            found.append(_Process(int(entry.name), int(parent)))
    return found


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def _send(pid: int, sign: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sign)
