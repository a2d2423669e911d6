"""This machine's clock."""

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
