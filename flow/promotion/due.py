"""When promotions are due, and whether the one of a due day was opened since."""

from __future__ import annotations

import datetime

from github.Repository import Repository

from flow.promotion.steps import is_promotion

_A_MONDAY = datetime.date(2026, 1, 5)
_TWO_WEEKS = 14


def staging(today: datetime.date) -> datetime.date:
    """The latest day a promotion to staging was due: every second Monday, by days.

    Not by numbers of weeks: some years have 53, and the next begins with an odd one again.
    """
    return today - datetime.timedelta(days=(today - _A_MONDAY).days % _TWO_WEEKS)


def prod(today: datetime.date) -> datetime.date:
    """The latest day one to production was due: the first Monday of every second month."""
    months = today.year * 12 + today.month - 1
    odd = months - months % 2  # January is 0 here
    day = _first_monday(odd)
    return day if day <= today else _first_monday(odd - 2)


def _first_monday(months: int) -> datetime.date:
    year, month = divmod(months, 12)
    first = datetime.date(year, month + 1, 1)
    return first + datetime.timedelta(days=-first.weekday() % 7)


def was_opened(repository: Repository, base: str, since: datetime.date) -> bool:
    """Whether a promotion to a branch was opened or merged on that day (UTC) or later.

    One that was closed without a merge counts: somebody did not want it.
    """
    for pull in repository.get_pulls(state="all", base=base, sort="updated", direction="desc"):
        if (pull.updated_at or pull.created_at).date() < since:
            break
        newest = max(pull.created_at, pull.merged_at or pull.created_at)
        if is_promotion(pull, repository) and newest.date() >= since:
            return True
    return False
