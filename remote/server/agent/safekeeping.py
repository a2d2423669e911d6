"""Dumps that are taken before migrations and stay on the server, for its root alone.

For the hour in which a migration turns out to be wrong: what was lost is still there, as it was. A
backup is something else: it is encrypted and kept elsewhere.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from .compose import Compose
from .dump import SECONDS, commands_of, dumps
from .errors import DeployError
from .releases import Release

KEEP = 3
MINIMUM_FREE = 512 * 1024**2
"""Bytes that must stay free for the database while its dump is written."""


def folder_of(state: Path) -> Path:
    """Where dumps are: one folder each, by time and release."""
    return state / "dumps"


def keep_dumps(
    compose: Compose, running: Release, new: Release, state: Path, say: Callable[[str], None]
) -> None:
    """Dump every service of `running` that says how. Raises DeployError.

    As `new` says it, where it does: a label that was wrong is mended by a deploy. Whole or not at
    all; the oldest beyond KEEP go.
    """
    found = dumps(compose, running)
    if not found:
        return
    mended = commands_of(compose, new)
    folder = folder_of(state)
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    partial = folder / f".{when}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    try:
        for service, (container, label) in sorted(found.items()):
            say(f"dumping {service} before the jobs run")
            _check_space(folder)
            file = partial / f"{service}.dump"
            ended = compose.save(container, mended.get(service, label), file, seconds=SECONDS)
            if not ended.ok or file.stat().st_size == 0:
                raise DeployError(
                    f"the dump of service {service} before the jobs failed: {ended.last()[:400]}; "
                    "no job has run",
                    "correct its label deployment-flow.dump, or free space on the server",
                )
        partial.rename(folder / f"{when}-{running.id}")
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    for old in sorted(each for each in folder.iterdir() if each.is_dir())[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)


def _check_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < MINIMUM_FREE:
        raise DeployError(
            f"only {free // 1024**2} MiB are free on the server for the dump before the jobs; "
            "no job has run",
            "free space there, or take a larger serverType",
        )
