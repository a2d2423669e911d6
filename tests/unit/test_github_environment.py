"""A stage's part at GitHub, made by the whole program: what it holds, in what order, and when."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from planning import cloud, github, images
from tests.unit.conftest import ROOT, Engine, RunProgram

CONFIG: Mapping[str, Any] = {
    "images": "registry.example/app",
    "zone": "example.org",
    "hcloud:token": "t" * 64,
    "githubRepository": "example-org/fieldwork",
}

Up = Callable[..., Engine]


@pytest.fixture
def up(
    run_program: RunProgram, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, Mapping[str, Any]], Engine]:
    """Runs the program for a stack with a token in the environment; the network is not asked."""
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_hush")
    monkeypatch.setattr(cloud, "place", lambda **wanted: wanted["locations"][0])
    monkeypatch.setattr(cloud, "lasting", lambda **_: {})
    monkeypatch.setattr(
        images,
        "resolve",
        lambda compose, prefix, *, version, **_: images.Pins(
            version=version,
            revision="",
            images={name: f"{prefix}/{name}@sha256:{0:064}" for name in compose["services"]},
        ),
    )
    monkeypatch.setattr(github, "ask", lambda wanted: github.Reviewers((7,), (8,)))
    monkeypatch.setattr(github, "clear", lambda wanted, environment, **lost: None)

    def start(stack: str, config: Mapping[str, Any] = CONFIG) -> Engine:
        return run_program(stack, config, {"github:token"})

    return start


def at_github(engine: Engine) -> set[str]:
    """Types of the resources at GitHub."""
    return {each.type.rpartition(":")[2] for each in engine.registered if "github" in each.type}


def test_without_a_repository_nothing_is_made_there_and_nobody_is_asked(
    up: Up, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(github, "ask", lambda wanted: pytest.fail("GitHub was asked"))
    engine = up("dev", {**CONFIG, "githubRepository": ""})
    assert at_github(engine) == set()


def test_a_program_without_a_part_at_github_does_not_even_load_its_sdk() -> None:
    # Loaded by any import of the program, it would cost every `up` a tenth of a second.
    code = (
        "import sys, settings\n"
        "from components import environment\n"
        "from planning import plan\n"
        "sys.exit('pulumi_github' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("stack", "branch", "tag"),
    [
        ("dev", "development", None),
        ("staging", "staging", None),
        ("prod", None, "v*"),
        ("feature-demo-x", "feature-demo/x", None),
    ],
)
def test_an_environment_admits_its_branch_alone_and_production_s_its_releases_alone(
    up: Up, stack: str, branch: str | None, tag: str | None
) -> None:
    engine = up(stack, {**CONFIG, "github:token": "ghp_own"})
    made = engine.one("RepositoryEnvironment").inputs
    assert (made["repository"], made["environment"]) == ("fieldwork", stack)
    assert made["deploymentBranchPolicy"] == {
        "protectedBranches": False,
        "customBranchPolicies": True,
    }
    policy = engine.one("RepositoryEnvironmentDeploymentPolicy").inputs
    assert (policy.get("branchPattern"), policy.get("tagPattern")) == (branch, tag)
    assert policy["environment"] == stack


def test_who_has_to_agree_is_asked_and_no_administrator_goes_past_them(up: Up) -> None:
    made = up("prod").one("RepositoryEnvironment").inputs
    assert made["reviewers"] == [{"users": [7], "teams": [8]}]
    assert made["canAdminsBypass"] is False


def test_with_nobody_to_agree_there_are_no_reviewers(
    up: Up, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(github, "ask", lambda wanted: github.Reviewers())
    made = up("dev").one("RepositoryEnvironment").inputs
    assert "reviewers" not in made
    assert made["canAdminsBypass"] is True


def test_jobs_are_given_what_the_stack_knows_and_what_is_secret_stays_so(up: Up) -> None:
    engine = up("staging")
    secrets = {
        each.inputs["secretName"]: each for each in engine.of_type("ActionsEnvironmentSecret")
    }
    assert set(secrets) == {"DEPLOY_KEY", "DEPLOY_KNOWN_HOSTS"}
    assert "PRIVATE KEY" in secrets["DEPLOY_KEY"].inputs["value"]
    assert secrets["DEPLOY_KNOWN_HOSTS"].inputs["value"].startswith("203.0.113.10 ssh-ed25519 ")
    assert all("value" in each.secret_inputs for each in secrets.values())
    variables = {
        each.inputs["variableName"]: each.inputs["value"]
        for each in engine.of_type("ActionsEnvironmentVariable")
    }
    assert variables == {"DEPLOY_HOST": "203.0.113.10", "URL": "https://staging.example.org"}


def test_a_branch_that_stays_has_rules(up: Up) -> None:
    engine = up("staging", {**CONFIG, "githubReviews": "2", "githubChecks": ["test", "lint"]})
    made = engine.one("RepositoryRuleset").inputs
    assert made["name"] == "deployment-flow-staging"
    assert (made["enforcement"], made["target"]) == ("active", "branch")
    assert made["conditions"]["refName"] == {"includes": ["refs/heads/staging"], "excludes": []}
    assert made["rules"] == {
        "deletion": True,
        "nonFastForward": True,
        "pullRequest": {"requiredApprovingReviewCount": 2, "allowedMergeMethods": ["merge"]},
        "requiredStatusChecks": {"requiredChecks": [{"context": "test"}, {"context": "lint"}]},
    }


@pytest.mark.parametrize(
    ("stack", "methods"), [("dev", None), ("staging", ["merge"]), ("prod", ["merge"])]
)
def test_what_promotions_go_to_takes_merge_commits_alone_and_development_what_it_likes(
    up: Up, stack: str, methods: list[str] | None
) -> None:
    rules = up(stack).one("RepositoryRuleset").inputs["rules"]
    assert rules["pullRequest"].get("allowedMergeMethods") == methods


def test_no_check_is_required_where_none_is_named(up: Up) -> None:
    assert "requiredStatusChecks" not in up("dev").one("RepositoryRuleset").inputs["rules"]


def test_a_demo_s_branch_has_no_rules(up: Up) -> None:
    own = {**CONFIG, "github:token": "ghp_own"}
    assert up("feature-demo-x", own).of_type("RepositoryEnvironment")
    assert up("feature-demo-x", own).of_type("RepositoryRuleset") == []


def test_a_demo_has_no_part_there_by_a_token_of_the_environment(
    up: Up, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A run's own token is there, and may not; an administrator's is not for a demo's run.
    monkeypatch.setattr(github, "ask", lambda wanted: pytest.fail("GitHub was asked"))
    assert at_github(up("feature-demo-x")) == set()


def test_the_deployment_does_not_wait_for_github(up: Up) -> None:
    engine = up("dev")
    # The parts of a component are not registered before it is, and that waits for these.
    part = engine.one("GithubEnvironment")
    assert any("dev-release" in urn for urn in part.depends_on)
    made = [each for each in engine.registered if each.type.startswith("github:")]
    assert made
    assert all("GithubEnvironment::dev" in each.parent for each in made)
    assert not any(
        "github" in urn
        for each in engine.registered
        if "github" not in each.type
        for urn in each.depends_on
    )


def test_the_provider_starts_while_the_stage_is_deployed(up: Up) -> None:
    provider = up("dev").one("github")
    assert provider.depends_on == ()
    assert "GithubEnvironment" not in provider.parent


def test_what_is_in_the_environment_goes_with_it(up: Up) -> None:
    engine = up("dev")
    inside = [
        each
        for kind in ("Secret", "Variable")
        for each in engine.of_type(f"ActionsEnvironment{kind}")
    ]
    assert len(inside) == 4
    assert all("dev-github-environment" in each.deleted_with for each in inside)
    assert engine.one("RepositoryRuleset").deleted_with == ""


def test_a_token_of_the_environment_never_enters_the_state(up: Up) -> None:
    engine = up("dev")
    provider = engine.one("github")
    assert provider.inputs["owner"] == "example-org"
    assert provider.inputs["baseUrl"] == "https://api.github.com/"
    assert provider.inputs["token"] is None
    assert "ghp_hush" not in str(engine.registered)


def test_a_token_of_the_settings_is_a_secret_of_the_state(up: Up) -> None:
    engine = up("dev", {**CONFIG, "github:token": "ghp_configured"})
    provider = engine.one("github")
    assert provider.inputs["token"] == "ghp_configured"
    assert "token" in provider.secret_inputs


def test_a_refusal_comes_before_anything_is_registered(
    up: Up, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(wanted: object) -> github.Reviewers:
        raise github.GithubError("the token lacks Administration")

    monkeypatch.setattr(github, "ask", refuse)
    with pytest.raises(github.GithubError):
        up("dev")
    assert engine.registered == []


def test_only_what_the_state_does_not_know_is_cleared_away(
    up: Up, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(
        github, "clear", lambda wanted, environment, **lost: cleared.append((environment, lost))
    )
    first = up("staging")
    assert cleared == [
        (
            "staging",
            {
                "variables": ["DEPLOY_HOST", "URL"],
                "policy": "staging",
                "ruleset": "deployment-flow-staging",
            },
        )
    ]
    cleared.clear()
    made = [each for each in first.registered if each.type.startswith("github:")]
    engine.state = {
        f"urn:pulumi:x::p::{each.type}::{each.name}": {"type": each.type, "outputs": each.inputs}
        for each in made
        if each.name != "staging-github-url"
    }
    up("staging")
    assert cleared == [("staging", {"variables": ["URL"], "policy": None, "ruleset": None})]
    cleared.clear()
    engine.state = {
        f"urn:pulumi:x::p::{each.type}::{each.name}": {"type": each.type, "outputs": each.inputs}
        for each in made
    }
    up("staging")
    assert cleared == []
