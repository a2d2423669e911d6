"""Labels and the selectors that find them.

A selector is requirements joined by commas, all of which must hold:
`key`, `!key`, `key=value`, `key==value`, `key!=value`, `key in (a,b)` and
`key notin (a,b)`. As in the real API, `!=` and `notin` also hold for a thing
that lacks the key.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.hetzner.errors import ApiError

_NAME = r"[a-z0-9A-Z](?:[a-z0-9A-Z._-]{0,61}[a-z0-9A-Z])?"
_KEY = rf"(?:(?:{_NAME}(?:\.{_NAME})*)/)?{_NAME}"
KEY = re.compile(_KEY)
VALUE = re.compile(rf"(?:{_NAME})?")
_EQUALITY = re.compile(rf"(?P<key>{_KEY})\s*(?P<operator>==|=|!=)\s*(?P<value>\S*)")
_SET = re.compile(rf"(?P<key>{_KEY})\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_EXISTS = re.compile(rf"(?P<absent>!?)\s*(?P<key>{_KEY})")


@dataclass(frozen=True)
class Requirement:
    """One part of a selector: a key, and the values it may or must not have.

    `values` is None when only presence counts; `wanted` False turns it round.
    """

    key: str
    values: frozenset[str] | None
    wanted: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether a thing with these labels meets it."""
        if self.values is None:
            return (self.key in labels) is self.wanted
        return (labels.get(self.key) in self.values) is self.wanted


def parse(selector: str) -> tuple[Requirement, ...]:
    """The requirements of a selector; none for an empty one.

    Raises ApiError `invalid_input` for anything that is not a selector.
    """
    if not selector.strip():
        return ()
    return tuple(_requirement(part.strip()) for part in _split(selector))


def matches(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether labels meet every requirement of a selector."""
    return all(requirement.holds(labels) for requirement in parse(selector))


def check(labels: Mapping[str, object]) -> None:
    """Raise `invalid_input` for a label the API would refuse."""
    for key, value in labels.items():
        prefix, _, _ = key.rpartition("/")
        if not KEY.fullmatch(key) or len(prefix) > 253:
            raise _refused("labels", f"label key '{key}' is invalid")
        if not isinstance(value, str) or not VALUE.fullmatch(value):
            raise _refused(f"labels.{key}", f"label value '{value}' is invalid")


def _split(selector: str) -> list[str]:
    """Cut at the commas outside parentheses."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(selector):
        if sign == "(":
            depth += 1
        elif sign == ")":
            depth -= 1
        elif sign == "," and depth == 0:
            parts.append(selector[start:place])
            start = place + 1
    return [*parts, selector[start:]]


def _requirement(part: str) -> Requirement:
    if found := _SET.fullmatch(part):
        values = [value.strip() for value in found["values"].split(",")]
        if all(VALUE.fullmatch(value) for value in values):
            return Requirement(found["key"], frozenset(values), found["operator"] == "in")
    elif found := _EQUALITY.fullmatch(part):
        if VALUE.fullmatch(found["value"]):
            wanted = found["operator"] != "!="
            return Requirement(found["key"], frozenset([found["value"]]), wanted)
    elif found := _EXISTS.fullmatch(part):
        return Requirement(found["key"], None, not found["absent"])
    raise _refused("label_selector", f"'{part}' is not a label selector")


def _refused(field: str, message: str) -> ApiError:
    return ApiError(
        "invalid_input",
        f"invalid input in field '{field}': {message}",
        {"fields": [{"name": field, "messages": [message]}]},
    )
