"""Whether branches of stages outlive a merge: a repository may delete what was merged by itself.

A promotion to production merges `staging`, and a back-merge `main`: where GitHub deletes head
branches, it deletes these, too, unless a rule keeps them. A stack's own rules do; without them
(`githubRepository`) a ruleset of ours does, so that branches of demos are still deleted.
"""

from __future__ import annotations

from typing import Any

from github.Repository import Repository

from components import naming
from flow.onboarding import rulesets
from flow.onboarding.checking import Check, missing, ok
from flow.onboarding.hub import Hub
from flow.onboarding.merges import BRANCHES
from flow.onboarding.planning import Step

NAME = "flow: branches of the stages"
_TITLE = "GitHub: branches that stay"


def body() -> dict[str, Any]:
    """The ruleset as GitHub takes it. Nobody goes round it: GitHub would delete for who may."""
    refs = [f"refs/heads/{each}" for each in naming.STAGE_BRANCHES.values()]
    return {
        "name": NAME,
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": refs, "exclude": []}},
        "rules": [{"type": "deletion"}],
        "bypass_actors": [],
    }


def step(hub: Hub, repository: Repository) -> Step | None:
    """What keeps them; None where nothing would delete them."""
    if not (lost := _lost(hub)):
        return None
    what = f"GitHub: ruleset {NAME!r}: {' and '.join(lost)} stay when they were merged"
    return Step(what, lambda: rulesets.ensure(repository, body()))


def look(hub: Hub) -> list[Check]:
    """Whether the repository deletes what was merged, and what keeps these branches then."""
    if not (lost := _lost(hub)):
        return [ok(_TITLE, "no merge deletes a branch that a stage follows")]
    command = f"gh api -X PATCH repos/{hub.repository} -F delete_branch_on_merge=false"
    mend = (
        f"flow init, which makes a ruleset; where the plan has none: {command} (Settings → "
        "General → Pull Requests: Automatically delete head branches)"
    )
    seen = f"GitHub deletes {' and '.join(lost)} once a pull request from there is merged"
    return [missing(_TITLE, seen, mend)]


def _lost(hub: Hub) -> list[str]:
    """Branches that would be deleted at their next merge; the default branch never is."""
    facts = hub.facts()
    if not facts.get("delete_branch_on_merge"):
        return []
    return [
        each for each in BRANCHES if each != facts["default_branch"] and not _is_kept(hub, each)
    ]


def _is_kept(hub: Hub, branch: str) -> bool:
    if rules := rulesets.of_branch(hub, branch):
        return any(rule["type"] == "deletion" for rule in rules)
    # Protected by no ruleset: by GitHub's older kind of protection, which forbids deletions.
    return bool((hub.get(f"/branches/{branch}") or {}).get("protected"))
