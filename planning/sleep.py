"""A demo that sleeps: its server is gone; what outlives servers stays, and waits for the next `up`.

`flow demo sleep` sets `asleep` for one run. Any `up` without it makes the server anew, so that a
push to the demo's branch, from a checkout that knows nothing of this, wakes it.
"""

from collections.abc import Mapping
from typing import Any

import pulumi

from components import bundle, compose
from components.environment import AsleepArgs
from planning.record import Record
from planning.releases import Kept
from settings_model import Settings


class NoSleepError(pulumi.RunError):
    """This demo cannot be put to sleep; nothing was changed."""


def rest(settings: Settings, last: Record, release: Kept, now: float) -> Mapping[str, Any] | None:
    """The output `asleep`; None for what is awake. Raises NoSleepError.

    server, serverType, location  what was there, and is made again
    since                         when it fell asleep, in seconds since 1970
    """
    if not settings.asleep:
        return None
    server, before = last.find("Server"), last.outputs.get("asleep")
    if not last.outputs.get("release") or release.output() != last.release:
        raise NoSleepError(
            f"{settings.stack} sleeps with the release that runs, and deploys none: leave version "
            f"out, or deploy it first. Nothing was changed. Next: flow deploy {settings.stack}"
        )
    data = compose.data_volumes(bundle.load(release.compose))
    if data and not last.find("Volume"):
        raise NoSleepError(
            f"{settings.stack} keeps data on its server's own disk ({', '.join(data)}), which goes "
            "with the server: volumeSize is 0. Nothing was changed. Next: end it (its data is "
            f"saved) and bring it up with a volume: pulumi stack init {settings.stack} && "
            f"pulumi config set volumeSize 10 -s {settings.stack}"
        )
    if not server:
        # It slept already; or its server was lost, and what there was is not known.
        return before if isinstance(before, Mapping) else {"since": int(now)}
    gone = server[0].properties
    return {
        "server": str(gone.get("id")),
        "serverType": str(gone.get("serverType")),
        "location": str(gone.get("location")),
        "since": int(now),
    }


def kept(asleep: Mapping[str, Any] | None, outputs: Mapping[str, Any]) -> AsleepArgs | None:
    """What the last run's outputs say of a demo that sleeps; None for what is awake."""
    if asleep is None:
        return None
    return {name: str(outputs[name]) for name in ("url", "version", "release")}  # type: ignore[return-value]
