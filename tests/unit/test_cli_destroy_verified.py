"""After a destroy Hetzner, DNS and GitHub are asked, and what is left is an error with its name."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from flow import destroying
from flow.errors import FlowError
from flow.project import Project
from flow.stages import Stages
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, ORGANIZATION, Served
from tests.unit.github_hub import served as served
from tests.unit.hetzner_cloud import Cloud
from tests.unit.hetzner_cloud import cloud as cloud
from tests.unit.promoting import begin
from tests.unit.team_stacks import (
    TOKEN,
    ZONE,
    Stacks,
    labels_of,
    made_by_an_up,
    named,
    project_of,
    things,
)

STACK = "feature-demo-x"


@pytest.fixture
def stacks(cloud: Cloud) -> Stacks:
    made = Stacks(cloud)
    made.states[STACK] = {"resources": made_by_an_up(cloud, STACK)}
    return made


@pytest.fixture
def team(tmp_path: Path, stacks: Stacks, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("FLOW_GITHUB_TOKEN", raising=False)
    return project_of(tmp_path, stacks, monkeypatch)


def destroy(team: Project) -> list[str]:
    """What was said of each stage."""
    with Stages() as stages:
        destroying.destroy(team, STACK, stages)
    return [each.result for each in stages.all]


def refused(team: Project) -> FlowError:
    with pytest.raises(FlowError, match="left behind") as raised:
        destroy(team)
    return raised.value


def test_a_destroy_that_leaves_nothing_says_so_and_forgets_the_stack(
    cloud: Cloud, team: Project, stacks: Stacks
) -> None:
    assert "nothing" in destroy(team)
    assert things(cloud) == set()
    assert stacks.names() == []


def test_what_hetzner_still_lists_is_named_with_the_command_that_removes_it(
    cloud: Cloud, team: Project, stacks: Stacks
) -> None:
    group = cloud.client.placement_groups
    group.create(name="group", type="spread", labels=labels_of(STACK))
    stacks.keeps.add(STACK)
    error = refused(team)
    assert f"volume {STACK}-data" in error.problem
    assert "placement group group" in error.problem
    assert f"flow sweep --stack {STACK}" in error.remedy
    assert stacks.names() == [STACK]


def test_a_second_destroy_asks_by_the_token_of_the_settings_where_the_state_has_none_left(
    cloud: Cloud, team: Project, stacks: Stacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks.keeps.add(STACK)
    refused(team)
    stacks.told[STACK] = {"hcloud:token": TOKEN, "hcloud:endpoint": f"{cloud.url}/v1"}
    monkeypatch.delenv("HCLOUD_TOKEN")
    assert f"volume {STACK}-data" in refused(team).problem


def held(stacks: Stacks, what: dict[str, Any]) -> None:
    found = stacks.states[STACK]
    assert isinstance(found, dict)
    found["resources"].append(what)


@pytest.mark.parametrize("labels", [None, labels_of(STACK)])
def test_a_record_set_of_its_name_is_found_even_where_its_labels_are_lost(
    cloud: Cloud, team: Project, stacks: Stacks, labels: dict[str, str] | None
) -> None:
    held(stacks, named(cloud, "x", labels))
    assert f"record set x.{ZONE} A" in refused(team).problem


def test_a_record_set_that_another_stack_has_taken_is_that_ones(
    cloud: Cloud, team: Project, stacks: Stacks
) -> None:
    held(stacks, named(cloud, "x", labels_of("staging")))
    assert "nothing" in destroy(team)


# -- at GitHub ---------------------------------------------------------------------------------


@pytest.fixture
def at_github(served: Served, stacks: Stacks, monkeypatch: pytest.MonkeyPatch) -> httpx.Client:
    """GitHub with an environment of the stack, which its state holds."""
    monkeypatch.setenv("GITHUB_TOKEN", served.tokens["maintainer"])
    # For when the state no longer says where.
    monkeypatch.setenv("GITHUB_API_URL", f"{served.url}/api/v3")
    served.raw.put(f"/repos/{FULL_NAME}/environments/{STACK}", json={}).raise_for_status()
    found = stacks.states[STACK]
    assert isinstance(found, dict)
    inputs = {"owner": ORGANIZATION, "baseUrl": f"{served.url}/"}
    found["resources"] += [
        {"type": "pulumi:providers:github", "urn": "github", "inputs": inputs},
        {
            "type": "github:index/repositoryEnvironment:RepositoryEnvironment",
            "urn": "environment",
            "outputs": {"repository": "fieldwork", "environment": STACK},
        },
    ]
    return served.raw


def test_an_environment_and_rules_that_github_still_has_are_named_with_their_commands(
    team: Project, at_github: httpx.Client, cloud: Cloud
) -> None:
    rules = {"name": f"p-{STACK}", "target": "branch", "enforcement": "active", "rules": []}
    made = at_github.post(f"/repos/{FULL_NAME}/rulesets", json=rules).raise_for_status().json()
    error = refused(team)
    assert f"environment {STACK} at GitHub" in error.problem
    assert f"ruleset p-{STACK} at GitHub" in error.problem
    for path in (f"environments/{STACK}", f"rulesets/{made['id']}"):
        command = f"gh api -X DELETE repos/{FULL_NAME}/{path}"
        assert command in error.remedy
        at_github.delete(f"/repos/{FULL_NAME}/{path}").raise_for_status()
    # The state is empty by now: the settings say where to look.
    (team.folder / f"Pulumi.{STACK}.yaml").write_text(
        f"config: {{p:githubRepository: {FULL_NAME}}}\n"
    )
    assert any(each.startswith("nothing") for each in destroy(team))


def test_a_second_destroy_still_finds_what_is_at_github(
    team: Project, at_github: httpx.Client
) -> None:
    refused(team)
    (team.folder / f"Pulumi.{STACK}.yaml").write_text(
        f"config: {{p:githubRepository: {FULL_NAME}}}\n"
    )
    assert f"environment {STACK} at GitHub" in refused(team).problem


def deployed(served: Served) -> Any:
    begin(served)
    sha = push(served, "feature-demo/x", start="development")
    made = served.repo.create_deployment(
        ref=sha, environment=STACK, auto_merge=False, required_contexts=[]
    )
    made.create_status(state="success")
    return made


def test_open_deployments_are_marked_inactive(
    team: Project, served: Served, at_github: httpx.Client
) -> None:
    made = deployed(served)
    at_github.delete(f"/repos/{FULL_NAME}/environments/{STACK}").raise_for_status()
    assert "nothing; 1 deployment(s) at GitHub marked inactive" in destroy(team)
    assert made.get_statuses()[0].state == "inactive"


def test_a_token_that_may_not_touch_deployments_fails_no_destroy_and_is_told_what_it_lacks(
    team: Project, served: Served, at_github: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(served)
    at_github.delete(f"/repos/{FULL_NAME}/environments/{STACK}").raise_for_status()
    token = served.hub.tokens.mint(
        "maintainer",
        "fine_grained",
        permissions={"actions": "read", "administration": "write", "deployments": "read"},
        repositories=[FULL_NAME],
    )
    monkeypatch.setenv("GITHUB_TOKEN", token)
    assert any("Deployments: read and write" in each for each in destroy(team))


def test_a_stack_without_a_part_at_github_asks_nobody_there(
    team: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_x")
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9/api/v3")
    assert "nothing" in destroy(team)
