"""Lists in pages, with the Link header that leads through them."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from sandbox.github.call import Call
from sandbox.github.routing import Answer

PER_PAGE = 30
MOST_PER_PAGE = 100


def page(
    call: Call,
    found: Sequence[Any],
    shape: Callable[[Any], Any] | None = None,
    *,
    under: str = "",
) -> Answer:
    """One page of what was found, each entry shaped.

    under  the key of lists that come with a `total_count` ("secrets"); "" for a bare list
    """
    size = max(1, min(_number(call.asked("per_page"), PER_PAGE), MOST_PER_PAGE))
    number = max(1, _number(call.asked("page"), 1))
    last = max(1, -(-len(found) // size))
    part = found[(number - 1) * size : number * size]
    shaped = [shape(entry) if shape else entry for entry in part]
    links: dict[str, int] = {}
    if number > 1:
        links |= {"prev": number - 1, "first": 1}
    if number < last:
        links |= {"next": number + 1, "last": last}
    headers = {"link": ", ".join(_link(call, n, rel) for rel, n in links.items())} if links else {}
    if under:
        return Answer({"total_count": len(found), under: shaped}, headers=headers)
    return Answer(shaped, headers=headers)


def _link(call: Call, number: int, rel: str) -> str:
    query = [(key, value) for key, value in call.query if key != "page"]
    address = call.url(call.path) + "?" + urlencode([*query, ("page", str(number))])
    return f'<{address}>; rel="{rel}"'


def _number(text: str, default: int) -> int:
    return int(text) if text.isdecimal() else default
