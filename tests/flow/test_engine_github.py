"""A stage's part at GitHub, by the real engine and provider: made, kept, removed, refused."""

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from flow.looking import look
from tests.flow.team import Team
from tests.flow.typing_it import Person, check_failure

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1200)]
OWNER = "example-org"
DEMO = "feature-demo-hub"
PERMISSIONS = {
    "metadata": "read",
    "actions": "read",
    "administration": "write",
    "environments": "write",
}
_REFUSED_TWICE = (
    ":ActionsEnvironmentVariable",
    ":RepositoryEnvironmentDeploymentPolicy",
    ":RepositoryRuleset",
)


class Repository:
    """A private repository of the organisation's, asked of as its maintainer."""

    def __init__(self, team: Team) -> None:
        known = team.project.credentials["github"]
        token = known["users"]["maintainer"]["token"]
        self.name = team.zone.removesuffix(".test")
        self.full_name = f"{OWNER}/{self.name}"
        self._site = httpx.Client(base_url=known["url"], timeout=30, trust_env=False)
        self._api = httpx.Client(
            base_url=known["api"],
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
            trust_env=False,
        )
        made = self._api.post(f"/orgs/{OWNER}/repos", json={"name": self.name, "private": True})
        made.raise_for_status()
        access = f"/repos/{self.full_name}/collaborators/reviewer"
        self._api.put(access, json={"permission": "push"}).raise_for_status()

    def get(self, path: str) -> Any:
        """What the API answers below the repository."""
        return self._api.get(f"/repos/{self.full_name}{path}").raise_for_status().json()

    def environments(self) -> list[str]:
        """Names of all there are."""
        return [each["name"] for each in self.get("/environments")["environments"]]

    def token(self, login: str, **given: Any) -> str:
        """A new token of somebody's for this repository."""
        wanted = {"login": login, **given}
        made = self._site.post("/_sandbox/tokens", json=wanted).raise_for_status()
        return str(made.json()["token"])

    def limited_token(self, permissions: dict[str, str]) -> str:
        """A fine-grained token of the maintainer's."""
        return self.token(
            "maintainer",
            kind="fine_grained",
            permissions=permissions,
            repositories=[self.full_name],
        )

    def close(self) -> None:
        """Delete it."""
        self._api.delete(f"/repos/{self.full_name}")
        self._api.close()
        self._site.close()


@pytest.fixture(scope="module")
def repository(team: Team) -> Iterator[Repository]:
    made = Repository(team)
    yield made
    made.close()


@pytest.fixture(scope="module")
def stages(team: Team, repository: Repository) -> Team:
    """The team, with `dev` and a demo that have a part at GitHub."""
    team.publish("1.0.0", "development")
    team.publish("1.0.0", "feature-demo/hub")
    team.stacks.create(DEMO)
    wanted = {"githubRepository": repository.full_name, "githubReviewers": ["reviewer"]}
    team.configure("dev", **wanted, githubReviews=2, githubChecks=["test"], protected=False)
    team.configure(DEMO, **wanted)
    return team


def test_a_token_without_the_permissions_is_refused_before_anything_is_made(
    stages: Team, repository: Repository
) -> None:
    before = stages.listed()
    lacking = repository.limited_token({"metadata": "read", "actions": "read"})
    tokens = {
        "the permission Administration: read and write": (lacking, "personal-access-tokens"),
        "no admin role": (repository.token("reviewer"), "mend what is named"),
        "does not reach it": (repository.token("outsider"), "githubRepository"),
        "has expired": (repository.token("maintainer", expires=1.0), "make a new one"),
    }
    with Person(stages) as person:
        for cause, (token, next_step) in tokens.items():
            stages.stacks.set_secret(DEMO, "github:token", token)
            refused = person.up(DEMO)
            check_failure(refused, cause=cause, next_command=next_step)
            assert "Nothing was changed" in refused.said
            assert token not in refused.said
    assert stages.listed() == before
    assert repository.environments() == []


def test_a_demo_has_an_environment_that_goes_with_it(stages: Team, repository: Repository) -> None:
    token = repository.limited_token(PERMISSIONS)
    stages.stacks.set_secret(DEMO, "github:token", token)
    stages.stacks.up(DEMO)
    assert repository.environments() == [DEMO]
    policies = repository.get(f"/environments/{DEMO}/deployment-branch-policies")
    assert [(each["name"], each["type"]) for each in policies["branch_policies"]] == [
        ("feature-demo/hub", "branch")
    ]
    assert repository.get("/rulesets") == []
    assert stages.stacks.up(DEMO).changed == 0
    stages.stacks.destroy(DEMO)
    assert repository.environments() == []


def test_a_stage_s_part_is_made_kept_and_removed(stages: Team, repository: Repository) -> None:
    stages.stacks.up("dev")
    outputs = stages.stacks.outputs("dev")
    look(outputs["url"], "1.0.0", stages.trust)
    made = repository.get("/environments/dev")
    rules = {each["type"]: each for each in made["protection_rules"]}
    (asked,) = rules["required_reviewers"]["reviewers"]
    assert asked["reviewer"]["login"] == "reviewer"
    assert made["deployment_branch_policy"]["custom_branch_policies"] is True
    policies = repository.get("/environments/dev/deployment-branch-policies")
    assert [each["name"] for each in policies["branch_policies"]] == ["development"]
    secrets = repository.get("/environments/dev/secrets")["secrets"]
    assert {each["name"] for each in secrets} == {"DEPLOY_KEY", "DEPLOY_KNOWN_HOSTS"}
    variables = repository.get("/environments/dev/variables")["variables"]
    assert {each["name"]: each["value"] for each in variables} == {
        "DEPLOY_HOST": outputs["ipv4"],
        "URL": outputs["url"],
    }
    (listed,) = repository.get("/rulesets")
    ruleset = repository.get(f"/rulesets/{listed['id']}")
    assert ruleset["conditions"]["ref_name"]["include"] == ["refs/heads/development"]
    by_type = {each["type"]: each.get("parameters") for each in ruleset["rules"]}
    assert set(by_type) == {"deletion", "non_fast_forward", "pull_request"} | {
        "required_status_checks"
    }
    assert by_type["pull_request"]["required_approving_review_count"] == 2
    assert stages.stacks.up("dev").changed == 0
    # The token came from the environment, and no state has it.
    token = stages.project.credentials["github"]["users"]["maintainer"]["token"]
    for file in (stages.project.directory / "state").rglob("*.json"):
        assert token not in file.read_text()
        assert "PRIVATE KEY" not in file.read_text()


def test_an_up_whose_state_lost_what_it_made_at_github_converges(
    stages: Team, repository: Repository
) -> None:
    # As a killed `up` leaves it: made at GitHub, and in no state.
    forget(stages, "dev")
    assert len(repository.get("/rulesets")) == 1
    stages.stacks.up("dev")
    assert stages.stacks.up("dev").changed == 0
    assert len(repository.get("/rulesets")) == 1
    stages.stacks.destroy("dev")
    assert repository.environments() == []
    assert repository.get("/rulesets") == []
    assert stages.listed("stack=dev") == {}


def forget(team: Team, stack: str) -> None:
    """Take out of the state what GitHub refuses to make twice; what it stands for stays."""
    resources = team.stacks.state(stack)["resources"]
    urns = [each["urn"] for each in resources if each["type"].endswith(_REFUSED_TWICE)]
    assert len(urns) == 4, urns  # there are two variables
    for urn in urns:
        subprocess.run(
            ["pulumi", "state", "delete", urn, "--stack", stack, "--yes"],
            env={**os.environ, **team.project.environment()},
            check=True,
            capture_output=True,
            timeout=60,
        )
