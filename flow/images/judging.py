"""Which images of a repository stay, and why. Pure.

What is needed stays, and with it all it consists of (an index's parts have no tag, and nothing but
the index says that they belong to it) and all that is about it (signatures, attestations).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flow import clock
from flow.images.records import Need
from flow.images.stock import Image

DAY = 86400
Action = Literal["keep", "remove", "removed", "failed"]


@dataclass(frozen=True)
class Limits:
    """What stays though nobody needs it: the younger than so many days, the newest so many."""

    days: int = 30
    newest: int = 10


@dataclass(frozen=True)
class Finding:
    """One image, and what is, or was, done about it."""

    image: Image
    action: Action
    why: tuple[str, ...] = ()
    part: bool = False
    """It belongs to another of the repository's images."""

    def output(self, now: float) -> dict[str, Any]:
        """As JSON has it. Age in seconds; None where nothing says it. Size in bytes, its own."""
        each = self.image
        return {
            "repository": each.repository,
            "digest": each.digest,
            "tags": list(each.tags),
            "age": None if each.made is None else int(now - each.made),
            "size": sum(each.blobs.values()),
            "part": self.part,
            "action": self.action,
            "why": list(self.why),
        }


def judge(
    images: Sequence[Image], needs: Iterable[Need], limits: Limits, now: float
) -> list[Finding]:
    """What is to be done about each image of one repository, in the given order."""
    reasons: dict[str, dict[str, None]] = {each.digest: {} for each in images}
    of_tag = {tag: each.digest for each in images for tag in each.tags}
    for need in needs:
        if images and need.repository in ("", images[0].repository):
            digest = need.reference if need.is_digest else of_tag.get(need.reference, "")
            if digest in reasons:
                reasons[digest][need.why] = None
    parts = {child for each in images for child in each.children}
    belongs = {each.digest for each in images if each.digest in parts or each.about}
    # One without a date stays for that, and takes no other's place.
    dated = [(each.made, each) for each in images if each.made and each.digest not in belongs]
    for _, each in sorted(dated, key=lambda pair: pair[0], reverse=True)[: limits.newest]:
        reasons[each.digest][f"among the newest {limits.newest}"] = None
    for each in images:
        if each.made is None and limits.days and each.digest not in parts:
            reasons[each.digest]["nothing says how old it is"] = None
        elif each.made is not None and each.made > now - limits.days * DAY:
            reasons[each.digest][f"only {clock.span(now - each.made)} old"] = None
    _spread(images, reasons)
    return [
        Finding(
            each,
            "keep" if reasons[each.digest] else "remove",
            tuple(reasons[each.digest]),
            each.digest in belongs,
        )
        for each in images
    ]


def _spread(images: Sequence[Image], reasons: dict[str, dict[str, None]]) -> None:
    """From what stays to its parts, and to what is about it, until nothing is added."""
    known = {each.digest: each for each in images}
    due = [each for each in images if reasons[each.digest]]
    while due:
        kept = due.pop()
        about = (each for each in images if kept.digest in each.about)
        joined = [(known[child], "a part of") for child in kept.children if child in known]
        for other, how in (*joined, *((each, "is about") for each in about)):
            if not reasons[other.digest]:
                due.append(other)
            reasons[other.digest][f"{how} {name(kept)}"] = None


def in_order(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Those to be removed, each before its parts: what is cut off in between is whole or gone."""
    due = {each.image.digest: each for each in findings if each.action == "remove"}
    while due:
        parts = {child for each in due.values() for child in each.image.children}
        # Digests are of what they name: no index is a part of itself, however far down.
        for digest in [each for each in due if each not in parts]:
            yield due.pop(digest)


def name(image: Image) -> str:
    """How a person knows it: its tags, else how its digest begins."""
    return ", ".join(image.tags) or image.digest[:19]


def freed(findings: Sequence[Finding], action: Action) -> int:
    """Bytes that only images of `action` hold, each layer once in a repository."""
    gone: dict[tuple[str, str], int] = {}
    stays: set[tuple[str, str]] = set()
    for each in findings:
        for digest, size in each.image.blobs.items():
            if each.action == action:
                gone[each.image.repository, digest] = size
            else:
                stays.add((each.image.repository, digest))
    return sum(size for key, size in gone.items() if key not in stays)
