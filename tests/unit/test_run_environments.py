"""Environments that runs start from, made at a GitHub."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from flow import run_environments
from flow.onboarding import planning
from flow.onboarding.hub import Hub
from flow.run_environments import Contents
from sandbox.github import environments
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


# -- what `flow init` finds to do --------------------------------------------------


DEMO = "/environments/flow-demo"


@pytest.fixture
def hub(served: Served) -> Iterator[Hub]:
    with Hub(FULL_NAME, served.tokens["maintainer"], f"{served.url}/api/v3") as made:
        yield made


def of_demos(url: str = "s3://demos", **more: Any) -> Contents:
    """What flow-demo is to hold."""
    secrets: Mapping[str, str] = {
        "HCLOUD_TOKEN": "t",
        "PULUMI_CONFIG_PASSPHRASE": "of demos",
        "STATE_ACCESS_KEY_ID": "key",
        run_environments.STACKS_TOKEN: "",
    }
    return Contents(secrets, {"PULUMI_BACKEND_URL": url}, **more)


def step(served: Served, hub: Hub, wanted: Contents) -> str:
    """What is told to be done, once it is done; empty for nothing."""
    found = planning.environment_step(hub, served.repo, "flow-demo", wanted, frozenset())
    if found is None:
        return ""
    found.do()
    return found.what


def test_an_administrators_token_is_taken_out_of_the_demos_environment(
    served: Served, hub: Hub
) -> None:
    assert "FLOW_GITHUB_TOKEN" not in step(served, hub, of_demos())
    served.repo.get_environment("flow-demo").create_secret(run_environments.STACKS_TOKEN, "ghp_x")
    assert step(served, hub, of_demos()).endswith(": without the secret FLOW_GITHUB_TOKEN")
    assert run_environments.STACKS_TOKEN not in hub.names(f"{DEMO}/secrets", "secrets")
    assert step(served, hub, of_demos()) == ""


def test_a_state_that_moved_brings_what_opens_it(served: Served, hub: Hub) -> None:
    step(served, hub, of_demos())
    told = step(served, hub, of_demos("s3://demos-of-their-own"))
    for each in (
        "secret PULUMI_CONFIG_PASSPHRASE",
        "secret STATE_ACCESS_KEY_ID",
        "variable PULUMI_BACKEND_URL = s3://demos-of-their-own",
    ):
        assert each in told
    assert "HCLOUD_TOKEN" not in told
    assert step(served, hub, of_demos("s3://demos-of-their-own")) == ""


@pytest.mark.parametrize("branch", ["feature-demo/login", "feature-demo/ann/login/again"])
def test_a_demos_branch_is_let_in_however_many_slashes_its_name_has(
    served: Served, hub: Hub, branch: str
) -> None:
    step(served, hub, of_demos())
    environment = environments.environment_of(served.hub, FULL_NAME, "flow-demo")
    assert environment is not None
    assert environments.admits(environment, f"refs/heads/{branch}")


def test_a_default_branch_that_is_kept_is_let_in_where_its_runs_end_demos(
    served: Served, hub: Hub
) -> None:
    assert "admits main" in step(served, hub, of_demos(default_branch="main"))
    policies = hub.names(f"{DEMO}/deployment-branch-policies", "branch_policies")
    assert set(policies) == {"main", "feature-demo/**/*"}
