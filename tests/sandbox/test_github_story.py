"""From a pull request to a release, with the workflows that each of them runs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.github.actions import Actions
from sandbox.github.actions.expressions import PROGRAM
from sandbox.github.actions.jobs import log_of
from sandbox.github.actions.runner import ACT
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served, refused, served

__all__ = ["served"]
pytestmark = pytest.mark.toolchain

CI = """
name: CI
on: pull_request
permissions: {}
jobs:
  ci:
    runs-on: ubuntu-latest
    steps:
      - run: echo "on $GITHUB_REF for $GITHUB_BASE_REF from $GITHUB_HEAD_REF"
"""
DEPLOY = """
name: Deploy
on:
  push: {branches: [main]}
  release: {types: [published]}
permissions: {}
jobs:
  deploy:
    runs-on: ubuntu-latest
    environment: {name: dev, url: "http://dev.example.test"}
    steps:
      - run: echo "deploys $GITHUB_REF of $GITHUB_EVENT_NAME"
"""
# What the run's own token makes: a comment, which starts nothing.
ANSWER = """
name: Answer
on: {issue_comment: {types: [created]}}
permissions: {pull-requests: write}
jobs:
  answer:
    runs-on: ubuntu-latest
    steps:
      - env:
          TOKEN: ${{ github.token }}
          NUMBER: ${{ github.event.issue.number }}
        run: |
          curl --fail --silent --show-error --output answer.json \\
            -H "Authorization: Bearer $TOKEN" -d '{"body": "Heard."}' \\
            "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/issues/$NUMBER/comments"
"""
RULES = {
    "name": "main",
    "target": "branch",
    "enforcement": "active",
    "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
    "rules": [
        {
            "type": "pull_request",
            "parameters": {
                "required_approving_review_count": 1,
                "dismiss_stale_reviews_on_push": True,
                "require_code_owner_review": False,
                "require_last_push_approval": False,
                "required_review_thread_resolution": False,
            },
        },
        {
            "type": "required_status_checks",
            "parameters": {
                "required_status_checks": [{"context": "ci"}],
                "strict_required_status_checks_policy": False,
            },
        },
    ],
}


@pytest.fixture
def running(served: Served) -> Iterator[Actions]:
    if not (ACT.exists() and PROGRAM.exists()):
        pytest.skip("act and workflow-expressions are not built; `make toolchain` builds them")
    folder = ".github/workflows"
    files = {f"{folder}/ci.yml": CI, f"{folder}/deploy.yml": DEPLOY, f"{folder}/x.yml": ANSWER}
    push(served, "main", files, who="maintainer")
    actions = Actions(served.hub, environment=dict)
    served.hub.listen(actions.on_event)
    actions.start()
    yield actions
    actions.stop()


def runs(served: Served, running: Actions) -> list[tuple[str, str, str]]:
    """(workflow, ref, conclusion) of every run, oldest first."""
    assert running.settle(60), "the runs did not come to rest"
    found = served.hub.store.all("run", FULL_NAME)
    return [(run["name"], run["ref"], run["conclusion"]) for run in found]


def log(served: Served, number: int) -> str:
    """The log of the only job of a run."""
    run = served.hub.store.all("run", FULL_NAME)[number]
    jobs = [job for job in served.hub.store.all("job", FULL_NAME) if job["run_id"] == run["id"]]
    return log_of(served.hub, jobs[0]).read_text()


def test_a_change_is_checked_reviewed_merged_deployed_and_released(
    served: Served, running: Actions
) -> None:
    assert served.raw.post(f"/repos/{FULL_NAME}/rulesets", json=RULES).status_code == 201
    head = push(served, "feature")
    developer = served.client("developer").get_repo(FULL_NAME)
    pull = developer.create_pull(base="main", head="feature", title="A feature", body="")
    assert runs(served, running) == [("CI", "refs/pull/1/merge", "success")]
    assert "on refs/pull/1/merge for main from feature" in log(served, 0)
    (check,) = developer.get_commit(head).get_check_runs()
    assert (check.name, check.conclusion) == ("ci", "success")
    assert developer.get_pull(1).mergeable_state == "blocked"
    assert "approving review" in refused(405, pull.merge)
    served.client("reviewer").get_repo(FULL_NAME).get_pull(1).create_review(event="APPROVE")
    assert developer.get_pull(1).mergeable_state == "clean"
    merged = pull.merge()
    assert runs(served, running)[1:] == [("Deploy", "refs/heads/main", "success")]
    (deployment,) = developer.get_deployments(environment="dev")
    assert (deployment.sha, deployment.ref) == (merged.sha, "main")
    status = deployment.get_statuses()[0]
    assert (status.state, status.environment_url) == ("success", "http://dev.example.test")
    # The release's tag is pushed, and no branch: one run more, of the release.
    served.repo.create_git_release("v1.0.0", name="v1.0.0", message="First")
    assert runs(served, running)[2:] == [("Deploy", "refs/tags/v1.0.0", "success")]
    assert "deploys refs/tags/v1.0.0 of release" in log(served, 2)
    newest, older = developer.get_deployments(environment="dev")
    assert newest.ref == "v1.0.0"
    assert older.get_statuses()[0].state == "inactive"


def test_what_a_runs_own_token_writes_starts_no_run(served: Served, running: Actions) -> None:
    push(served, "feature")
    developer = served.client("developer").get_repo(FULL_NAME)
    pull = developer.create_pull(base="main", head="feature", title="A feature", body="")
    pull.create_issue_comment("Hello?")
    found = runs(served, running)
    assert [name for name, _, _ in found] == ["CI", "Answer"]
    assert found[1][1:] == ("refs/heads/main", "success")
    said: list[Any] = [(c.user.login, c.body) for c in pull.get_issue_comments()]
    assert said == [("developer", "Hello?"), ("github-actions[bot]", "Heard.")], json.dumps(said)
