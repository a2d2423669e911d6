"""Environments that runs start from, made at a GitHub."""

from typing import Any

from flow import run_environments
from flow.run_environments import Contents
from tests.unit.github_hub import FULL_NAME, Served
from tests.unit.github_hub import served as served

PATH = f"/repos/{FULL_NAME}/environments/flow-prod"


def shown(served: Served) -> dict[str, Any]:
    """Rules of flow-prod by their type."""
    return {each["type"]: each for each in served.raw.get(PATH).json()["protection_rules"]}


def contents(served: Served, **changed: Any) -> Contents:
    reviewer = served.client().get_user("reviewer").id
    return Contents(**{"secrets": {}, "variables": {}, "reviewers": [reviewer], **changed})


def test_what_was_made_stricter_by_hand_stays(served: Served) -> None:
    wanted = contents(served)
    run_environments.ensure(served.repo, "flow-prod", wanted)
    by_hand = {
        "wait_timer": 5,
        "prevent_self_review": True,
        "reviewers": [{"type": "User", "id": wanted.reviewers[0]}],
        "deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True},
    }
    assert served.raw.put(PATH, json=by_hand).status_code == 200
    run_environments.ensure(served.repo, "flow-prod", wanted)
    rules = shown(served)
    assert rules["wait_timer"]["wait_timer"] == 5
    assert rules["required_reviewers"]["prevent_self_review"] is True


def test_releases_are_admitted_beside_a_branch_of_the_same_pattern(served: Served) -> None:
    rule = {"protected_branches": False, "custom_branch_policies": True}
    served.raw.put(PATH, json={"deployment_branch_policy": rule})
    served.raw.post(f"{PATH}/deployment-branch-policies", json={"name": "v*"})
    for _ in range(2):
        run_environments.ensure(served.repo, "flow-prod", contents(served))
    listed = served.raw.get(f"{PATH}/deployment-branch-policies").json()["branch_policies"]
    assert [(each["name"], each["type"]) for each in listed] == [("v*", "branch"), ("v*", "tag")]
