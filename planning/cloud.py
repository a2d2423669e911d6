"""What the Hetzner project has and can give: asked once, before anything is registered.

Only for a stack whose state holds no server; one that does asks nothing.
"""

import datetime
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import pulumi

TIMEOUT_SECONDS: Final = 10  # the client tries five times
_FULL: Final = "full"
YOUNG_SECONDS: Final = 3600
"""A volume that was made longer ago may have been mounted since."""


class CloudError(pulumi.RunError):
    """Hetzner cannot give what the settings ask for, or cannot be asked; nothing was changed."""


@dataclass(frozen=True)
class Orphan:
    """A server of this stack that its state does not know: its making was cut short."""

    id: str
    location: str


def place(*, token: str, endpoint: str, server_type: str, locations: Sequence[str]) -> str:
    """The first of `locations` where `server_type` is sold now.

    Raises CloudError when there is none, or the API does not answer.
    """
    found = _ask(token, endpoint, lambda client: client.server_types.get_by_name(server_type))
    if found is None:
        raise CloudError(
            f"Hetzner sells no server type {server_type}. Nothing was changed. "
            "Next: pulumi config set serverType cx23 (hcloud server-type list shows them)."
        )
    sold = [
        str(each.location.name)
        for each in found.locations or []
        if getattr(each, "available", True)
    ]
    for location in locations:
        if location in sold:
            return location
    elsewhere = f"it is sold in {', '.join(sold)}" if sold else "it is sold nowhere now"
    raise CloudError(
        f"Server type {server_type} is in none of {', '.join(locations)}; {elsewhere}. "
        "Nothing was changed. Next: pulumi config set serverType, or --path 'locations[0]'."
    )


def check_change(
    *, token: str, endpoint: str, server_type: str, instead_of: str, disk: int
) -> None:
    """Raise CloudError where a server of type `instead_of` cannot become one of `server_type`.

    Hetzner says so, too, but only once the server is off.

    disk  GB of the disk it has
    """

    def look(client: Any) -> tuple[Any, Any]:
        return tuple(map(client.server_types.get_by_name, (server_type, instead_of)))

    new, old = _ask(token, endpoint, look)
    why = ""
    if new is not None and new.disk < disk:
        why = f"its disk has {disk} GB, that one's {new.disk} GB, and Hetzner shrinks none"
    # What is sold no more may be unknown.
    if new is not None and old is not None and new.architecture != old.architecture:
        why = f"its processor is {old.architecture}, that one's {new.architecture}"
    if why:
        raise CloudError(
            f"This {instead_of} cannot become a {server_type}: {why}. Nothing was changed. "
            f"Next: pulumi config set serverType {instead_of}, or a type that fits "
            "(hcloud server-type list shows them)."
        )


def orphan(*, token: str, endpoint: str, name: str, addresses: Collection[str]) -> Orphan | None:
    """The server of that name that holds one of `addresses` (ids of primary IPs of the state).

    The addresses are the proof that it is this state's: a name and labels could be another's,
    of the same stack kept in another backend. Raises CloudError as `place` does.
    """
    found = _ask(token, endpoint, lambda client: client.servers.get_by_name(name))
    if found is None or found.id is None:
        return None
    if not _addresses(found) & set(addresses):
        return None
    return Orphan(id=str(found.id), location=str(found.location.name))


def mark_full(*, token: str, endpoint: str, addresses: Collection[str], location: str) -> None:
    """Note at Hetzner that `location` had no room for the server of these primary IPs.

    Of an `up` that failed for that nothing else tells: one that was killed leaves the same state.
    Raises CloudError.
    """

    def mark(client: Any) -> None:
        for each in addresses:
            found = client.primary_ips.get_by_id(int(each))
            found.update(labels={**found.labels, _FULL: location})

    _ask(token, endpoint, mark)


def was_full(*, token: str, endpoint: str, address: str, location: str) -> bool:
    """Whether that was noted on a primary IP. Raises CloudError, but for one that is gone."""

    def look(client: Any) -> bool:
        from hcloud import APIException

        try:
            found = client.primary_ips.get_by_id(int(address))
        except APIException as error:
            if error.code == "not_found":
                return False
            raise
        return bool(found.labels.get(_FULL) == location)

    return _ask(token, endpoint, look)


def lasting(
    *,
    token: str,
    endpoint: str,
    name: str,
    labels: Mapping[str, str],
    location: str,
    kinds: Collection[str],
) -> dict[str, str]:
    """Ids of a stack's own addresses and volume among `kinds` (ipv4, ipv6, volume).

    Those that carry the stack's name and labels and nothing uses: what does use one is the proof
    that another state has it. One that is elsewhere than `location` is left alone: there is no way
    to take it there. Raises CloudError as `place` does.
    """

    def look(client: Any) -> dict[str, str]:
        found = {}
        for kind in sorted(kinds):
            if kind == "volume":
                each = client.volumes.get_by_name(f"{name}-data")
                is_free = each is not None and each.server is None
            else:
                each = client.primary_ips.get_by_name(f"{name}-{kind}")
                is_free = each is not None and each.assignee_id is None
            is_ours = is_free and _lasting(each.labels) == dict(labels)
            if is_ours and each.location.name == location:
                found[kind] = str(each.id)
        return found

    return _ask(token, endpoint, look)


def delete_left_over(*, token: str, endpoint: str, kind: str, wanted: Mapping[str, Any]) -> bool:
    """Delete what an `up` made that was cut short, so that it can be made anew; whether it was.

    Of this stack by its labels, in use by nothing, and not protected; a volume only where it is
    too young to hold anything. Raises CloudError.

    kind    Firewall, PrimaryIp, SshKey or Volume
    wanted  its name and labels
    """

    def delete(client: Any) -> bool:
        every = {
            "Firewall": client.firewalls,
            "PrimaryIp": client.primary_ips,
            "SshKey": client.ssh_keys,
            "Volume": client.volumes,
        }[kind]
        found = every.get_by_name(wanted["name"])
        if found is None or _lasting(found.labels) != _lasting(wanted.get("labels")):
            return False
        # Each kind has one of these, or none.
        users = ("applied_to", "assignee_id", "server")
        if any(getattr(found, each, None) for each in users):
            return False
        if (getattr(found, "protection", None) or {}).get("delete"):
            return False
        if kind == "Volume" and _age(found.created) > YOUNG_SECONDS:
            return False
        every.delete(found)
        return True

    return _ask(token, endpoint, delete)


def delete_unfinished(
    *, token: str, endpoint: str, name: str, addresses: Collection[str], seconds: float
) -> bool:
    """Delete the server of that name that holds one of `addresses`; whether there was one.

    For one that was only just made and whose answer was lost. One with a volume is older than
    that, and one that is protected was finished: neither is touched. Raises CloudError.
    """

    from hcloud.actions import ActionException

    def delete(client: Any) -> bool:
        found = client.servers.get_by_name(name)
        if found is None or not _addresses(found) & set(addresses):
            return False
        if found.volumes or (found.protection or {}).get("delete"):
            return False
        until = time.monotonic() + seconds
        # What is just being made is locked.
        while found.locked and time.monotonic() < until:
            time.sleep(1)
            found.reload()
        try:
            found.delete().wait_until_finished()
        except ActionException:
            return False
        return True

    return _ask(token, endpoint, delete)


def delete_unfinished_records(
    *, token: str, endpoint: str, wanted: Mapping[str, Any], seconds: float
) -> bool:
    """Delete the record set that is exactly the `wanted` one; whether there was one.

    For one whose making was given up, so that the state does not know it. Another address, or
    another stack in its labels, is the proof that it is somebody else's. Raises CloudError.

    wanted  zone, name, type, records ([{"value"}]) and labels
    """
    from hcloud.actions import ActionException

    def delete(client: Any) -> bool:
        zone = client.zones.get(wanted["zone"])
        found = client.zones.get_rrset(zone, wanted["name"], wanted["type"])
        values = {each["value"] for each in wanted.get("records") or []}
        if {each.value for each in found.records or []} != values:
            return False
        if _lasting(found.labels) != _lasting(wanted.get("labels")):
            return False
        try:
            action = client.zones.delete_rrset(found).action
            action.wait_until_finished(max_retries=max(1, int(seconds)))
        except ActionException:
            return False
        return True

    return _ask(token, endpoint, delete)


def power_on(*, token: str, endpoint: str, name: str) -> bool:
    """Start the server of that name where it is off; whether it was. Raises CloudError."""

    def start(client: Any) -> bool:
        found = client.servers.get_by_name(name)
        if found is None or found.status != "off":
            return False
        found.power_on()
        return True

    return _ask(token, endpoint, start)


def attached_to(*, token: str, endpoint: str, volume: str) -> str | None:
    """Id of the server a volume is attached to. Raises CloudError as `place` does."""
    found = _ask(token, endpoint, lambda client: client.volumes.get_by_id(int(volume)))
    return None if found.server is None else str(found.server.id)


def _lasting(labels: Mapping[str, str] | None) -> dict[str, str]:
    """Those that say whose something is: a demo's end moves until its first `up` has finished."""
    return {name: value for name, value in (labels or {}).items() if name not in ("expires", _FULL)}


def _addresses(server: Any) -> set[str]:
    public = server.public_net
    return {str(each.id) for each in (public.primary_ipv4, public.primary_ipv6) if each}


def _age(created: datetime.datetime) -> float:
    return (datetime.datetime.now(datetime.UTC) - created).total_seconds()


_Answer = TypeVar("_Answer")


def _ask(token: str, endpoint: str, question: Callable[[Any], _Answer]) -> _Answer:
    # Only a first `up` needs the client, and importing it costs a third of a second.
    import requests
    from hcloud import APIException, Client

    client = Client(
        token=token,
        api_endpoint=endpoint,
        application_name="deployment-flow",
        timeout=TIMEOUT_SECONDS,
    )
    try:
        return question(client)
    except APIException as error:
        raise CloudError(_refused(endpoint, error)) from None
    except requests.RequestException as error:
        raise CloudError(
            f"{endpoint} does not answer ({type(error).__name__}). Nothing was changed. "
            "Next: check the network and https://status.hetzner.com, then run the command again."
        ) from None


def _refused(endpoint: str, error: Exception) -> str:
    code = getattr(error, "code", None)
    if code in ("unauthorized", "forbidden"):
        return (
            f"{endpoint} refuses the token ({code}). Nothing was changed. Next: make a token with "
            "read and write access, then: pulumi config set --secret hcloud:token"
        )
    return (
        f"{endpoint} answers {code}: {error}. Nothing was changed. "
        "Next: run the command again in a few minutes."
    )
