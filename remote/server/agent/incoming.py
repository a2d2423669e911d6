"""Data on its way into the application: taken from the session whole, or not at all.

Nothing is stopped or written over until all of it is here and is what its hash says. It waits in a
file for root alone, on the disk that holds the same data in clear, and is gone with the restore.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import select
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import DeployError
from .machine import Machine

HEAD_BYTES = 64 * 1024
MOST_PARTS = 20
RECEIVE_SECONDS = 1800
SILENCE_SECONDS = 60
MINIMUM_FREE = 1024**3
"""Bytes that must be left on the disk beside what comes in."""
LEFT_SECONDS = 3 * 3600
"""After this nobody works with a folder any more: longer than a restore may take."""
_BEAT_SECONDS = 2
_SHA256 = re.compile(r"[0-9a-f]{64}")

Send = Callable[[Mapping[str, object]], None]


@contextmanager
def folder(machine: Machine) -> Iterator[Path]:
    """A folder for what comes in, gone afterwards unless a restore has taken it over.

    What a killed one has left goes first.
    """
    above = machine.state / "incoming"
    above.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in above.iterdir():
        if time.time() - old.stat().st_mtime > LEFT_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    made = Path(tempfile.mkdtemp(dir=above))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def taken_over(made: Path) -> Iterator[Path]:
    """The folder under another name: whoever filled it may go; gone after the block."""
    mine = made.rename(made.with_name(f"{made.name}.taken"))
    try:
        yield mine
    finally:
        shutil.rmtree(mine, ignore_errors=True)


def read_head(stdin: int) -> dict[str, Any]:
    """The first line, a JSON object; what comes after it stays unread. Raises DeployError."""
    line = bytearray()
    until = time.monotonic() + SILENCE_SECONDS
    while not line.endswith(b"\n") and len(line) < HEAD_BYTES:
        ready, _, _ = select.select([stdin], [], [], max(until - time.monotonic(), 0))
        # A byte at a time: the data follows at once, and is not ours to take yet.
        byte = os.read(stdin, 1) if ready else b""
        if not byte:
            break
        line += byte
    try:
        head = json.loads(line)
    except ValueError:
        head = None
    if not isinstance(head, dict) or not isinstance(head.get("parts"), list):
        raise DeployError("what was to be restored was not said", "use flow backup restore")
    return head


def check_parts(parts: Sequence[Any], services: Mapping[str, object], label: str) -> None:
    """Raises DeployError for parts that are none, or of services that say no way."""
    wrong = DeployError("what was to be restored was not said right", "use flow backup restore")
    if not 0 < len(parts) <= MOST_PARTS:
        raise wrong
    for part in parts:
        if (
            not isinstance(part, dict)
            or not isinstance(part.get("bytes"), int)
            or part["bytes"] <= 0
            or not _SHA256.fullmatch(str(part.get("sha256")))
        ):
            raise wrong
        check_service(str(part.get("service")), services, label)
    if len({part["service"] for part in parts}) < len(parts):
        raise wrong


def check_service(service: str, services: Mapping[str, object], label: str) -> None:
    """Raises DeployError where it is none of `services`, which say how their data comes back."""
    if service not in services:
        known = ", ".join(sorted(services)) or "none"
        raise DeployError(
            f"no running service {service[:60]!r} says how its data comes "
            f"back (those that do: {known}); nothing was changed",
            f"give it the label {label} (docs/compose.md) and deploy that first",
        )


def receive(into: Path, parts: Sequence[Mapping[str, Any]], send: Send, stdin: int) -> None:
    """Take the parts, one after the other as they come, as files 0, 1, … Raises DeployError."""
    wanted = sum(int(part["bytes"]) for part in parts)
    free = shutil.disk_usage(into).free
    if free < wanted + MINIMUM_FREE:
        raise DeployError(
            f"the server's disk has {free >> 20} MiB free, and {wanted >> 20} MiB with some to "
            "spare are needed to take the data in; nothing was changed",
            "free space there (`docker system df` shows what takes it) or take a larger serverType",
        )
    until = time.monotonic() + RECEIVE_SECONDS
    for number, part in enumerate(parts):
        _receive_one(into / str(number), part, send, stdin, until)


def _receive_one(path: Path, part: Mapping[str, Any], send: Send, stdin: int, until: float) -> None:
    digest, left, told = hashlib.sha256(), int(part["bytes"]), 0.0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while left:
            wait = min(until - time.monotonic(), SILENCE_SECONDS)
            ready, _, _ = select.select([stdin], [], [], max(wait, 0))
            piece = os.read(stdin, min(left, 1 << 20)) if ready else b""
            if not piece:
                raise DeployError(
                    f"the data of {part['service']} ended {left} bytes too early; nothing was "
                    "changed",
                    "run it again",
                )
            file.write(piece)
            digest.update(piece)
            left -= len(piece)
            if time.monotonic() - told >= _BEAT_SECONDS:
                told = time.monotonic()
                send({"log": f"{part['service']}: {left / 1e6:.1f} MB to come"})
    if digest.hexdigest() != part["sha256"]:
        raise DeployError(
            f"the data of {part['service']} is not what its hash says; nothing was changed",
            "run it again; if it stays so, restore an older backup: flow backup list",
        )
