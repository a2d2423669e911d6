"""This machine's clock, and how long something took."""

from __future__ import annotations

import os
import time

AHEAD = "FLOW_CLOCK_AHEAD"


def now() -> float:
    """Seconds since 1970.

    FLOW_CLOCK_AHEAD, in seconds, is for the sandbox: who moves its clock to see a demo end moves
    the clock of those who act in it, too.
    """
    return time.time() + float(os.environ.get(AHEAD) or 0)


def span(seconds: float) -> str:
    """A duration in one unit: 12 s, 40 min, 5 h, 3 d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
