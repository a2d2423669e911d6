"""How long GitHub lets a text be."""

from typing import Any

from sandbox.github.errors import invalid

TITLE = 256
TEXT = 65_536
RELEASE = 125_000


def check(resource: str, field: str, given: Any, most: int = TEXT) -> None:
    """Refuse what has more characters than `most`; None has none."""
    if len(str(given or "")) > most:
        message = f"{field} is too long (maximum is {most} characters)"
        raise invalid(resource, field, "custom", message)
