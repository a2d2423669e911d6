"""`flow rehearse`: the whole flow once, in the sandbox."""

from __future__ import annotations

from typing import Annotated

import typer

from flow.errors import FlowError


def rehearse(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running.")] = False,
) -> None:
    """Bring up dev, staging and a demo with the real engine, look at each, remove the demo."""
    raise FlowError(f"not yet ({keep=})")
