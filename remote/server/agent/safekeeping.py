"""Dumps that are taken before migrations and stay on the server, for its root alone.

For the hour in which a migration turns out to be wrong: what was lost is still there, as it was. A
backup is something else: it is encrypted and kept elsewhere.

A migration that failed may have changed the data, and people go on working on it, so each further
try is dumped as well. The first dump of such tries, the only one of data no migration has touched,
stays until a release whose jobs were the last serves.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from .compose import Compose, Say
from .dump import LABEL, SECONDS, commands_of, dumps
from .errors import DeployError
from .jobs import JobsRun
from .machine import Machine
from .releases import Release, sync

KEEP = 3
SUFFIX = ".dump"
"""Of a service's file, in the folder of a dump."""
MINIMUM_FREE = 512 * 1024**2
"""Bytes that must stay free beside a dump, which takes what the largest one kept took."""
_PROTECTED = "protected"
"""A file in the folder of a dump that gives way to none."""


def folder_of(state: Path) -> Path:
    """Where dumps are: one folder each, by time and release."""
    return state / "dumps"


def first_dump(machine: Machine, jobs: JobsRun) -> Path | None:
    """The dump from before any jobs of releases that never served, where it is still here."""
    # By a name of its own record: the data may have come from a server whose dumps did not.
    found = folder_of(machine.state) / jobs.first_dump
    return found if jobs.first_dump and found.is_dir() else None


def protect(dump: Path) -> None:
    """Have a dump give way to none, until `unprotect_all`."""
    (dump / _PROTECTED).touch()


def unprotect_all(state: Path) -> None:
    """Let dumps go again as further ones come."""
    for mark in folder_of(state).glob(f"*/{_PROTECTED}"):
        mark.unlink(missing_ok=True)


def keep_dumps(
    compose: Compose,
    running: Release | None,
    new: Release,
    state: Path,
    say: Say,
    *,
    protected: bool,
) -> str:
    """Dump every service of `running` that says how; warn of the others. Raises DeployError.

    As `new` says it, where it does: a label that was wrong is mended by a deploy. Whole or not at
    all; of the earlier ones the oldest beyond KEEP go first. Returns the folder's name, or "" where
    there was nothing to dump.

    running    None on a server that has the data only
    protected  whether it gives way to none
    """
    found = dumps(compose, running) if running is not None else {}
    mended = commands_of(compose, new)
    for service, why in sorted(_undumped(compose, running, new, {*found}, {*mended}).items()):
        say(f"warning: the jobs run without a dump of service {service}: {why}")
    if running is None or not found:
        return ""
    folder = folder_of(state)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _make_room(folder)
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    partial = folder / f".{when}"
    partial.mkdir(mode=0o700)
    try:
        for service, (container, label) in sorted(found.items()):
            say(f"dumping {service} before the jobs run")
            file = partial / f"{service}{SUFFIX}"
            ended = compose.save(container, mended.get(service, label), file, seconds=SECONDS)
            if not ended.ok or file.stat().st_size == 0:
                raise DeployError(
                    f"the dump of service {service} before the jobs failed: {ended.last()[:400]}; "
                    "no job has run",
                    "correct its label deployment-flow.dump, or free space on the server",
                )
            sync(file)
        if protected:
            protect(partial)
        # A folder's new name can be on the disk before what is in it.
        sync(partial)
        whole = partial.rename(folder / f"{when}-{running.id}")
        sync(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return whole.name


def _undumped(
    compose: Compose, running: Release | None, new: Release, dumped: set[str], labelled: set[str]
) -> dict[str, str]:
    """Service → why there is no dump of it, of those that say how and, where none does, hold data.

    labelled  services of `new` that say how
    """
    if running is None:
        return dict.fromkeys(labelled, "no version runs on this server yet") or _unlabelled(new)
    up = {each["Service"] for each in compose.containers(running) if each["State"] == "running"}
    found = {
        service: f"what runs of it has no label {LABEL} yet" if service in up else "it does not run"
        for service in labelled - dumped
    }
    return found if found or dumped else _unlabelled(new)


def _unlabelled(release: Release) -> dict[str, str]:
    """Every service that holds data, where none says how it is saved."""
    manifest = release.manifest
    names = set(manifest.get("data") or [])

    def source(mount: Any) -> str:
        return str(mount.get("source") if isinstance(mount, dict) else mount.partition(":")[0])

    return {
        name: f"it has no label {LABEL}"
        for name, service in release.compose["services"].items()
        if name not in manifest["jobs"]
        and any(source(mount) in names for mount in service.get("volumes") or [])
    }


def _make_room(folder: Path) -> None:
    """Remove what gives way to one more dump. Raises DeployError, before that, for too little."""
    earlier = {each: _size(each) for each in sorted(folder.iterdir()) if each.is_dir()}
    whole = [each for each in earlier if not each.name.startswith(".")]
    staying = [each for each in whole if (each / _PROTECTED).exists()]
    others = [each for each in whole if each not in staying]
    staying += others[max(len(others) + len(staying) + 1 - KEEP, 0) :]
    # What a killed deploy has left begins with a dot.
    going = [each for each in earlier if each not in staying]
    needed = MINIMUM_FREE + max((earlier[each] for each in whole), default=0)
    free = shutil.disk_usage(folder).free + sum(earlier[each] for each in going)
    if free < needed:
        raise DeployError(
            f"only {free // 1024**2} MiB are free on the server for the dump before the jobs, and "
            f"it needs {needed // 1024**2}, by the largest one kept; no job has run",
            "free space there (`docker system df` shows what takes it) or take a larger serverType",
        )
    for old in going:
        # Half of one would look as if it were whole.
        gone = old if old.name.startswith(".") else old.rename(folder / f".{old.name}")
        shutil.rmtree(gone, ignore_errors=True)


def _size(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.iterdir())
