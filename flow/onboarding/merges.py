"""Whether promotions can be merged: it takes a merge commit, and a repository may allow none.

Squashed, a promotion would leave other commits above than below; so the rules of `staging` and
`main` take merge commits alone, and where those are switched off nothing is merged at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from github.Repository import Repository

from components import naming
from flow.onboarding import rulesets
from flow.onboarding.checking import Check, missing, ok, warning
from flow.onboarding.hub import Hub
from flow.onboarding.planning import Step

# What promotions are merged into.
BRANCHES = (naming.STAGE_BRANCHES["staging"], naming.STAGE_BRANCHES["prod"])
_NAME = "GitHub: merges"
_WAY = "allow_merge_commit"
_PLACE = "Settings → General → Pull Requests: Allow merge commits"


def step(hub: Hub, repository: Repository) -> Step | None:
    """What lets merge commits in; None where they are."""
    if not _are_off(hub):
        return None
    what = f"GitHub: merge commits allowed in {hub.repository}, as promotions take nothing else"
    return Step(what, lambda: repository.edit(allow_merge_commit=True))


def notes(hub: Hub) -> list[str]:
    """Rules of a team's own that would refuse a promotion, for a person: `flow` changes none."""
    return [f"no promotion could be merged: {each}. {_way_out(hub)}" for each in _in_the_way(hub)]


def look(hub: Hub) -> list[Check]:
    """Whether the repository, and the rules of the branches above, take merge commits."""
    checks: list[Check] = []
    if _WAY not in hub.facts():
        seen = "whether merge commits are allowed is not told to this token"
        checks.append(warning(_NAME, seen, "give it Contents: read and write"))
    if _are_off(hub):
        seen = "merge commits are switched off: no promotion can be merged"
        command = f"gh api -X PATCH repos/{hub.repository} -F allow_merge_commit=true"
        checks.append(missing(_NAME, seen, f"flow init, or {command} ({_PLACE})"))
    checks += [
        missing(_NAME, f"no promotion can be merged: {each}", _way_out(hub))
        for each in _in_the_way(hub)
    ]
    return checks or [ok(_NAME, "merge commits are allowed, as promotions need")]


def _are_off(hub: Hub) -> bool:
    # GitHub tells those who may write contents alone.
    return hub.facts().get(_WAY) is False


def _in_the_way(hub: Hub) -> list[str]:
    """What refuses merge commits of each branch: `main takes no merge commits (ruleset 7)`."""
    found: dict[str, None] = {}
    for branch in BRANCHES:
        for rule in rulesets.of_branch(hub, branch):
            if refuses(rule):
                found[f"{branch} takes no merge commits (ruleset {rule['ruleset_id']})"] = None
    return list(found)


def refuses(rule: Mapping[str, Any]) -> bool:
    """Whether one rule of a branch refuses merge commits."""
    if rule["type"] == "required_linear_history":
        return True
    allowed = (rule.get("parameters") or {}).get("allowed_merge_methods") or ["merge"]
    return rule["type"] == "pull_request" and "merge" not in allowed


def _way_out(hub: Hub) -> str:
    site = str(hub.facts()["html_url"])
    return f"let it take them, or except the branch: {site}/rules"
