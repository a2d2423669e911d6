"""What an `up` must not do in passing: replace or delete what holds data or what others rely on.

Compares what the state holds with what the settings ask for and names the property that
would cost a server, a volume, an address or a name, before anything is registered: the
engine's own protection speaks only when the first changes are made already.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["server", "volume", "address", "zone"]
Properties = Mapping[str, Any]
"""A resource's outputs, in the provider's own spelling."""


@dataclass(frozen=True)
class Wanted:
    """What the settings ask for; None where no such thing is wanted."""

    location: str | None
    image: str | None
    volume_size: int
    """GB; 0 for none."""
    zone: str | None
    makes_server: bool
    """False with a given host."""


@dataclass(frozen=True)
class Held:
    """What the state holds, as properties of each resource; None where it is absent."""

    server: Properties | None = None
    volume: Properties | None = None
    addresses: tuple[Properties, ...] = ()
    zones: tuple[str, ...] = ()
    engine_protected: bool = False
    """The engine refuses to delete any of these, as the last `up` told it."""


@dataclass(frozen=True)
class Problem:
    """One thing that would be lost, why, and the word that allows it."""

    kind: Kind
    setting: str
    """The key that causes it."""
    loses: str
    """What would be lost, with its name and id."""
    because: str
    """Recorded against wanted."""
    word: str
    """What `confirm` must hold; carries an id, so that it is good for one time."""
    protected: bool
    """A protection is on that has to go first, in an `up` of its own."""


def compare(held: Held, wanted: Wanted) -> list[Problem]:
    """What an `up` would lose, in order of how bad it is; empty when nothing."""
    return [
        *_volume(held, wanted),
        *_server(held, wanted),
        *_addresses(held, wanted),
        *_zone(held, wanted),
    ]


def replacement(server: Properties) -> str:
    """The word that lets a server be replaced; carries its id, so that it is good for one time."""
    return f"replace-server-{server.get('id')}"


def words(confirm: str | None) -> set[str]:
    """The words of the setting `confirm`."""
    return set((confirm or "").replace(",", " ").split())


def unconfirmed(problems: Sequence[Problem], confirm: str | None) -> list[Problem]:
    """The problems that stop an `up`: not confirmed, or confirmed but still protected."""
    said = words(confirm)
    return [each for each in problems if each.word not in said or each.protected]


def refusal(stack: str, problems: Sequence[Problem], confirm: str | None) -> str:
    """The text of a refusal: each problem, and the next commands."""
    lines = [f"This up of {stack} would lose what cannot be made again. Nothing was changed."]
    for each in problems:
        lines.append(f"  - {each.setting}: {each.because}; that would lose {each.loses}.")
    lines.append("Set the property back to keep it. To lose it on purpose:")
    if any(each.protected for each in problems):
        lines.append(f"  pulumi config set protected false -s {stack} && pulumi up -s {stack}")
        lines.append("    (with the property set back: that up only lifts the protection), then")
    wanted = sorted({each.word for each in problems} | words(confirm))
    lines.append(
        f"  pulumi config set confirm {','.join(wanted)} -s {stack} && pulumi up -s {stack}"
    )
    return "\n".join(lines)


def let_go(held: Held, confirm: str | None) -> Problem | None:
    """The server that `confirm` names though no setting would replace it; None where it is none.

    `flow rebuild` does so: an `up` lets go of the server, the next one replaces it. `protected`
    while it is held on to.
    """
    server = held.server
    if server is None or replacement(server) not in words(confirm):
        return None
    return Problem(
        kind="server",
        setting="confirm",
        loses=_called("server", server),
        because="the setting names it",
        word=replacement(server),
        protected=_protected(server) or server.get("shutdownBeforeDeletion") is True,
    )


def _protected(properties: Properties) -> bool:
    return properties.get("deleteProtection") is True


def _called(kind: str, properties: Properties) -> str:
    return f"{kind} {properties.get('name')} ({properties.get('id')})"


def _server(held: Held, wanted: Wanted) -> list[Problem]:
    server = held.server
    if server is None:
        return []

    def problem(setting: str, because: str) -> Problem:
        return Problem(
            kind="server",
            setting=setting,
            loses=_called("server", server),
            because=because,
            word=replacement(server),
            protected=_protected(server),
        )

    if not wanted.makes_server:
        gone = problem("host", "a given host takes the place of the server that was made")
        return [replace(gone, protected=gone.protected or held.engine_protected)]
    found = []
    if server.get("location") != wanted.location:
        found.append(problem("locations", f"{server.get('location')} → {wanted.location}"))
    if wanted.image is not None and server.get("image") != wanted.image:
        found.append(problem("image", f"{server.get('image')} → {wanted.image}"))
    return found


def _volume(held: Held, wanted: Wanted) -> list[Problem]:
    volume = held.volume
    if volume is None:
        return []
    size = volume.get("size")
    deleted = wanted.volume_size == 0 or not wanted.makes_server
    if not wanted.makes_server:
        setting, because = "host", "a given host has no data volume"
    elif wanted.volume_size == 0:
        setting, because = "volumeSize", f"{size} GB → none"
    elif isinstance(size, int) and wanted.volume_size < size:
        setting, because = "volumeSize", f"{size} GB → {wanted.volume_size}; a volume only grows"
    elif volume.get("location") != wanted.location:
        setting, because = "locations", f"{volume.get('location')} → {wanted.location}"
    else:
        return []
    return [
        Problem(
            kind="volume",
            setting=setting,
            loses=_called("the data on volume", volume),
            because=because,
            word=f"delete-volume-{volume.get('id')}",
            # The engine lets a protected resource go in one step when it is replaced, not deleted.
            protected=_protected(volume) or (deleted and held.engine_protected),
        )
    ]


def _addresses(held: Held, wanted: Wanted) -> list[Problem]:
    found = []
    for address in held.addresses:
        if not wanted.makes_server:
            setting, because = "host", "a given host has an address of its own"
        elif address.get("location") != wanted.location:
            setting, because = "locations", f"{address.get('location')} → {wanted.location}"
        else:
            continue
        found.append(
            Problem(
                kind="address",
                setting=setting,
                loses=_called(f"address {address.get('ipAddress')}", address),
                because=because,
                word=f"release-address-{address.get('id')}",
                protected=_protected(address)
                or (not wanted.makes_server and held.engine_protected),
            )
        )
    return found


def _zone(held: Held, wanted: Wanted) -> list[Problem]:
    return [
        Problem(
            kind="zone",
            setting="zone",
            loses=f"the names of this stage in zone {zone}",
            because=f"{zone} → {wanted.zone or 'none'}",
            word=f"leave-zone-{zone}",
            protected=False,
        )
        for zone in sorted(set(held.zones))
        if zone != wanted.zone
    ]
