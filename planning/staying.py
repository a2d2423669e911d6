"""What a stack that stays where its things are asks of Hetzner before anything is registered."""

from components import guard
from planning import cloud
from planning.record import Record
from settings_model import Settings


def check_room(settings: Settings, token: str, last: Record, location: str) -> None:
    """Another type is asked for before the server is switched off for it. Raises CloudError.

    And one for a demo that wakes.
    """
    server = last.find("Server")
    made = server[0].properties if server else {}
    other = bool(server) and made.get("serverType") != settings.server_type
    # One that was let go of is made anew (`flow rebuild`), of whatever type.
    named = guard.let_go(guard.Held(server=made), settings.confirm) if other else None
    if other and (named is None or named.protected):
        cloud.check_change(
            token=token,
            endpoint=settings.hcloud_endpoint,
            server_type=settings.server_type,
            instead_of=str(made.get("serverType")),
            disk=int(made.get("primaryDiskSize") or 0),
        )
    if other or (last.outputs.get("asleep") and not server):
        cloud.place(
            token=token,
            endpoint=settings.hcloud_endpoint,
            server_type=settings.server_type,
            locations=[location],
        )


def lost_attachment(settings: Settings, token: str, last: Record) -> str | None:
    """A destroy that failed at the server has dropped the attachment from the state only."""
    server, volume = last.find("Server"), last.find("Volume")
    if not server or not volume or last.find("VolumeAttachment"):
        return None
    id_ = str(volume[0].properties.get("id"))
    on = cloud.attached_to(token=token, endpoint=settings.hcloud_endpoint, volume=id_)
    return id_ if on == str(server[0].properties.get("id")) else None
