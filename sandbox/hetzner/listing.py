"""Lists: filters, order and pages, as every list of the API has them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from sandbox.hetzner import labels
from sandbox.hetzner.errors import invalid
from sandbox.store import Record

Query = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """A status, a JSON body (None: no body), and headers of its own."""

    status: int
    body: dict[str, Any] | None
    headers: dict[str, str] = field(default_factory=dict)


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with whole seconds, as the API writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def values(query: Query, name: str) -> list[str]:
    """Every value given for a parameter."""
    return [value for key, value in query if key == name]


def select(
    records: Iterable[Record],
    query: Query,
    filters: Sequence[str] = ("name",),
    sorts: Sequence[str] = ("id", "name", "created"),
) -> list[Record]:
    """Records that pass the query's filters and label selector, in its order.

    `filters` are the keys that can be asked for (several values: any of them);
    `sorts` those that can order the list. Raises `invalid_input` for others.
    """
    chosen = list(records)
    for name in filters:
        if wanted := values(query, name):
            chosen = [record for record in chosen if str(record.get(name)) in wanted]
    for selector in values(query, "label_selector"):
        requirements = labels.parse(selector)
        chosen = [r for r in chosen if all(q.holds(r.get("labels") or {}) for q in requirements)]
    # Sorting is stable: the last key first gives the order the caller wrote.
    for sort in reversed(values(query, "sort")):
        key, _, direction = sort.partition(":")
        if key not in sorts or direction not in ("", "asc", "desc"):
            raise invalid(sort=f"'{sort}' is not one of {', '.join(sorts)} with :asc or :desc")
        chosen.sort(key=_orderable(key), reverse=direction == "desc")
    return chosen


def _orderable(key: str) -> Callable[[Record], tuple[bool, Any]]:
    # None (an action that has not finished) comes last and compares with nothing.
    def order(record: Record) -> tuple[bool, Any]:
        value = record.get(key)
        return (value is None, 0 if value is None else value)

    return order


def page(
    name: str,
    path: str,
    chosen: Sequence[Record],
    render: Callable[[Record], dict[str, Any]],
    query: Query,
    most: int = 50,
    **extra: Any,
) -> Answer:
    """One page of a list, with `meta.pagination` and a Link header."""
    number = _whole(query, "page", 1, 1_000_000)
    size = min(_whole(query, "per_page", 25, 1_000_000), most)
    total = len(chosen)
    last = max(1, -(-total // size))
    first = (number - 1) * size
    meta = {
        "page": number,
        "per_page": size,
        "previous_page": number - 1 if number > 1 else None,
        "next_page": number + 1 if number < last else None,
        "last_page": last,
        "total_entries": total,
    }
    shown = [render(record) for record in chosen[first : first + size]]
    others = [(key, value) for key, value in query if key != "page"]
    links = [
        f'<{path}?{urlencode([*others, ("page", str(meta[key]))])}>; rel="{relation}"'
        for key, relation in (
            ("previous_page", "prev"),
            ("next_page", "next"),
            ("last_page", "last"),
        )
        if meta[key] is not None
    ]
    headers = {"Link": ", ".join(links)}
    return Answer(200, {name: shown, **extra, "meta": {"pagination": meta}}, headers)


def _whole(query: Query, name: str, default: int, most: int) -> int:
    given = values(query, name)
    if not given:
        return default
    if not given[-1].isascii() or not given[-1].isdigit() or not 1 <= int(given[-1]) <= most:
        raise invalid(**{name: "must be a positive number"})
    return int(given[-1])
