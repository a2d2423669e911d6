"""What lost stacks have left at GitHub is found by the program's names, and nobody else's goes."""

import json
from pathlib import Path
from typing import Any

import pytest

from components import github_environment, naming
from flow import app, lost_at_github, survey
from flow.errors import FlowError
from flow.project import Project
from flow.run_environments import BACKUP, GROUPS
from flow.runs.telling import DEMOS
from tests.unit.github_hub import FULL_NAME, Served
from tests.unit.github_hub import served as served
from tests.unit.hetzner_cloud import Cloud
from tests.unit.hetzner_cloud import cloud as cloud
from tests.unit.team_stacks import PROJECT, Stacks, project_of

DEMO = "feature-demo-x"
RULESET = naming.resource_name(PROJECT, "staging")
RUNS = [*GROUPS, BACKUP, DEMOS]
HOUR = 3600


def environment(served: Served, name: str, *, ours: bool = True) -> None:
    path = f"/repos/{FULL_NAME}/environments/{name}"
    served.raw.put(path, json={}).raise_for_status()
    if ours:
        variable = {"name": "DEPLOY_HOST", "value": "192.0.2.7"}
        served.raw.post(f"{path}/variables", json=variable).raise_for_status()


def ruleset(served: Served, name: str) -> None:
    body = {
        "name": name,
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["refs/heads/staging"], "exclude": []}},
        "rules": [{"type": "deletion"}],
    }
    served.raw.post(f"/repos/{FULL_NAME}/rulesets", json=body).raise_for_status()


def there(served: Served) -> set[str]:
    """All environments and rulesets, as a sweep calls them."""
    found = served.raw.get(f"/repos/{FULL_NAME}/environments").json()["environments"]
    rules = served.raw.get(f"/repos/{FULL_NAME}/rulesets").json()
    return {
        *(f"{lost_at_github.ENVIRONMENT} {each['name']}" for each in found),
        *(f"{lost_at_github.RULESET} {each['name']}" for each in rules),
    }


@pytest.fixture
def stacks(cloud: Cloud) -> Stacks:
    made = Stacks(cloud)
    made.states["feature-demo-other"] = {}
    return made


@pytest.fixture
def team(
    tmp_path: Path, stacks: Stacks, served: Served, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """A team whose repository is known, two hours after all that a test makes."""
    monkeypatch.setenv("FLOW_CLOCK_AHEAD", str(2 * HOUR))
    monkeypatch.setenv("GITHUB_REPOSITORY", FULL_NAME)
    monkeypatch.setenv("GITHUB_BASE_URL", f"{served.url}/api/v3")
    monkeypatch.setenv("GITHUB_TOKEN", served.tokens["maintainer"])
    monkeypatch.delenv("FLOW_GITHUB_TOKEN", raising=False)
    found = project_of(tmp_path, stacks, monkeypatch)
    monkeypatch.setattr("flow.commands.sweep.project.find", lambda: found)
    return found


def flow(*arguments: str) -> int:
    return app.run(["sweep", *arguments])


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def actions(found: dict[str, Any]) -> dict[str, str]:
    return {f"{each['kind']} {each['name']}": each["action"] for each in found["things"]}


def test_a_lost_stages_environment_and_ruleset_are_shown_and_go_when_it_is_named(
    team: Project, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    environment(served, "staging")
    ruleset(served, RULESET)
    things = there(served)
    assert flow("--yes", "--json") == 1
    found = told(capsys)
    assert actions(found) == dict.fromkeys(things, "keep")
    assert all("flow sweep --stack staging" in each["why"] for each in found["things"])
    assert flow("--stack", "staging", "--yes", "--json") == 0
    assert actions(told(capsys)) == dict.fromkeys(things, "removed")
    assert there(served) == set()


def test_a_lost_demos_environment_goes_unnamed(team: Project, served: Served) -> None:
    environment(served, DEMO)
    assert flow("--yes") == 0
    assert there(served) == set()


def test_what_an_existing_stack_has_is_not_lost(
    team: Project, stacks: Stacks, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    stacks.states["staging"] = {}
    environment(served, "staging")
    ruleset(served, RULESET)
    before = there(served)
    assert flow("--stack", "staging", "--yes", "--json") == 0
    assert told(capsys)["things"] == []
    assert there(served) == before


@pytest.mark.parametrize("name", RUNS)
def test_an_environment_of_runs_is_never_touched(team: Project, served: Served, name: str) -> None:
    environment(served, name)
    before = there(served)
    assert flow("--stack", name, "--yes") == 0
    assert flow("--yes") == 0
    assert there(served) == before


def test_what_only_has_a_stages_name_is_never_touched(team: Project, served: Served) -> None:
    environment(served, "staging", ours=False)
    environment(served, "production")
    ruleset(served, "staging")
    ruleset(served, naming.resource_name("another-project", "staging"))
    before = there(served)
    assert flow("--stack", "staging", "--stack", "production", "--yes") == 0
    assert there(served) == before


def test_a_secret_of_the_programs_is_enough_to_know_its_environment(
    team: Project, served: Served
) -> None:
    environment(served, "dev", ours=False)
    served.repo.get_environment("dev").create_secret("DEPLOY_KEY", "x")
    assert flow("--stack", "dev", "--yes") == 0
    assert there(served) == set()


def test_what_a_state_that_cannot_be_listed_may_hold_stays(
    team: Project,
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment(served, "prod")
    unread = survey._unread("prod", FlowError("no such bucket"))
    monkeypatch.setattr(survey, "listed", lambda _: (["staging"], [unread]))
    assert flow("--stack", "prod", "--yes") == 1
    assert "no such bucket" in capsys.readouterr().out
    assert there(served) == {"GitHub environment prod"}


def test_without_a_token_it_is_said_that_github_was_not_asked(
    team: Project,
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    assert flow("--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["unasked"] == lost_at_github.NOT_ASKED
    assert "GitHub was not asked" in said.err
    monkeypatch.delenv("GITHUB_REPOSITORY")
    assert flow() == 0
    assert "GitHub" not in capsys.readouterr().err


def test_a_token_that_may_not_remove_it_is_told_what_failed(
    team: Project,
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ruleset(served, RULESET)
    monkeypatch.setenv("GITHUB_TOKEN", served.tokens["developer"])
    assert flow("--stack", "staging", "--yes", "--json") == 1
    (found,) = told(capsys)["things"]
    assert (found["kind"], found["action"]) == ("GitHub ruleset", "failed")
    assert "GitHub answers" in found["why"]


def test_a_github_that_gives_no_answer_is_said(
    team: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_BASE_URL", "http://127.0.0.1:9/api/v3")
    assert flow("--yes") == 1
    assert "GitHub: GitHub cannot be asked" in capsys.readouterr().err


def test_what_the_program_puts_into_an_environment_is_what_is_looked_for() -> None:
    assert lost_at_github.VARIABLE in github_environment.VARIABLES
    source = Path(str(github_environment.__file__)).read_text()
    assert f'"{lost_at_github.SECRET}": args["deploy_key"]' in source
