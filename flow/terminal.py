"""Where output goes: data to stdout, everything else to stderr."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console

# Rich honours NO_COLOR and TERM=dumb by itself, and drops colour off a terminal.
progress = Console(stderr=True, highlight=False)
data = Console(highlight=False)
if not data.is_terminal:
    # A log has no edge to fold a table at.
    data = Console(highlight=False, width=200)


def say(line: str) -> None:
    """One line of progress, on stderr. Square brackets in it are text, not markup."""
    progress.print(line, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """A value for another program, on stdout: JSON, never coloured, never wrapped."""
    print(json.dumps(value, indent=2, sort_keys=True, default=str))
