"""What is between two branches, as people read it: pull requests, and commits without one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# GitHub's own words: a merge commit's, and the end of a squashed one's first line.
_MERGED = re.compile(r"Merge pull request #(\d+) from \S+")
_SQUASHED = re.compile(r".*\(#(\d+)\)$")
_USERS = re.compile(r"^#+ *(?:for users|release notes?) *$\n+(.*?)(?=^#|\Z)", re.I | re.M | re.S)

HEADINGS: tuple[tuple[str, str, frozenset[str]], ...] = (
    ("breaking", "Before you update", frozenset({"breaking", "breaking-change"})),
    ("feature", "New", frozenset({"feature", "enhancement", "new"})),
    ("fix", "Fixed", frozenset({"bug", "bugfix", "fix", "hotfix"})),
    ("other", "Also changed", frozenset()),
    ("inside", "Under the hood", frozenset({"chore", "ci", "dependencies", "documentation",
                                             "internal", "refactoring", "tests"})),
)  # fmt: skip
_PREFIXES = {"feat": "feature", "fix": "fix", "hotfix": "fix"}
_INSIDE = frozenset({"build", "chore", "ci", "docs", "refactor", "style", "test"})
# GitHub refuses a pull request's text of more than 65536 characters, and a release's of more than
# 125000, which has up to five lists.
_LIST = 20_000
_LINE = 1_000
TITLE = 256  # of a pull request, by the same
_CONVENTIONAL = re.compile(r"(?P<kind>[a-z]+)(?:\([^)]*\))?(?P<breaking>!)?: *(?P<rest>.+)")


@dataclass(frozen=True)
class Change:
    """One pull request, or a commit that came without one (`number` 0)."""

    title: str
    number: int = 0
    author: str = ""
    labels: tuple[str, ...] = ()
    body: str = ""
    sha: str = ""

    @property
    def group(self) -> str:
        """Which of HEADINGS it belongs to: by its labels, else by its title's prefix."""
        for name, _, labels in HEADINGS:
            if labels & {label.lower() for label in self.labels}:
                return name
        found = _CONVENTIONAL.fullmatch(self.title)
        if found is None:
            return "other"
        if found["breaking"]:
            return "breaking"
        if found["kind"] in _INSIDE:
            return "inside"
        return _PREFIXES.get(found["kind"], "other")

    @property
    def told(self) -> str:
        """What it means to users: the part of its text that says so, else its title."""
        found = _USERS.search(self.body.replace("\r\n", "\n"))
        if found and found[1].strip():
            return " ".join(found[1].split())
        conventional = _CONVENTIONAL.fullmatch(self.title)
        text = conventional["rest"] if conventional else self.title
        return text[:1].upper() + text[1:]

    @property
    def reference(self) -> str:
        """`#12`, or a commit's first seven letters."""
        return f"#{self.number}" if self.number else self.sha[:7]


def numbers(messages: Sequence[str]) -> list[int]:
    """Pull requests that commit messages name as merged or squashed, in order, none twice."""
    found: list[int] = []
    for message in messages:
        first = message.splitlines()[0] if message else ""
        match = _MERGED.match(first) or _SQUASHED.fullmatch(first)
        if match and int(match[1]) not in found:
            found.append(int(match[1]))
    return found


def listed(changes: Sequence[Change]) -> str:
    """Markdown: one line a change, as many as a list may have, then how many more there are."""
    lines: list[str] = []
    left = _LIST
    for number, change in enumerate(changes):
        author = f" by @{change.author}" if change.author else ""
        lines.append(f"- {cut(change.told, _LINE)} ({change.reference}{author})")
        left -= len(lines[-1]) + 1
        if left < 0:
            lines[-1] = f"- … and {len(changes) - number} more"
            break
    return "\n".join(lines)


def cut(text: str, most: int) -> str:
    """At most so many characters of a text, with a mark where some are left out."""
    return text if len(text) <= most else f"{text[: most - 2].rstrip()} …"


def notes(changes: Sequence[Change], *, before: str, version: str, compare: str) -> str:
    """Release notes in Markdown: for users first, what is inside last.

    before   the version before, or ""
    compare  address of all that changed, or ""
    """
    parts = []
    for name, heading, _ in HEADINGS:
        group = [change for change in changes if change.group == name]
        if group:
            parts.append(f"## {heading}\n\n{listed(group)}")
    if not parts:
        parts.append("Nothing that users see has changed.")
    if compare:
        since = f"since {before}" if before else "so far"
        parts.append(f"[All changes {since}]({compare})")
    return f"{version} is out.\n\n" + "\n\n".join(parts) + "\n"


_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


def next_version(last: str, changes: Sequence[Change], bump: str = "") -> str:
    """`v1.4.0` after `v1.3.2`: `bump` (major, minor, patch), else what the changes ask for.

    The first is v1.0.0. Raises ValueError for a last version that is none.
    """
    if not last:
        return "v1.0.0"
    found = _VERSION.fullmatch(last)
    if found is None:
        raise ValueError(f"{last} is no version such as v1.4.0")
    major, minor, patch = map(int, found.groups())
    groups = {change.group for change in changes}
    if not bump:
        bump = "patch" if groups <= {"fix", "inside"} else "minor"
        if "breaking" in groups:
            bump = "major"
    if bump == "major":
        return f"v{major + 1}.0.0"
    return f"v{major}.{minor + 1}.0" if bump == "minor" else f"v{major}.{minor}.{patch + 1}"
