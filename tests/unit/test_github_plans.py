"""What GitHub's plans keep from a private repository is said before it fails, or in its place."""

from typing import Any

import pytest
from github import GithubException

from flow import app
from flow.errors import FlowError
from flow.onboarding import answers, github_doctor, hetzner, init, planning, plans, pull_login
from flow.onboarding.answers import Given
from flow.onboarding.hub import Hub
from tests.unit.github_hub import FULL_NAME, Served
from tests.unit.github_hub import served as served
from tests.unit.test_cli_doctor import environment, hub
from tests.unit.test_cli_doctor import served as api

UPGRADE = "Upgrade to GitHub Pro or make this repository public to enable this feature."
REVIEWERS = (
    "Failed to create the environment protection rule. Please ensure the billing plan supports "
    "the required reviewers protection rule."
)


def refusing(status: int, message: str, *, private: bool = True) -> Any:
    """A GitHub whose repository is private, and whose rulesets are refused."""

    def answer(_method: str, path: str) -> tuple[int, Any]:
        if path == "/repos/a/b":
            return 200, {"private": private, "permissions": {"admin": True}}
        return status, {"message": message}

    return api(answer)


@pytest.mark.parametrize(
    ("status", "message", "private", "lacks"),
    [
        (403, UPGRADE, True, True),
        (403, UPGRADE, False, False),
        (403, "Resource not accessible by personal access token", True, False),
        (404, "Not Found", True, False),
    ],
)
def test_a_private_repository_without_environments_is_told_by_what_github_refuses(
    status: int, message: str, private: bool, lacks: bool
) -> None:
    with refusing(status, message, private=private) as url, Hub("a/b", "x", url) as asked:
        found = plans.lacking(asked)
    assert ("make it public, or take GitHub Team" in found) is lacks


def test_flow_init_makes_nothing_where_the_plan_has_no_environments(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Given(
        repository=FULL_NAME, deployment=FULL_NAME, domain="a.test", email="ops@a.test",
        states={each: f"file:///state/{each}" for each in ("nonprod", "prod", "demo")},
    )  # fmt: skip
    tokens = {f"HCLOUD_TOKEN_{each}": each for each in ("PROD", "NONPROD", "DEMO")}
    pull = {"REGISTRY_USERNAME": "robot", "REGISTRY_PASSWORD": "github_pat_1"}
    told = answers.collect(
        given, {**tokens, **pull, "GITHUB_TOKEN": served.tokens["maintainer"]}, None, encrypted=()
    )
    monkeypatch.setattr(hetzner, "ask", lambda *_: hetzner.Access(valid=True, writable=True))
    monkeypatch.setattr(plans, "lacking", lambda _: "its plan has no environments")
    with (
        Hub(FULL_NAME, told.secrets["github"], f"{served.url}/api/v3") as asked,
        pytest.raises(FlowError, match="nothing was made") as raised,
    ):
        planning.check(told, "", asked, asked)
    assert "its plan has no environments" in raised.value.problem
    assert "REGISTRY_PASSWORD: ghcr.io takes no fine-grained token" in raised.value.problem
    assert "github_pat_1" not in str(raised.value)


def test_a_plan_that_refuses_reviewers_is_said_with_what_else_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = GithubException(422, {"message": REVIEWERS})
    found = plans.reviewing(error)
    assert found is not None
    assert "without --reviewer" in found.remedy
    assert plans.reviewing(GithubException(422, {"message": "Validation Failed"})) is None
    assert plans.reviewing(GithubException(500, "no JSON")) is None
    monkeypatch.setattr(answers, "collect", lambda *_, **__: None)

    def refused(*_: object) -> None:
        raise error

    monkeypatch.setattr(init, "plan", refused)
    assert app.run(["init", "--yes"]) != 0
    assert "GitHub Enterprise" in capsys.readouterr().err


def test_a_private_repository_without_reviewers_is_warned_and_a_public_one_refused() -> None:
    secrets = ("HCLOUD_TOKEN", "PULUMI_CONFIG_PASSPHRASE", "STATE_ACCESS_KEY_ID")
    whole = dict(environment((*secrets, "STATE_SECRET_ACCESS_KEY"), ("v*",)))
    for private, state in ((False, "missing"), (True, "warning")):
        whole[""] = {"default_branch": "development", "private": private}
        with hub(whole) as asked:
            (found,) = github_doctor.environment_checks(asked, "flow-prod", configured=False)
        assert (found.state, "GitHub Enterprise" in found.mend) == (state, private)


def test_secrets_do_not_reach_a_workflow_of_another_owner() -> None:
    assert plans.of_two_owners("ada/app", "Ada/deployment") == ""
    assert "none of the application's secrets" in plans.of_two_owners("ada/app", "bo/deployment")
    both = {"": {"private": False, "default_branch": "development"}}
    with hub(both) as asked, Hub("c/d", "x", asked.api) as other:
        other.facts = lambda: {"private": False}  # type: ignore[method-assign]
        (found,) = github_doctor._callable(asked, other)
    assert found.state == "warning"
    assert "--deployment" in found.mend


@pytest.mark.parametrize(
    ("images", "password", "wrong"),
    [
        ("ghcr.io/a/b", "github_pat_11AA", True),
        ("ghcr.io/a/b", "ghp_aa", False),
        ("registry.test/a", "github_pat_11AA", False),
        ("ghcr.io/a/b", "", False),
    ],
)
def test_a_fine_grained_token_pulls_nothing_from_ghcr(
    images: str, password: str, wrong: bool
) -> None:
    assert bool(pull_login.problem(images, password)) is wrong
