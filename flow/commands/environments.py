"""The argument ENV of commands, and how a shell completes it."""

from __future__ import annotations

from typing import Annotated

import typer

from flow import project


def complete(incomplete: str) -> list[str]:
    """Names of stacks that begin so; none where the project cannot be asked."""
    try:
        names = project.find().stacks.names()
    except Exception:  # noqa: BLE001 (a shell waits for the key's answer: silence is right)
        return []
    return sorted(name for name in {*names} if name.startswith(incomplete))


Environment = Annotated[
    str,
    typer.Argument(
        metavar="ENV",
        help="dev, staging, prod, or a demo's stack or branch.",
        autocompletion=complete,
    ),
]
