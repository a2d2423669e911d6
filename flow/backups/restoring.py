"""A backup's data back into an environment, with what is there now saved first."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from flow import clock, server
from flow.backups import records, sealing
from flow.backups.keeping import Store
from flow.backups.records import SAFETY, Backup
from flow.errors import FlowError
from flow.stages import Stages
from flow.state import State

Say = Callable[[str], Any]


@dataclass(frozen=True)
class Restored:
    """How a restore ended. `stopped_seconds` is how long the application stood still."""

    environment: str
    backup: Backup
    safety: Backup | None
    rows: Mapping[str, Mapping[str, int]]
    stopped_seconds: float
    seconds: float

    def output(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "environment": self.environment,
            "backup": self.backup.id,
            "version": self.backup.version,
            "age_seconds": int(clock.now()) - self.backup.time,
            "safety": self.safety.id if self.safety else None,
            "rows": self.rows,
            "stopped_seconds": self.stopped_seconds,
            "seconds": self.seconds,
        }


def check(stack: str, found: State, backup: Backup) -> None:
    """Raises FlowError where a service of the backup has no way back there. Changes nothing."""
    if not found.release:
        raise FlowError(
            f"nothing runs on {stack}: there is nowhere to restore to",
            f"flow deploy {stack} --version {backup.version}",
        )
    _, restores = server.rows(stack, found)
    missing = [part.service for part in backup.parts if part.service not in restores]
    if missing:
        raise FlowError(
            f"no service {', '.join(missing)} on {stack} says how its data comes back",
            "give it the label deployment-flow.restore (docs/compose.md) and deploy that",
        )


def restore(
    store: Store,
    stack: str,
    found: State,
    backup: Backup,
    stages: Stages,
    *,
    safety: bool = True,
    scrubbed: bool = False,
) -> Restored:
    """Put a backup's data into `stack`. Raises FlowError; before it is sent nothing is changed.

    safety    save what is there now first
    scrubbed  by the application's own command, before anybody can see it
    """
    began = time.monotonic()
    check(stack, found, backup)
    saved: Backup | None = None
    with tempfile.TemporaryDirectory(prefix="deployment-flow-") as name:
        folder = Path(name)
        with stages.stage(f"{stack}: fetch backup {backup.id}") as stage:
            write = _fetched(store, backup, folder)
            stage.result = f"{sum(part.sealed_bytes for part in backup.parts) / 1e6:.1f} MB, whole"
        if safety:
            with stages.stage(f"{stack}: save what is there now") as stage:
                saved = store.create(stack, found, SAFETY, stage.note)
                stage.result = saved.id
        with stages.stage(f"{stack}: restore") as stage, _naming(stack, saved):
            parts = [
                {"service": part.service, "bytes": part.bytes, "sha256": part.sha256}
                for part in backup.parts
            ]
            result = server.restore(stack, found, parts, write, stage.note, scrubbed=scrubbed)
            stage.result = f"it stood still for {result.get('stopped_seconds')} s"
    rows, _ = server.rows(stack, found)
    return Restored(
        environment=stack,
        backup=backup,
        safety=saved,
        rows=rows,
        stopped_seconds=float(result.get("stopped_seconds") or 0),
        seconds=round(time.monotonic() - began, 1),
    )


def key_of(store: Store, backup: Backup) -> Any:
    """What opens a backup. Raises FlowError where it is not here."""
    above = records.folder(store.project, backup.environment, backup.id)
    sealed = backup.sealed == sealing.BY_PASSPHRASE
    identity = store.bucket.get(f"{above}{records.IDENTITY}") if sealed else None
    return sealing.opener(backup.environment, backup.sealed, identity)


def _fetched(store: Store, backup: Backup, folder: Path) -> Callable[[IO[bytes]], None]:
    """Fetch the sealed files and check them; what writes them in clear, opened on the way."""
    above = records.folder(store.project, backup.environment, backup.id)
    key = key_of(store, backup)
    for part in backup.parts:
        file = folder / part.file
        store.bucket.download(f"{above}{part.file}", file)
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if digest != part.sealed_sha256:
            raise FlowError(
                f"{part.file} of backup {backup.id} is not what its record says: it was changed "
                "in the bucket",
                f"restore an older one: flow backup list {backup.environment}",
            )

    def write(pipe: IO[bytes]) -> None:
        for part in backup.parts:
            with (folder / part.file).open("rb") as content:
                sealing.unseal(content, pipe, key)

    return write


@contextmanager
def _naming(stack: str, saved: Backup | None) -> Iterator[None]:
    """Errors name the way back."""
    try:
        yield
    except FlowError as error:
        if saved is None:
            raise
        raise FlowError(
            f"{error.problem}. What was there before is backup {saved.id}",
            f"{error.remedy}; to go back: flow backup restore {stack} --from {saved.id}",
            code=error.code,
        ) from error
