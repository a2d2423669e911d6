"""Times of schedules: five fields, in UTC."""

import datetime
from dataclasses import dataclass

_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_NAMES = {
    3: {name: number for number, name in enumerate(_MONTHS, 1)},
    4: {name: number for number, name in enumerate(_DAYS)},
}
_LONGEST_DAYS = 366  # that is looked back


class CronError(ValueError):
    """Five fields it is not."""


@dataclass(frozen=True)
class Cron:
    """The numbers each field admits; `stars` tells whether the two kinds of day are free."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    @classmethod
    def parse(cls, text: str) -> "Cron":
        """Read `30 5 * * 1-5`. Raises CronError."""
        parts = text.split()
        if len(parts) != len(_FIELDS):
            raise CronError(f"a schedule has five fields, not {len(parts)}: {text}")
        minutes, hours, days, months, weekdays = (
            _field(part.lower(), number, text) for number, part in enumerate(parts)
        )
        weekdays = frozenset(day % 7 for day in weekdays)
        return cls(
            minutes, hours, days, months, weekdays, parts[2].startswith("*"),
            parts[4].startswith("*"),
        )  # fmt: skip

    def last(self, after: float, until: float) -> float | None:
        """The last time in (after, until], in epoch seconds, or None."""
        end = datetime.datetime.fromtimestamp(until, datetime.UTC).replace(second=0, microsecond=0)
        for back in range(_LONGEST_DAYS):
            day = (end - datetime.timedelta(days=back)).replace(hour=0, minute=0)
            if day.timestamp() + 86400 <= after:
                return None
            if not self._on(day):
                continue
            for hour in sorted(self.hours, reverse=True):
                for minute in sorted(self.minutes, reverse=True):
                    at = day.replace(hour=hour, minute=minute).timestamp()
                    if after < at <= until:
                        return at
        return None

    def _on(self, day: datetime.datetime) -> bool:
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, (day.weekday() + 1) % 7 in self.weekdays
        # Where both are given, either will do.
        if self.any_day or self.any_weekday:
            return of_month and of_week
        return of_month or of_week


def _field(text: str, number: int, whole: str) -> frozenset[int]:
    low, high = _FIELDS[number]
    names = _NAMES.get(number, {})
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        try:
            start = low if span == "*" else names.get(first, None) or int(names.get(first, first))
            if span == "*" or (step and not dash):
                end = high
            else:
                end = int(names.get(last, last)) if dash else start
            pace = int(step) if step else 1
        except ValueError:
            raise CronError(f"{part} is no part of a schedule: {whole}") from None
        if not (low <= start <= end <= high and pace > 0):
            raise CronError(f"{part} is outside {low}-{high}: {whole}")
        found |= set(range(start, end + 1, pace))
    return frozenset(found)
