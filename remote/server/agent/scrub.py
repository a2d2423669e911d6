"""Data nobody may see yet: another environment's, until the application's own command scrubbed it.

From before the first byte of it until it is scrubbed, a mark stands on the disk that holds it. What
finds the mark without being the restore that set it (a boot, the next deploy or restore, on this
server or on the one the volume went to) empties the data before anything starts.

A service says how it is scrubbed in its label `deployment-flow.scrub`: a shell command.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from .compose import Compose
from .errors import DeployError
from .jobs import JobsRun
from .lines import Blot
from .machine import Machine
from .releases import Release, sync, write_private

LABEL = "deployment-flow.scrub"
SECONDS = 1800
_MARK = ".unscrubbed"
"""In the folder the data is in: no volume's name begins with a dot."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")

Say = Callable[[str], None]


class Unscrubbed:
    """The mark, and what becomes of data under it."""

    def __init__(self, machine: Machine, compose: Compose, say: Say) -> None:
        self._machine = machine
        self._compose = compose
        self._say = say
        self._mark = machine.data / _MARK

    def is_here(self) -> bool:
        """Whether data on this server may be unscrubbed."""
        return self._mark.exists()

    def begin(self, release: Release) -> None:
        """From now on what is here counts as unscrubbed, also after a power cut."""
        JobsRun(self._machine.data).forget()
        self._machine.data.mkdir(parents=True, exist_ok=True)
        write_private(self._mark, json.dumps({"data": release.manifest.get("data") or []}))
        sync(self._mark.parent)

    def end(self) -> None:
        """It is scrubbed."""
        self._mark.unlink()
        sync(self._mark.parent)

    def empty_left(self, release: Release | None) -> bool:
        """Empty what a restore that was killed has left; whether there was any."""
        if not self.is_here():
            return False
        self._say("data was restored here and never scrubbed: it is emptied before anything starts")
        self.empty(release)
        return True

    def empty(self, release: Release | None) -> None:
        """Remove containers, volumes and data. Raises DeployError, and then the mark stays.

        release  the one that runs; None on a server that took the volume over
        """
        if release is not None:
            ended = self._compose.down(release)
            if not ended.ok:
                raise _not_emptied(ended.last())
        try:
            for folder in self._folders(release):
                shutil.rmtree(folder)
                folder.mkdir()
            # What the restore read from.
            for left in (self._machine.state / "incoming").glob("*.taken"):
                shutil.rmtree(left)
        except OSError as error:
            raise _not_emptied(str(error)) from error
        JobsRun(self._machine.data).forget()
        self.end()

    def _folders(self, release: Release | None) -> list[Path]:
        """Folders of named volumes: of the release the mark is of, and of the one that runs."""
        names = set((release.manifest.get("data") or []) if release is not None else [])
        try:
            names.update(json.loads(self._mark.read_text())["data"])
        except (ValueError, KeyError, TypeError):
            # Written in one step, so this is no mark of ours: everything goes.
            names.update(each.name for each in self._machine.data.iterdir() if each.is_dir())
        folders = [self._machine.data / name for name in sorted(names) if _NAME.fullmatch(name)]
        return [each for each in folders if each.is_dir()]


def check(
    release: Release, services: Collection[str], commands: Mapping[str, tuple[str, str]]
) -> None:
    """Raises DeployError where data of these services would be seen, or not be scrubbed."""
    unsaid = [each for each in services if each not in commands]
    if unsaid:
        raise DeployError(
            f"service {unsaid[0]} does not say how its data is scrubbed; nothing was changed",
            f"give it the label {LABEL} (docs/compose.md) and deploy that first",
        )
    described = release.compose["services"]
    seen = {target["service"] for target in release.manifest["targets"]}
    seen |= {name for name in services if (described.get(name) or {}).get("ports")}
    if open_ones := sorted(seen & set(services)):
        raise DeployError(
            f"service {open_ones[0]} is public and holds the data: it would show it before it is "
            "scrubbed; nothing was changed",
            "put its volume and the labels into a service of its own that is not public",
        )


def scrub(
    compose: Compose, service: str, container: str, command: str, say: Say, blot: Blot
) -> None:
    """Run the command in the container. Raises DeployError."""
    ended = compose.docker("exec", container, "sh", "-c", command, seconds=SECONDS)
    if ended.ok:
        return
    for line in ended.lines[-20:]:
        say(f"  {blot(line)}")
    how = f"not over in {SECONDS} s" if ended.status is None else f"status {ended.status}"
    raise DeployError(
        f"service {service} was not scrubbed ({how}): {blot(ended.last())}",
        f"correct its label {LABEL} (docs/compose.md), deploy that, and run it again",
    )


def _not_emptied(why: str) -> DeployError:
    return DeployError(
        f"data that was not scrubbed could not be emptied: {why}; nothing that uses it runs",
        "deploy again, which tries it again; or end the demo: flow demo end --no-dump",
    )
