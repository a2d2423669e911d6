"""The releases a stage was found healthy with, newest first. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

KEEP: Final = 5
"""As many as the server keeps on its disk."""


def with_release(
    earlier: Sequence[Mapping[str, Any]], release: Mapping[str, Any], id_: str, now: int
) -> list[dict[str, Any]]:
    """`earlier` with what runs now before it: {"id", "since", "release"} each.

    The same release under another id (on another server, or with other settings) is no other one:
    there is nothing to go back to.

    id_    on the server: a hash of all it consists of
    since  seconds since 1970 when it was first deployed; a rollback to it changes that not
    """
    known = [each for each in earlier if each.get("release") == release]
    since = known[0].get("since", now) if known else now
    current = {"id": id_, "since": since, "release": dict(release)}
    others = [dict(each) for each in earlier if each.get("release") != release]
    return [current, *others][:KEEP]


def is_behind(earlier: Sequence[Mapping[str, Any]], release: Mapping[str, Any]) -> bool:
    """Whether a newer release than this one ran before: this is a rollback, or stands on one.

    The same for every `up` until a newer one is deployed. Its jobs must not run on the data, which
    is as the newer one left it.
    """
    since = [int(each.get("since") or 0) for each in earlier if each.get("release") == release]
    newest = max((int(each.get("since") or 0) for each in earlier), default=0)
    return bool(since) and since[0] < newest
