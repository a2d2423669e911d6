"""Which versions' jobs have run on the data that is here; kept beside it, and goes where it goes.

A version is known by its name and its images. A release's id would not do: another secret, and
another server, give the same version another one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from .releases import Release, sync, write_private

_FILE = ".jobs"
"""In the folder the data is in: no volume's name begins with a dot."""
_KEPT = 200


class JobsRun:
    """The versions whose jobs began on this data, in that order."""

    def __init__(self, data: Path) -> None:
        self._path = data / _FILE

    def has_run(self, release: Release) -> bool:
        """Whether this very release's jobs were the last on this data, and ran to their end."""
        entries = self._read()["ran"]
        return bool(entries) and entries[-1]["release"] == release.id

    def later(self, release: Release) -> str:
        """The version whose jobs were the last to begin here after this one's had ended, or ""."""
        entries = self._read()["ran"]
        ended = any(each["of"] == _of(release) and each["ended"] for each in entries)
        return entries[-1]["version"] if ended and entries[-1]["of"] != _of(release) else ""

    @property
    def first_dump(self) -> str:
        """Name of the dump from before any jobs of releases that never served; "" for none."""
        return str(self._read().get("dump") or "")

    def begin(self, release: Release, before: Release | None, first_dump: str = "") -> None:
        """The release's jobs are about to run. Until `end` they count as begun only.

        before  what runs on this data, so that its jobs have ended, or it has none
        """
        known = self._read()
        entries = known["ran"]
        if before is not None and all(each["of"] != _of(before) for each in entries):
            entries.insert(0, _entry(before, ended=True))
        ended = any(each["of"] == _of(release) and each["ended"] for each in entries)
        entries = [each for each in entries if each["of"] != _of(release)]
        data = sorted({*known["data"], *(release.manifest.get("data") or [])})
        self._write(data, [*entries, _entry(release, ended=ended)], first_dump)

    def end(self, release: Release) -> None:
        """They have run to their end."""
        known = self._read()
        entries = [each for each in known["ran"] if each["of"] != _of(release)]
        entries.append({**_entry(release, ended=True), "release": release.id})
        self._write(known["data"], entries, self.first_dump)

    def serve(self) -> None:
        """The release whose jobs were the last serves: the data is what it is meant to be."""
        known = self._read()
        if known.get("dump"):
            self._write(known["data"], known["ran"], "")

    def forget(self) -> None:
        """No version's jobs have run on this data, which is new or was put back."""
        self._path.unlink(missing_ok=True)

    def forget_without(self, folders: Collection[str]) -> None:
        """The same, where one of these folders is missing that jobs have run on."""
        if not {*folders}.isdisjoint(self._read()["data"]):
            self.forget()

    def _read(self) -> dict[str, Any]:
        """{"data": folders jobs have run on, "ran": [{"of", "version", "release", "ended"}],
        "dump": `first_dump`}."""
        if not self._path.exists():
            return {"data": [], "ran": []}
        known: dict[str, Any] = json.loads(self._path.read_text())
        return known

    def _write(self, data: list[str], entries: list[dict[str, Any]], dump: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        told = {"data": data, "ran": entries[-_KEPT:], "dump": dump}
        write_private(self._path, json.dumps(told))
        # Before a job begins: after a power cut, too, it has begun.
        sync(self._path.parent)


def _entry(release: Release, *, ended: bool) -> dict[str, Any]:
    version = str(release.manifest["version"])
    return {"of": _of(release), "version": version, "release": "", "ended": ended}


def _of(release: Release) -> str:
    parts = [release.manifest["version"], release.manifest["images"]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
