"""A stack's lock: who holds it, whether that one is dead, and its removal only then.

A backend of one's own (a folder, a bucket) keeps a file for each running update, without an end:
an update that was killed leaves it. The engine names the holders when it is refused.
"""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import os
import re
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from flow import clock, command_lines, noted_engines
from flow.errors import FlowError
from flow.lock_notes import Note

_HOLDER = re.compile(
    r"^\s*(?P<where>\S+): created by (?P<user>\S*)@(?P<host>\S+) \(pid (?P<pid>\d+)\) "
    r"at (?P<since>\S+)\s*$",
    re.MULTILINE,
)
# Exit code when another update of the stack runs: worth another try, unlike a failure.
BUSY = 3
# A process that began later than this after its lock was taken is another with its number. Long:
# a clock that was set meanwhile moves the one and not the other.
MARGIN_SECONDS = 300.0


@dataclass(frozen=True)
class Holder:
    """Who took a lock. `where` is the lock file's address, `note` what it left beside the state."""

    where: str
    user: str
    host: str
    pid: int
    since: str
    note: Note | None = None

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (pid {self.pid}) since {self.since}"

    @property
    def file(self) -> Path | None:
        """The lock's file where the backend is a folder here."""
        parts = urlsplit(self.where)
        return Path(unquote(parts.path)) if parts.scheme == "file" else None

    @property
    def stack(self) -> str:
        """The stack that is locked: its locks are in a folder of its name."""
        return PurePosixPath(unquote(urlsplit(self.where).path)).parent.name


def holders(said: str) -> list[Holder]:
    """Every holder the engine named; empty when it named none."""
    return [
        Holder(found["where"], found["user"], found["host"], int(found["pid"]), found["since"])
        for found in _HOLDER.finditer(said)
    ]


def with_notes(found: Sequence[Holder], notes: Sequence[Note]) -> list[Holder]:
    """Each holder with its note, where exactly one can be its; pure.

    Machines of GitHub's share their names: of two that fit, neither is told.
    """
    told = []
    for holder in found:
        since = _seconds(holder.since)
        fit = [n for n in notes if since is not None and n.is_of(holder.host, holder.pid, since)]
        told.append(replace(holder, note=fit[0]) if len(fit) == 1 else holder)
    return told


def is_here(holder: Holder) -> bool:
    """Whether the holder is shown to be a process of this machine.

    A machine's name shows it where the state is a folder here. A bucket's lock may be that of
    another machine with this one's name: it takes a note of the engine, made when `flow` started
    it. On a machine of GitHub's neither does: all that are made of one image have one name.
    """
    if os.environ.get("RUNNER_ENVIRONMENT") == "github-hosted":
        return False
    if holder.host != socket.gethostname():
        return False
    since = _seconds(holder.since)
    return holder.file is not None or (
        since is not None and noted_engines.has(holder.pid, holder.stack, since)
    )


def is_dead(holder: Holder) -> bool:
    """Whether the holder is shown to be dead: it ran on this machine and runs no more.

    Of what ran elsewhere, or may have, nothing is known from here, so it counts as alive.
    """
    if not is_here(holder):
        return False
    began = _began(holder.pid)
    if began is None:
        return not _exists(holder.pid) or _has_ended(holder.pid)
    since = _seconds(holder.since)
    return since is not None and began > since + MARGIN_SECONDS


def busy(stack: str, found: list[Holder]) -> FlowError:
    """That an update met the lock of `found`, and stopped before it changed anything."""
    return FlowError(
        f"{told(stack, found)}. Nothing was changed",
        f"wait for it to end; if it is dead: flow unlock {stack}",
        code=BUSY,
    )


def told(stack: str, found: list[Holder]) -> str:
    """Who is at work, as one sentence: holder, machine, for how long, and with which command."""
    now = time.time()
    who = ", ".join(described(each, now) for each in found) or "somebody"
    return f"another update of {stack} is running: {who}"


def described(holder: Holder, now: float) -> str:
    """A holder with what can be seen of it from here; a lock says neither age nor command."""
    since = _seconds(holder.since)
    age = "" if since is None else f", for {clock.span(now - since)}"
    command = str(holder.note) if holder.note else ""
    where = ""
    if not is_here(holder):
        alike = holder.host == socket.gethostname()
        where = ", on " + ("a machine of this one's name" if alike else "another machine than this")
    elif is_dead(holder):
        where = ", which has died"
    else:
        command = command or _command(holder.pid)
    return f"{holder}{age}{where}" + (f": {command}" if command else "")


@contextmanager
def breaking(found: list[Holder]) -> Iterator[list[Holder]]:
    """Those of `found` that nobody has broken meanwhile; one process at a time breaks locks.

    Two who find the same stale lock would else break it twice, and the second time it is the
    first one's new lock.
    """
    name = hashlib.sha256("".join(each.where for each in found).encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"deployment-flow-{os.getuid()}-{name}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        broken = set(file.read().splitlines())
        left = [each for each in found if each.where not in broken]
        yield left
        file.seek(0, os.SEEK_END)
        file.writelines(f"{each.where}\n" for each in left)


def _command(pid: int) -> str:
    """What a process of this machine was started with; empty where that cannot be seen."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    except (OSError, ValueError):
        return ""
    return command_lines.shown(words)


def remove(found: list[Holder], cancel: Callable[[], object]) -> None:
    """Break the locks of `found`; `cancel` breaks a stack's where they are no files here."""
    with breaking(found) as left:
        files = [each.file for each in left]
        if left and None in files:
            cancel()
        for file in files:
            if file is not None:
                # Exactly this one: another may have been taken since.
                file.unlink(missing_ok=True)
                file.with_name(f"{file.name}.attrs").unlink(missing_ok=True)


def _seconds(when: str) -> float | None:
    try:
        return datetime.datetime.fromisoformat(when.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _has_ended(pid: int) -> bool:
    """Whether a process is there in name only: nobody has asked yet how it ended."""
    try:
        return _after_name(Path(f"/proc/{pid}/stat").read_text())[0] == "Z"
    except (OSError, ValueError):
        return False


def _after_name(stat: str) -> list[str]:
    # The name in brackets may hold anything: count from its end.
    return stat.rpartition(")")[2].split()


def _began(pid: int) -> float | None:
    """When a process began, in seconds since 1970; None where it is gone, or /proc is not there."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, ValueError):
        return None
    # Not /proc/uptime: that is a container's own where the times of processes are the machine's.
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    words = _after_name(stat)
    if words[0] == "Z":
        return None
    return time.time() - uptime + int(words[19]) / os.sysconf("SC_CLK_TCK")
