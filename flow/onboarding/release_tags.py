"""Who may make, move and delete tags of releases: a tag starts production's deploy.

Whoever may write may tag, where no ruleset says otherwise. Ours leaves it to the roles that
publish releases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from github.Repository import Repository

from flow.onboarding import rulesets
from flow.onboarding.hub import Hub
from flow.run_environments import RELEASES

NAME = "flow: release tags"
TYPES = ("creation", "update", "deletion")
REF = f"refs/tags/{RELEASES}"
# GitHub's numbers of the roles that may: maintain and admin.
ROLES = (2, 5)
# Read, triage and write.
_LESSER = (1, 3, 4)
# GitHub Actions, as an app: whoever writes a workflow has its token.
_ACTIONS = 15368
_EVERY_TAG = frozenset({"~ALL", "refs/tags/*", "refs/tags/**", "refs/tags/**/*"})


def body() -> dict[str, Any]:
    """The ruleset as GitHub takes it."""
    return {
        "name": NAME,
        "target": "tag",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": [REF], "exclude": []}},
        "rules": [{"type": each} for each in TYPES],
        "bypass_actors": [
            {"actor_type": "RepositoryRole", "actor_id": each, "bypass_mode": "always"}
            for each in ROLES
        ],
    }


def ensure(repository: Repository) -> None:
    """Make our ruleset, or put it right; safe to repeat. Raises GithubException."""
    rulesets.ensure(repository, body())


def of_tags(hub: Hub) -> list[Mapping[str, Any]]:
    """Every ruleset that may mean tags, in full. Raises FlowError where the plan has none."""
    listed = hub.get("/rulesets", per_page=100, targets="tag") or []
    found = (hub.get(f"/rulesets/{each['id']}") for each in listed if each["target"] == "tag")
    return [each for each in found if each]


def open_to(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """What whoever may write may still do with a release's tag: creation, update, deletion.

    found  the repository's rulesets, each in full
    """
    held: set[str] = set()
    for each in found:
        named = (each.get("conditions") or {}).get("ref_name") or {}
        means = REF in (included := named.get("include") or []) or _EVERY_TAG & {*included}
        is_in_force = each.get("target") == "tag" and each.get("enforcement") == "active"
        # Who may go round it is told to administrators alone.
        open_ = any(_is_wide(actor) for actor in each.get("bypass_actors") or [])
        if means and is_in_force and not named.get("exclude") and not open_:
            held |= {str(rule["type"]) for rule in each.get("rules") or []}
    return [each for each in TYPES if each not in held]


def _is_wide(actor: Mapping[str, Any]) -> bool:
    """Whether an actor that goes round the rules is everybody who writes, or every run's token."""
    kind, number = actor.get("actor_type"), actor.get("actor_id")
    return (kind == "RepositoryRole" and number in _LESSER) or (
        kind == "Integration" and number == _ACTIONS
    )
