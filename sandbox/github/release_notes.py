"""A release's notes, put together as GitHub does: the merged pull requests since the last tag.

`.github/release.yml` of the target sorts them by label:

    changelog:
      exclude: {labels: [skip], authors: [bot]}
      categories:
        - {title: New, labels: [enhancement]}
        - {title: Rest, labels: ["*"]}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from sandbox.github import issue_records
from sandbox.github.errors import GithubError
from sandbox.github.hub import Hub
from sandbox.store import Record

CONFIGURATIONS = (".github/release.yml", ".github/release.yaml")
OTHERS = "Other Changes"


@dataclass(frozen=True)
class Change:
    """A merged pull request, as notes tell of it."""

    number: int
    title: str
    author: str
    url: str
    labels: tuple[str, ...]


def between(hub: Hub, repository: Record, previous: str, target: str) -> list[Change]:
    """What was merged after one commit up to another, oldest first; from the beginning for ""."""
    git = hub.git(repository)
    wanted = f"{previous}..{target}" if previous else target
    commits = set(git.run("rev-list", wanted).split())
    merged = [
        pull
        for pull in hub.store.all("pull", repository["full_name"])
        if pull["merged"] and pull["merge_commit_sha"] in commits
    ]
    merged.sort(key=lambda pull: (pull["merged_at"], pull["number"]))
    return [_change(hub, repository, pull) for pull in merged]


def _change(hub: Hub, repository: Record, pull: Record) -> Change:
    issue = issue_records.find(hub, pull["project"], pull["number"])
    return Change(
        number=pull["number"],
        title=issue["title"],
        author=issue["user"],
        url=f"{hub.url}/{repository['full_name']}/pull/{pull['number']}",
        labels=tuple(issue_records.label_names(hub, issue)),
    )


def newcomers(hub: Hub, repository: Record, changes: Sequence[Change]) -> list[Change]:
    """Those changes that are the first of their authors to be merged."""
    first: dict[str, int] = {}
    pulls = [p for p in hub.store.all("pull", repository["full_name"]) if p["merged"]]
    for pull in sorted(pulls, key=lambda p: (p["merged_at"], p["number"])):
        author = issue_records.find(hub, pull["project"], pull["number"])["user"]
        first.setdefault(author, pull["number"])
    return [
        change
        for change in changes
        if first.get(change.author) == change.number and not change.author.endswith("[bot]")
    ]


def configuration(
    hub: Hub, repository: Record, target: str, path: str = ""
) -> tuple[str, Mapping[str, Any]]:
    """Path and `changelog` of the file in force at a commit; ("", {}) without one.

    Raises 404 for a named file that is not there, 422 for one that is no such YAML.
    """
    git = hub.git(repository)
    for name in [path] if path else CONFIGURATIONS:
        content = git.file(target, name)
        if content is None:
            continue
        try:
            loaded = yaml.safe_load(content)
            changelog = loaded["changelog"]
            if not isinstance(changelog, dict):
                raise TypeError
        except (yaml.YAMLError, TypeError, KeyError):
            raise GithubError(422, f"Could not parse the configuration file {name}") from None
        return name, changelog
    if path:
        raise GithubError(404, f"Could not find configuration file {path}")
    return "", {}


def text(
    changes: Sequence[Change],
    first: Sequence[Change],
    changelog: Mapping[str, Any],
    full_changelog: str,
    origin: str = "",
) -> str:
    """The notes. `origin`: which configuration at which commit, for the remark on top."""
    kept = [change for change in changes if not _excluded(change, changelog.get("exclude"))]
    parts = [f"<!-- Release notes generated using configuration in {origin} -->\n"] * bool(origin)
    if kept:
        parts.append("## What's Changed")
        parts += _listed(kept, changelog.get("categories") or [])
        parts.append("")
    if first:
        parts.append("## New Contributors")
        parts += [f"* @{c.author} made their first contribution in {c.url}" for c in first]
        parts.append("")
    if kept or first:
        parts.append("")
    parts.append(f"**Full Changelog**: {full_changelog}")
    return "\n".join(parts)


def _excluded(change: Change, exclude: Mapping[str, Any] | None) -> bool:
    exclude = exclude or {}
    return _any(change.labels, exclude.get("labels")) or change.author in (
        exclude.get("authors") or []
    )


def _any(labels: Sequence[str], wanted: Sequence[str] | None) -> bool:
    lower = {label.lower() for label in labels}
    return any(name == "*" or str(name).lower() in lower for name in wanted or [])


def _listed(changes: Sequence[Change], categories: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of changes, under the title of the first category that takes each."""
    if not categories:
        return [_line(change) for change in changes]
    under: dict[str, list[str]] = {str(category["title"]): [] for category in categories}
    for change in changes:
        title = OTHERS
        for category in categories:
            takes = _any(change.labels, category.get("labels"))
            if takes and not _excluded(change, category.get("exclude")):
                title = str(category["title"])
                break
        under.setdefault(title, []).append(_line(change))
    lines: list[str] = []
    for title, found in under.items():
        if found:
            lines += [f"### {title}", *found]
    return lines


def _line(change: Change) -> str:
    return f"* {change.title} by @{change.author} in {change.url}"
