"""Notes beside a state of the updates that run: what their locks do not say to other machines.

A lock names a user, a machine and a process. Who is elsewhere is told by such a note which command
that was, and which run at GitHub. It is told and never relied on: of a holder's life or death a
note says nothing, and where one cannot be written, read or removed, the update goes on without.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import select
import socket
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from flow import command_lines, noted_engines, state_files
from flow.errors import FlowError
from flow.runs import run
from flow.state_files import Files

FOLDER = "running"
_NAME = re.compile(r"\d+-\d+-[0-9a-f]{8}\.json")
_ADDRESS = re.compile(r"https?://[\w.:/-]+")
# What is amiss with a backend, with a project's file, and with a note that others wrote.
_AT_BEST = (
    FlowError, OSError, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError,
    OverflowError,
)  # fmt: skip
# At an update's end: a backend that is slower than this keeps the note until the next update.
END_SECONDS = 5.0


@dataclass(frozen=True)
class Note:
    """An update that began. `began` is in seconds since 1970, by the clock of `host`."""

    stack: str
    host: str
    pid: int
    began: float
    command: str
    """As it was typed, without what may be a secret."""
    run: str = ""
    """The page of the workflow's run; empty where it was typed by hand."""
    name: str = ""
    """Its file."""

    def __str__(self) -> str:
        return f"{self.command} ({self.run})" if self.run else self.command

    def is_of(self, host: str, pid: int, since: float) -> bool:
        """Whether a lock that a process of `host` took at `since` may be this update's.

        An engine takes its lock right after it began; a lock's time is in whole seconds.
        """
        latest = self.began + noted_engines.LOCKED_WITHIN_SECONDS
        return (host, pid) == (self.host, self.pid) and self.began - 1 < since <= latest


class LockNotes:
    """The notes beside a project's states; there are none where `files` is None."""

    def __init__(self, files: Files | None, project: str) -> None:
        self._files = files
        self._project = project

    @classmethod
    def beside(cls, environment: Mapping[str, str], project: str) -> Self:
        """Those beside the state that PULUMI_BACKEND_URL names; none where it is a service's."""
        with contextlib.suppress(*_AT_BEST):
            return cls(state_files.beside(environment), project)
        return cls(None, project)

    def write(self, note: Note) -> str:
        """The name of the note's file; empty where it could not be written."""
        name = f"{note.pid}-{note.began:.0f}-{secrets.token_hex(4)}.json"
        told = {key: value for key, value in asdict(note).items() if key != "name"}
        with contextlib.suppress(*_AT_BEST):
            if self._files is not None:
                self._files.write(f"{self._folder(note.stack)}/{name}", json.dumps(told).encode())
                return name
        return ""

    def names(self, stack: str) -> list[str]:
        """Files of all notes of a stack."""
        with contextlib.suppress(*_AT_BEST):
            if self._files is not None:
                return [n for n in self._files.names(self._folder(stack)) if _NAME.fullmatch(n)]
        return []

    def found(self, stack: str) -> list[Note]:
        """Every note of a stack that can be read."""
        read = (self._read(stack, name) for name in self.names(stack))
        return [note for note in read if note is not None]

    def remove(self, stack: str, names: Iterable[str]) -> None:
        """Remove files of notes; those that are gone are fine."""
        with contextlib.suppress(*_AT_BEST):
            if self._files is not None:
                self._files.remove([f"{self._folder(stack)}/{name}" for name in names])

    def forget(self, stack: str) -> None:
        """Remove all notes of a stack: a later one of its name is another."""
        with contextlib.suppress(*_AT_BEST):
            if self._files is not None:
                # One that was being written when its process was killed begins with a dot.
                found = self._files.names(self._folder(stack))
                self.remove(stack, [each for each in found if _NAME.match(each.removeprefix("."))])

    def holds(self, note: Note) -> bool:
        """Whether the update still has its lock; of what cannot be read, it has."""
        with contextlib.suppress(*_AT_BEST):
            if self._files is not None:
                folder = f".pulumi/locks/organization/{self._project}/{note.stack}"
                names = (name for name in self._files.names(folder) if name.endswith(".json"))
                held = [json.loads(self._files.read(f"{folder}/{n}") or b"{}") for n in names]
                who = (note.host, note.pid)
                return any((each.get("hostname"), each.get("pid")) == who for each in held)
        return True

    def _read(self, stack: str, name: str) -> Note | None:
        with contextlib.suppress(*_AT_BEST):
            content = self._files.read(f"{self._folder(stack)}/{name}") if self._files else None
            told = json.loads(content or b"{}")
            address = str(told.get("run") or "")
            return Note(
                stack=stack,
                host=str(told["host"]),
                pid=int(told["pid"]),
                began=float(told["began"]),
                # Whoever may write to the state may have written it.
                command=command_lines.plain(str(told["command"])),
                run=address if _ADDRESS.fullmatch(address) else "",
                name=name,
            )
        return None

    def _folder(self, stack: str) -> str:
        return f"{FOLDER}/{self._project}/{stack}"


def of(
    pid: int, began: float, arguments: Sequence[str], environment: Mapping[str, str]
) -> Note | None:
    """A note of an engine with these arguments; None where they take no lock.

    began  seconds since 1970, before the process was started
    """
    lock = noted_engines.lock_of(arguments)
    if lock is None:
        return None
    typed = command_lines.shown(sys.argv, {**os.environ, **environment})
    return Note(lock[1], socket.gethostname(), pid, began, typed, run.address(environment))


class Left:
    """A note for as long as an update runs, written and removed in a thread: nobody waits for it.

    folder  with the project's Pulumi.yaml
    """

    def __init__(self, note: Note, folder: Path, environment: Mapping[str, str]) -> None:
        self._note = note
        self._ended = threading.Event()
        self._gave_back = self._succeeded = False
        self._thread = threading.Thread(target=self._keep, args=(folder, environment), daemon=True)
        self._thread.start()

    def end(self, code: int | None) -> None:
        """Remove the note of an engine that ended with `code`, and so gave its lock back.

        One that was killed did not: its note stays with its lock.
        """
        self._gave_back = code is not None and code >= 0
        self._succeeded = code == 0
        self._ended.set()
        self._thread.join(END_SECONDS)

    def _keep(self, folder: Path, environment: Mapping[str, str]) -> None:
        notes, stack = LockNotes.beside(environment, _project(folder)), self._note.stack
        # Who was there before an update that got the lock has it no more.
        before = notes.names(stack)
        name = "" if self._ended.is_set() else notes.write(self._note)
        self._ended.wait()
        own = [name] if name and self._gave_back else []
        if gone := [*own, *(before if self._succeeded else [])]:
            notes.remove(stack, gone)


def leave_for_this_process(note: Note, project: str, environment: Mapping[str, str]) -> None:
    """A note for as long as this process runs, whatever program it becomes.

    A child that nobody hears writes it, waits, and removes it unless the lock is still there.
    """
    try:
        watched = os.pidfd_open(os.getpid())
    except (AttributeError, OSError):
        return  # a system that tells nobody of the end of another's process
    if os.fork():
        os.close(watched)
        return
    try:
        os.setsid()  # a terminal's Ctrl-C is for the program
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        notes = LockNotes.beside(environment, project)
        name = notes.write(note)
        select.select([watched], [], [])
        if name and not notes.holds(note):
            notes.remove(note.stack, [name])
    finally:
        os._exit(0)


def _project(folder: Path) -> str:
    with contextlib.suppress(*_AT_BEST):
        declared: Any = yaml.safe_load((folder / "Pulumi.yaml").read_text())
        return str(declared["name"])
    return ""
