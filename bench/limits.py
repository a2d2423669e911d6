"""What the flow is meant to stay under, whatever machine measures it: and what it missed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOTHING = "`up` that changes nothing"
REDEPLOY = "redeploy to the live URL, beyond by hand"
# In seconds. By hand stands for the application's own start, which a redeploy has in it, too.
LIMITS = {NOTHING: 5.0, REDEPLOY: 15.0}


def rows(medians: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each limit whose figure was to be measured: {"seconds", "limit", "kept"}.

    medians  by what was measured, as the report has them

    A figure that is None, as of a redeploy that never went live, keeps no limit.
    """
    found: dict[str, float | None] = {}
    if "no-op up" in medians:
        found[NOTHING] = medians["no-op up"]["seconds"]
    if "redeploy" in medians:
        ours = medians["redeploy"]["live"]
        hand = medians.get("Compose by hand", {}).get("live")
        found[REDEPLOY] = None if ours is None or hand is None else round(ours - hand, 2)
    return {
        name: {
            "seconds": seconds,
            "limit": LIMITS[name],
            "kept": seconds is not None and seconds < LIMITS[name],
        }
        for name, seconds in found.items()
    }


def missed(report: Mapping[str, Any]) -> list[str]:
    """Names of all in a report, pushes among them, that did not stay under their limit."""
    judged = {**report["limits"], **report["pushes"]}
    return [name for name, figures in judged.items() if not figures["kept"]]
