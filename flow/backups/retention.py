"""Which backups are kept: the newest of so many days, weeks and months. Pure."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flow.backups.records import SAFETY, Backup
from flow.errors import FlowError

VARIABLE = "BACKUP_KEEP"
SAFETY_DAYS = 7
_DAY = 86400


@dataclass(frozen=True)
class Policy:
    """How many days, weeks and months that have a backup keep their newest one."""

    daily: int = 7
    weekly: int = 5
    monthly: int = 12


def policy(environment: Mapping[str, str] = os.environ) -> Policy:
    """BACKUP_KEEP's, as "7,5,12"; else these. Raises FlowError for what is none."""
    given = environment.get(VARIABLE) or ""
    if not given:
        return Policy()
    found = re.fullmatch(r"(\d{1,4}),(\d{1,4}),(\d{1,4})", given.replace(" ", ""))
    if found is None:
        raise FlowError(
            f"{VARIABLE} is {given!r}", "give days, weeks and months, as 7,5,12", code=2
        )
    return Policy(*(int(number) for number in found.groups()))


def superseded(backups: Iterable[Backup], kept: Policy, now: float) -> list[Backup]:
    """Those no longer kept, oldest first. The newest one is never among them.

    Days without a backup do not count: when backups stop, the old ones stay. One of the last 24
    hours stays, whatever was made after it; one that was made for safety before a restore stays
    for a week, and stands for no day.
    """
    ordered = sorted(backups, key=lambda each: (each.time, each.id), reverse=True)
    regular = [each for each in ordered if each.why != SAFETY]
    stay = {each.id for each in ordered[:1]} | {each.id for each in regular[:1]}
    spared = {SAFETY: SAFETY_DAYS * _DAY}
    stay |= {each.id for each in ordered if each.time > now - spared.get(each.why, _DAY)}
    rules: tuple[tuple[int, Callable[[datetime.datetime], object]], ...] = (
        (kept.daily, lambda when: when.date()),
        (kept.weekly, lambda when: when.isocalendar()[:2]),
        (kept.monthly, lambda when: (when.year, when.month)),
    )
    for count, span_of in rules:
        newest: dict[object, str] = {}
        for each in regular:
            when = datetime.datetime.fromtimestamp(each.time, datetime.UTC)
            newest.setdefault(span_of(when), each.id)
        stay |= set(list(newest.values())[:count])
    return [each for each in reversed(ordered) if each.id not in stay]
