"""A demo on a stage's data, scrubbed by the application before anybody sees it.

What is asked first, so that nothing is made where it cannot be: the stage, the Compose file's
labels, the bucket's key and what opens the backup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components import compose, naming
from flow import building
from flow.backups import restoring
from flow.backups.keeping import Store
from flow.backups.records import Backup
from flow.errors import FlowError

SOURCES = ("staging", "dev")
_WHERE = (
    "run it where the keys of {0}'s backups are, in your own shell or in a job of the environment "
    "flow-nonprod; a demo's run on GitHub has none of them on purpose (docs/backups.md)"
)


def check_source(environment: str) -> None:
    """Raises FlowError for an environment whose backups no demo gets."""
    stage = naming.stage_of_stack(environment)
    if stage in SOURCES:
        return
    if stage == "prod":
        raise FlowError(
            f"production's data never goes to a demo, scrubbed or not: a scrub that forgets a "
            f"column would show it. {environment} is refused",
            "give staging's: --data staging. What is missing there is brought there first, by "
            "people who may see it",
            code=2,
        )
    raise FlowError(
        f"{environment} is no stage whose data a demo can start from",
        f"give one of {', '.join(SOURCES)}; a demo's own backup: flow backup restore",
        code=2,
    )


def check_labels(described: Mapping[str, Any], file: Path, backup: Backup) -> None:
    """Raises FlowError where a Compose file does not say how the backup's services are scrubbed."""
    services = compose.services_of(described)
    for part in backup.parts:
        labels = compose.labels_of(services.get(part.service) or {})
        for label in (compose.RESTORE, compose.SCRUB):
            if not labels.get(label, "").strip():
                raise FlowError(
                    f"service {part.service} in {file} has no label {label}: a demo gets the data "
                    f"of {backup.environment} scrubbed or not at all. Nothing was changed",
                    f"give it the label {label} (docs/compose.md), and commit that",
                )
        if compose.HTTP in labels:
            raise FlowError(
                f"service {part.service} in {file} is public and holds the data: it would show it "
                "before it is scrubbed. Nothing was changed",
                "put its volume and the labels into a service of its own that is not public",
            )


def find(
    open_store: Callable[[], Store], environment: str, wanted: str | None, file: Path
) -> tuple[Store, Backup]:
    """The backup a demo starts from, and where it is. Raises FlowError; changes nothing.

    wanted  its id; None: the newest
    file    the Compose file of the demo's release
    """
    check_source(environment)
    with _saying_where(environment):
        store = open_store()
        backup = store.one(environment, wanted)
    if backup.stage not in SOURCES:
        raise FlowError(f"backup {backup.id} is one of {backup.stage}: no demo gets it", code=2)
    check_labels(building.read(file), file, backup)
    with _saying_where(environment):
        restoring.key_of(store, backup)
    return store, backup


@contextmanager
def _saying_where(environment: str) -> Iterator[None]:
    """Errors say where the keys are."""
    try:
        yield
    except FlowError as error:
        raise FlowError(
            f"{error.problem}. Nothing was changed",
            f"{error.remedy}; {_WHERE.format(environment)}",
            code=error.code,
        ) from error
