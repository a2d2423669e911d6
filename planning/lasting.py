"""What outlives a stage's servers, taken back where its state has lost it."""

from collections.abc import Mapping
from typing import Final

from components import labels, naming
from planning import cloud
from planning.record import Record
from settings_model import Settings

_KINDS: Final = ("PrimaryIp", "Volume")


def marks(settings: Settings, *, expires: int | None) -> dict[str, str]:
    """Labels of all that a stack makes at Hetzner; what it lost is known by the same ones.

    expires  a demo's end in seconds since 1970
    """
    return labels.labels(
        project=settings.project,
        stack=settings.stack,
        stage=settings.stage,
        branch=settings.branch,
        expires=expires,
    )


def lost(settings: Settings, last: Record, location: str) -> Mapping[str, str]:
    """Ids of addresses and volume (ipv4, ipv6, volume) that are this stage's and in no state.

    An `up` that was cut short has made them, or the state was lost. A stage's are its own for good;
    what a demo has left is made anew, as is all that is not worth keeping (planning/rescue.py).
    Raises cloud.CloudError.
    """
    known = {each.name.rpartition("-")[2] for kind in _KINDS for each in last.find(kind)}
    wanted = {"ipv4", "ipv6", *(["volume"] if settings.volume_size else [])} - known
    if not settings.holds_data or not wanted:
        return {}
    return cloud.lasting(
        token=settings.hcloud_token.get_secret_value() if settings.hcloud_token else "",
        endpoint=settings.hcloud_endpoint,
        name=naming.resource_name(settings.project, settings.stack),
        labels=marks(settings, expires=None),
        location=location,
        kinds=wanted,
    )
