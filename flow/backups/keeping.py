"""Backups made, found again, and removed once others stand for them."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import naming
from flow import clock, server
from flow.backups import records, retention, sealing
from flow.backups.bucket import Bucket
from flow.backups.records import Backup, Part
from flow.errors import FlowError
from flow.state import State

Say = Callable[[str], Any]


@dataclass(frozen=True)
class Store:
    """The backups of one project in a bucket."""

    bucket: Bucket
    project: str

    def found(self, environment: str) -> list[Backup]:
        """Every whole backup, oldest first: its record can be read, and its files are there."""
        above = records.folder(self.project, environment)
        listed = self.bucket.listed(above)
        backups = []
        for key in listed:
            if not key.endswith(f"/{records.FILE}"):
                continue
            try:
                backup = records.parse(self.bucket.get(key).decode())
            except ValueError:
                continue
            if backup.environment == environment and self._is_whole(backup, listed):
                backups.append(backup)
        return sorted(backups, key=lambda each: (each.time, each.id))

    def _is_whole(self, backup: Backup, listed: dict[str, int]) -> bool:
        folder = records.folder(self.project, backup.environment, backup.id)
        files = {part.file: part.sealed_bytes for part in backup.parts}
        sealed = backup.sealed != sealing.BY_PASSPHRASE or f"{folder}{records.IDENTITY}" in listed
        return (
            sealed
            and bool(files)
            and all(listed.get(f"{folder}{name}") == size for name, size in files.items())
        )

    def one(self, environment: str, wanted: str | None) -> Backup:
        """The backup of that id, else the newest. Raises FlowError where there is none."""
        backups = self.found(environment)
        if wanted is not None:
            records.check_id(wanted)
            backups = [each for each in backups if each.id == wanted]
        if not backups:
            raise FlowError(
                f"there is no backup {wanted} of {environment}"
                if wanted
                else f"there is no backup of {environment}",
                f"flow backup list {environment}"
                if wanted
                else f"flow backup create {environment}",
            )
        return backups[-1]

    def create(self, stack: str, found: State, why: str, say: Say) -> Backup:
        """Dump, seal and keep the data of `stack`; raises FlowError, and then nothing is kept."""
        began = time.monotonic()
        release = server.running(stack, found) if found.release else {}
        if not release:
            raise FlowError(f"nothing runs on {stack}: there is no data", f"flow deploy {stack}")
        seal = sealing.new_seal(stack)
        self.bucket.check_private(records.folder(self.project, stack))
        now = clock.now()
        made = records.new_id(now, secrets.token_hex(2))
        folder = records.folder(self.project, stack, made)
        try:
            parts = self._parts(stack, found, folder, seal, say)
            if seal.identity is not None:
                self.bucket.put(f"{folder}{records.IDENTITY}", seal.identity)
            backup = Backup(
                id=made,
                environment=stack,
                stage=str(naming.stage_of_stack(stack)),
                version=str(release.get("version") or ""),
                commit=str(release.get("revision") or ""),
                release=str(release.get("id") or ""),
                time=int(now),
                seconds=round(time.monotonic() - began, 1),
                why=why,
                sealed=seal.to,
                parts=parts,
                rows=_rows(stack, found, say),
            )
            self.bucket.put(f"{folder}{records.FILE}", backup.text().encode())
        except BaseException:
            _quietly(lambda: self.bucket.delete(list(self.bucket.listed(folder))), say)
            raise
        return backup

    def _parts(
        self, stack: str, found: State, folder: str, seal: sealing.Seal, say: Say
    ) -> tuple[Part, ...]:
        parts: list[Part] = []
        with tempfile.TemporaryDirectory(prefix="deployment-flow-") as name:

            def take(service: str, dump: sealing.Readable) -> None:
                file = Path(name) / f"{service}.age"
                with file.open("wb") as sealed:
                    clear, closed = sealing.seal(dump, sealed, seal)
                self.bucket.upload(f"{folder}{file.name}", file)
                file.unlink()
                part = Part(service, clear.bytes, clear.sha256, closed.bytes, closed.sha256)
                parts.append(part)

            data = server.dump_to(stack, found, take, say)
        if not parts:
            held = f" It holds data ({', '.join(data)})." if data else ""
            raise FlowError(
                f"no service of {stack} says how its data is saved.{held}",
                "give one the label deployment-flow.dump (docs/compose.md) and deploy that",
            )
        return tuple(parts)

    def prune(self, environment: str, kept: retention.Policy, say: Say) -> list[Backup]:
        """Remove what others stand for; what was removed. A key that may not is no failure."""
        old = retention.superseded(self.found(environment), kept, clock.now())
        removed = []
        for each in old:
            folder = records.folder(self.project, environment, each.id)
            keys = sorted(self.bucket.listed(folder))
            # The record first: what is left of a half removed one is no backup.
            keys.sort(key=lambda key: not key.endswith(f"/{records.FILE}"))
            if not _quietly(lambda keys=keys: self.bucket.delete(keys), say):  # type: ignore[misc]
                break
            removed.append(each)
        return removed


def _rows(stack: str, found: State, say: Say) -> dict[str, dict[str, int]]:
    """What the application counts; a count that fails costs no backup."""
    try:
        return server.rows(stack, found)[0]
    except FlowError as error:
        say(f"warning: rows were not counted: {error}")
        return {}


def _quietly(work: Callable[[], None], say: Say) -> bool:
    try:
        work()
    except FlowError as error:
        say(f"warning: {error}")
        return False
    return True
