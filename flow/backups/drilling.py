"""A rehearsal of the worst day: the newest backup, restored on a server made for it and gone after.

Nothing of the environment itself is touched. The server is a demo of its own, in the state and the
Hetzner project of the environment whose data it holds: it has an end, and where this process is
killed before it could remove it, the next drill or nightly backup does.
"""

from __future__ import annotations

import datetime
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flow import backends, clock, deploying, destroying, state
from flow.backups import restoring
from flow.backups.keeping import Store
from flow.backups.records import Backup
from flow.backups.restoring import Restored
from flow.errors import FlowError
from flow.project import Project
from flow.stages import Stages

MOST_SECONDS = 3 * 3600
"""What is older is no drill that still runs."""


@dataclass(frozen=True)
class Drilled:
    """How a drill ended. Seconds: of all of it, and of making the server."""

    backup: Backup
    stack: str
    age_seconds: int
    rows: Mapping[str, Mapping[str, int]]
    lost: tuple[str, ...]
    """What had rows in the backup and has none now."""
    deploy_seconds: float
    restore_seconds: float
    seconds: float

    def output(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "environment": self.backup.environment,
            "backup": self.backup.id,
            "version": self.backup.version,
            "time": self.backup.time,
            "age_seconds": self.age_seconds,
            "bytes": self.backup.bytes,
            "rows_then": self.backup.rows,
            "rows": self.rows,
            "lost": list(self.lost),
            "server": self.stack,
            "deploy_seconds": self.deploy_seconds,
            "restore_seconds": self.restore_seconds,
            "seconds": self.seconds,
        }


def stack_for(environment: str) -> str:
    """A name of its own for the server of one drill; it tells whose drill it is."""
    return f"{backends.drills_of(environment)}{secrets.token_hex(2)}"


def clear(project: Project, environment: str, stages: Stages) -> list[str]:
    """Remove what a drill that was killed has left; which. One that may still run is left alone.

    The demos' reaper cannot: it reaches neither the state nor the Hetzner project of a stage.
    """
    removed = []
    for stack in project.stacks.names((backends.group_of(environment),)):
        if not stack.startswith(backends.drills_of(environment)):
            continue
        found = state.parse(project.stacks.state(stack))
        if found.created is None or clock.now() - found.created < MOST_SECONDS:
            continue
        destroying.destroy(project, stack, stages)
        removed.append(stack)
    return removed


def drill(
    project: Project, store: Store, backup: Backup, stages: Stages, application: Path | None
) -> Drilled:
    """Restore `backup` on a server made for it, and remove that again, whatever happens.

    Raises FlowError where it cannot be restored, where data is missing afterwards, and where the
    server could not be removed.
    """
    began, age = time.monotonic(), int(clock.now()) - backup.time
    clear(project, backup.environment, stages)
    stack = stack_for(backup.environment)
    wish = deploying.Wish(
        stack,
        version=backup.version or None,
        application=application,
        # Its end, should nobody be there to end it.
        until=(_today() + datetime.timedelta(days=1)).isoformat(),
        more={"zone": ""},
    )
    try:
        project.stacks.create(stack)
        _give_token(project, environment=backup.environment, stack=stack)
        made = deploying.deploy(project, wish, stages)
        found = state.parse(project.stacks.state(stack))
        restored = restoring.restore(store, stack, found, backup, stages, safety=False)
    except BaseException as error:
        _remove(project, stack, stages, error)
        raise
    _remove(project, stack, stages, None)
    drilled = Drilled(
        backup=backup,
        stack=stack,
        age_seconds=age,
        rows=restored.rows,
        lost=lost(backup, restored),
        deploy_seconds=made.seconds,
        restore_seconds=restored.seconds,
        seconds=round(time.monotonic() - began, 1),
    )
    if drilled.lost:
        raise FlowError(
            f"backup {backup.id} of {backup.environment} was restored, and there is nothing in "
            f"{', '.join(drilled.lost)} that had rows when it was made",
            "correct the labels deployment-flow.dump and deployment-flow.restore; then "
            f"flow backup drill {backup.environment} again",
        )
    return drilled


def lost(backup: Backup, restored: Restored) -> tuple[str, ...]:
    """What had rows in the backup and has none after the restore."""
    return tuple(
        f"{service}.{name}"
        for service, counted in sorted(backup.rows.items())
        for name, number in sorted(counted.items())
        if number > 0 and restored.rows.get(service, {}).get(name, 0) == 0
    )


def _give_token(project: Project, *, environment: str, stack: str) -> None:
    """Have the drill's server made in the Hetzner project of the environment.

    By the token an `up` of that takes from its settings, else the one it was made with; where it
    has none of its own, or was never made, the variable HCLOUD_TOKEN stays. Raises FlowError.
    """
    stacks = project.stacks
    if environment not in stacks.names((backends.group_of(environment),)):
        return
    settings = stacks.settings(environment)
    given = {key: settings.get(f"hcloud:{key}") for key in ("token", "endpoint")}
    if not given["token"]:
        given = {**state.parse(stacks.state(environment)).provider}
    if given.get("token"):
        for key in ("token", "endpoint"):
            if value := given.get(key):
                stacks.set_secret(stack, f"hcloud:{key}", str(value))


def _remove(project: Project, stack: str, stages: Stages, because: BaseException | None) -> None:
    """Remove the drill's server; what failed before is told first."""
    try:
        if stack in project.stacks.names((backends.group_of(stack),)):
            destroying.destroy(project, stack, stages)
    except FlowError as error:
        told = f"{because}; and then: " if isinstance(because, FlowError) else ""
        raise FlowError(
            f"{told}{stack} could not be removed: {error.problem}",
            f"flow demo end {stack} --no-dump --yes; the next drill tries it again, too",
        ) from error


def _today() -> datetime.date:
    return datetime.datetime.fromtimestamp(clock.now(), datetime.UTC).date()
