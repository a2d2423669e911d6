"""Notes of the engines that this machine started: what shows later that a lock was taken here.

A lock in a bucket says a machine's name and a process's number, and others can have both: two
machines named alike, a container with its host's name. A note says whose it was. It holds no more
than that, and lies below $XDG_STATE_HOME, else ~/.local/state.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# An engine takes its lock right after it began; a lock that is younger than this is another's.
LOCKED_WITHIN_SECONDS = 60.0
_TAKE_A_LOCK = (("up",), ("update",), ("refresh",), ("destroy",), ("import",), ("stack", "import"))
# Of a folder's lock the folder tells, and a service such as Pulumi's has none.
_WITHOUT = ("", "file", "http", "https")


def lock_of(arguments: Sequence[str]) -> tuple[str, str] | None:
    """The verb and the stack of an engine's command that takes a lock.

    None for any other command, and where no option names the stack.
    """
    words = [each for each in arguments if not each.startswith("-")]
    verb = next((each for each in _TAKE_A_LOCK if tuple(words[: len(each)]) == each), None)
    if verb is None or "--preview-only" in arguments:
        return None
    for option, value in zip(arguments, [*arguments[1:], ""], strict=True):
        name, has_value, joined = option.partition("=")
        if name in ("-s", "--stack"):
            stack = (joined if has_value else value).rpartition("/")[2]
            return (" ".join(verb), stack) if stack else None
    return None


def write(
    pid: int, began: float, arguments: Sequence[str], environment: Mapping[str, str]
) -> Path | None:
    """Note an engine that takes a lock in a bucket; the note's file, None where there is none.

    began      seconds since 1970, before the process was started
    arguments  of the engine; of them its verb and `--stack` are noted
    """
    lock, here = lock_of(arguments), _here()
    scheme = urlsplit(environment.get("PULUMI_BACKEND_URL") or "").scheme
    if lock is None or here is None or scheme in _WITHOUT:
        return None
    verb, stack = lock
    told = {"pid": pid, "began": began, "stack": stack, "command": verb, **here}
    try:
        folder = _folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in folder.glob("*.json"):
            if _read(old).get("boot", here["boot"]) != here["boot"]:
                old.unlink(missing_ok=True)  # before the machine started anew: it says no more
        file = folder / f"{pid}-{began:.0f}.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(told))
    except (OSError, RuntimeError):
        return None  # nowhere to write: nothing will be known of it, and nothing is broken
    return file


def has(pid: int, stack: str, since: float) -> bool:
    """Whether an engine noted here took a stack's lock at `since`, in seconds since 1970.

    Only as long as its number means the same: not after another start of the machine, and not in
    another container that sees this folder.
    """
    here = _here()
    if here is None:
        return False
    try:
        files = list(_folder().glob(f"{pid}-*.json"))
    except (OSError, RuntimeError):
        return False
    return any(
        here.items() <= note.items()
        and note["stack"] == stack
        # A lock's time is in whole seconds.
        and int(note["began"]) <= since <= note["began"] + LOCKED_WITHIN_SECONDS
        for note in map(_read, files)
    )


def _folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state) / "deployment-flow/engines"


def _read(file: Path) -> dict[str, Any]:
    try:
        note = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _here() -> dict[str, str] | None:
    """What makes a process's number mean the same: this start of the machine, this container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return {"boot": boot, "processes": str(Path("/proc/self/ns/pid").readlink())}
    except OSError:
        return None
