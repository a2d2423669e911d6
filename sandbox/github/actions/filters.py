"""Patterns of branches, tags and paths in workflow files, as GitHub documents them.

`*` is anything but a slash, `**` anything, `?` none or one of what stands before it, `+` one or
more of it, `[…]` one of the characters; a pattern that begins with `!` takes away again.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache


def admits(patterns: Sequence[str], name: str) -> bool:
    """Whether the last pattern that matches the name is a positive one."""
    admitted = False
    for pattern in patterns:
        positive = not pattern.startswith("!")
        if _compiled(pattern if positive else pattern[1:]).fullmatch(name):
            admitted = positive
    return admitted


def passes(name: str, wanted: Sequence[str] | None, ignored: Sequence[str] | None) -> bool:
    """Whether a name gets through `branches` and `branches-ignore`, of which one is given."""
    if wanted is not None:
        return admits(wanted, name)
    return ignored is None or not admits(ignored, name)


def touches(
    paths: Iterable[str], wanted: Sequence[str] | None, ignored: Sequence[str] | None
) -> bool:
    """Whether one of the changed paths gets through `paths` and `paths-ignore`."""
    if wanted is None and ignored is None:
        return True
    return any(passes(path, wanted, ignored) for path in paths)


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    regex, at = "", 0
    while at < len(pattern):
        char = pattern[at]
        if char == "*":
            if pattern.startswith("**/", at):
                # `**/x` is also `x` itself.
                regex, at = regex + "(?:.*/)?", at + 3
                continue
            double = pattern.startswith("**", at)
            regex, at = regex + (".*" if double else "[^/]*"), at + 1 + double
            continue
        if char in "?+" and regex:
            regex += char
        elif char == "[" and (end := pattern.find("]", at + 1)) > at:
            regex, at = (
                regex + "[" + re.escape(pattern[at + 1 : end]).replace(r"\-", "-") + "]",
                end,
            )
        elif char == "\\" and at + 1 < len(pattern):
            at += 1
            regex += re.escape(pattern[at])
        else:
            regex += re.escape(char)
        at += 1
    return re.compile(regex, re.DOTALL)
