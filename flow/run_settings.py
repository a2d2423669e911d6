"""Settings that hold for one run of one stack."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml


@contextmanager
def run_settings(
    folder: Path, project: str, stack: str, changes: Mapping[str, Any]
) -> Iterator[str | None]:
    """A stack file that is the stack's own with `changes`; None where there are none.

    A copy in a folder of its own: whatever ends the run, the team's file is as it was, and
    two runs do not see each other's.
    """
    if not changes:
        yield None
        return
    own = folder / f"Pulumi.{stack}.yaml"
    content = (yaml.safe_load(own.read_text()) if own.exists() else None) or {}
    config = {
        key: value
        for key, value in (content.get("config") or {}).items()
        if str(key).removeprefix(f"{project}:") not in changes
    }
    config |= {f"{project}:{key}": value for key, value in changes.items()}
    with tempfile.TemporaryDirectory(prefix="deployment-flow-") as made:
        file = Path(made) / own.name
        file.write_text(yaml.safe_dump({**content, "config": config}))
        yield str(file)
