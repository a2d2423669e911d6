"""Options that many commands share, and the one way they ask before they change something."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from flow import terminal
from flow.errors import FlowError

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Application = Annotated[
    Path | None,
    typer.Option(
        "--application",
        help="The application's folder, else FLOW_APPLICATION, else what the settings say.",
        file_okay=False,
    ),
]
Version = Annotated[str | None, typer.Option(help="The version: an image tag, as 1.4.0.")]


def planned(told: str, value: Any, as_json: bool) -> None:
    """What a --dry-run has found: a sentence for people, `value` with --json."""
    if as_json:
        terminal.print_json(value)
    else:
        terminal.data.print(told, markup=False, soft_wrap=True)


def agree(question: str, yes: bool, *, word: str = "") -> None:
    """Go on when a person agrees; raises FlowError when not, or when nobody can be asked.

    word  what has to be typed instead of `y`, for what cannot be taken back
    """
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise FlowError(f"{question} Nobody is there to ask", "add --yes", code=2)
    if word:
        agreed = typer.prompt(f"{question} Type {word} to go on", err=True, default="") == word
    else:
        agreed = typer.confirm(question, err=True)
    if not agreed:
        raise FlowError("nothing was changed")
