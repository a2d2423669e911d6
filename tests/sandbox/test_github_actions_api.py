"""Actions through the API, driven by PyGithub and compared with GitHub's description of it."""

import io
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.github.actions import Actions
from sandbox.github.actions.expressions import PROGRAM
from sandbox.github.actions.runner import ACT
from tests.unit.github_hub import Served, refused, served
from tests.unit.pushing import Clone

__all__ = ["served"]
pytestmark = pytest.mark.toolchain

Commit = Callable[[str, str], None]

CI = """
name: CI
on:
  push:
  workflow_dispatch:
    inputs:
      version: {required: true}
      force: {type: boolean, default: false}
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - run: echo "$VERSION ${{ inputs.force }}"
        env: {VERSION: "${{ inputs.version }}"}
      - if: ${{ inputs.force }}
        run: echo forced
"""


@pytest.fixture
def running(served: Served) -> Iterator[Actions]:
    if not (ACT.exists() and PROGRAM.exists()):
        pytest.skip("act and workflow-expressions are not built; `make toolchain` builds them")
    actions = Actions(served.hub, environment=dict)
    served.hub.listen(actions.on_event)
    actions.start()
    yield actions
    actions.stop()


@pytest.fixture
def commit(served: Served, tmp_path: Path) -> Callable[[str, str], None]:
    """Commits a file on main and pushes it, as the developer."""
    url = f"{served.url}/example-org/fieldwork.git"
    clone = Clone(tmp_path / "clone", url, "developer", served.tokens["developer"])

    def push(path: str, text: str) -> None:
        clone.commit(path, text, path)
        clone.git("push", "--quiet", "origin", "HEAD:main")

    return push


def wait(actions: Actions) -> None:
    assert actions.settle(30), "the runs did not come to rest"


def logs(served: Served, of: str) -> httpx.Response:
    """What the API sends us to; the address is good without a token, and by its signature."""
    answer = served.raw.get(f"/repos/example-org/fieldwork/actions/{of}/logs")
    assert answer.status_code == 302, answer.text
    there = answer.headers["location"]
    assert httpx.get(there[:-1] + ("0" if there[-1] != "0" else "1")).status_code == 403
    return httpx.get(there)


def until(found: Callable[[], Any], seconds: float = 20) -> Any:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def test_a_commit_through_the_api_runs_and_everything_of_it_is_shown(
    served: Served, running: Actions, commit: Commit
) -> None:
    commit(".github/workflows/ci.yml", CI)
    wait(running)
    (run,) = served.repo.get_workflow_runs(event="push")
    assert (run.name, run.status, run.conclusion) == ("CI", "completed", "success")
    (job,) = run.jobs()
    assert [step.name for step in job.steps] == [
        'Run echo "$VERSION "',
        ("Run echo forced"),
    ]
    assert "##[group]Run echo" in logs(served, f"jobs/{job.id}").text
    packed = logs(served, f"runs/{run.id}")
    assert zipfile.ZipFile(io.BytesIO(packed.content)).namelist() == ["0_build.txt"]
    for address in (run.html_url, job.html_url, f"{served.url}/example-org/fieldwork/actions"):
        page = httpx.get(address)
        assert page.status_code == 200
        assert "✓ success" in page.text
        assert "refresh" not in page.text
    assert list(served.repo.get_workflow_runs(branch="nothing")) == []
    assert [w.path for w in served.repo.get_workflows()] == [".github/workflows/ci.yml"]


def test_a_dispatch_takes_inputs_and_refuses_wrong_ones(
    served: Served, running: Actions, commit: Commit
) -> None:
    commit(".github/workflows/ci.yml", CI)
    wait(running)
    workflow = served.repo.get_workflow("ci.yml")
    path = f"/repos/example-org/fieldwork/actions/workflows/{workflow.id}/dispatches"

    def dispatch(**inputs: Any) -> Any:
        return served.raw.post(path, json={"ref": "main", "inputs": inputs})

    assert dispatch().json()["message"] == "Required input 'version' not provided"
    assert "Unexpected inputs" in dispatch(version="1", other="2").json()["message"]
    assert dispatch(version="1.2", force="true").status_code == 204
    wait(running)
    (run,) = served.repo.get_workflow_runs(event="workflow_dispatch")
    (job,) = run.jobs()
    assert "1.2 true" in logs(served, f"jobs/{job.id}").text
    assert [step.conclusion for step in job.steps] == ["success", "success"]


def test_a_run_is_cancelled_and_run_again(served: Served, running: Actions, commit: Commit) -> None:
    text = "{name: Slow, on: push, jobs: {a: {runs-on: x, steps: [{run: exec sleep 60}]}}}"
    commit(".github/workflows/slow.yml", text)
    run = until(lambda: next(iter(served.repo.get_workflow_runs(status="in_progress")), None))
    assert run.cancel()
    wait(running)
    run.update()
    assert (run.status, run.conclusion, run.run_attempt) == ("completed", "cancelled", 1)
    assert not run.cancel()
    assert run.rerun()
    until(lambda: served.repo.get_workflow_run(run.id).status == "in_progress")
    answer = served.raw.post(f"/repos/example-org/fieldwork/actions/runs/{run.id}/force-cancel")
    assert answer.status_code == 202
    wait(running)
    run.update()
    assert (run.conclusion, run.run_attempt) == ("cancelled", 2)
    attempts = f"/repos/example-org/fieldwork/actions/runs/{run.id}/attempts/1/jobs"
    assert served.raw.get(attempts).json()["total_count"] == 1


def test_only_a_reviewer_of_the_environment_lets_a_job_go(
    served: Served, running: Actions, commit: Commit
) -> None:
    reviewer = next(u for u in served.hub.store.all("user") if u["login"] == "reviewer")
    served.raw.put(
        "/repos/example-org/fieldwork/environments/prod",
        json={"reviewers": [{"type": "User", "id": reviewer["id"]}]},
    )
    text = (
        "{name: D, on: push, jobs: {deploy: {runs-on: x, environment: {name: prod, "
        "url: 'https://prod.example.org'}, steps: [{run: echo live}]}}}"
    )
    commit(".github/workflows/d.yml", text)
    wait(running)
    (run,) = served.repo.get_workflow_runs()
    assert run.status == "waiting"
    path = f"/repos/example-org/fieldwork/actions/runs/{run.id}/pending_deployments"
    (pending,) = served.raw.get(path).json()
    assert (pending["environment"]["name"], pending["current_user_can_approve"]) == ("prod", False)
    body = {"environment_ids": [pending["environment"]["id"]], "state": "approved", "comment": "ok"}
    assert served.http("developer").post(path, json=body).status_code == 422
    answer = served.http("reviewer").post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()[0]["environment"] == "prod"
    wait(running)
    run.update()
    assert run.conclusion == "success"
    deployment = served.repo.get_deployments(environment="prod")[0]
    states = [(s.state, s.environment_url) for s in deployment.get_statuses()]
    assert states[0] == ("success", "https://prod.example.org")
    assert [s for s, _ in states][::-1] == ["pending", "queued", "in_progress", "success"]
    approvals = served.raw.get(path.replace("pending_deployments", "approvals")).json()
    assert [(a["user"]["login"], a["state"]) for a in approvals] == [("reviewer", "approved")]


def test_outsiders_start_and_stop_nothing(served: Served, running: Actions, commit: Commit) -> None:
    commit(".github/workflows/ci.yml", CI)
    wait(running)
    run = served.repo.get_workflow_runs()[0]
    stranger = served.http("outsider")
    assert (
        stranger.post(f"/repos/example-org/fieldwork/actions/runs/{run.id}/rerun").status_code
        == 404
    )
    assert "already" not in refused(
        404, served.client("outsider").get_repo, "example-org/fieldwork"
    )


def test_a_job_checks_its_repository_out_over_http_with_its_own_token(
    served: Served, running: Actions, commit: Commit
) -> None:
    text = """
name: C
on: push
permissions: {%s}
jobs:
  a:
    runs-on: x
    steps:
      - uses: actions/checkout@v4
        with: {fetch-depth: 0}
      - run: git log --oneline | wc -l; git push origin HEAD:refs/heads/other
"""
    commit(".github/workflows/c.yml", text % "contents: write")
    wait(running)
    runs = {run.display_title: run.conclusion for run in served.repo.get_workflow_runs()}
    # The push of `other` was the run's own: it started nothing.
    assert runs == {".github/workflows/c.yml": "success"}
    refs = served.hub.git(served.hub.repository("example-org", "fieldwork")).refs()
    assert refs["refs/heads/other"] == refs["refs/heads/main"]


def test_a_workflow_is_switched_off_and_on_and_its_jobs_run_again(
    served: Served, running: Actions, commit: Commit
) -> None:
    text = (
        "{name: Half, on: [push, repository_dispatch], jobs: {good: {runs-on: x, steps: [{run: "
        "'true'}]}, bad: {runs-on: x, steps: [{run: 'false'}]}}}"
    )
    commit(".github/workflows/half.yml", text)
    wait(running)
    under = "/repos/example-org/fieldwork"
    workflow = served.repo.get_workflow("half.yml")
    switch = f"{under}/actions/workflows/{workflow.id}"
    assert served.raw.put(f"{switch}/disable").status_code == 204
    told = {"event_type": "poke", "client_payload": {"x": 1}}
    assert served.raw.post(f"{under}/dispatches", json=told).status_code == 204
    wait(running)
    assert [run.event for run in served.repo.get_workflow_runs()] == ["push"]
    assert served.raw.put(f"{switch}/enable").status_code == 204
    assert served.raw.post(f"{under}/dispatches", json=told).status_code == 204
    wait(running)
    (first, run) = served.repo.get_workflow_runs()
    assert (first.event, run.conclusion) == ("repository_dispatch", "failure")
    assert run.rerun_failed_jobs()
    wait(running)
    again = {job.name: job for job in served.repo.get_workflow_run(run.id).jobs()}
    assert again["bad"].run_attempt == 2
    answer = served.raw.post(f"{under}/actions/jobs/{again['bad'].id}/rerun")
    assert answer.status_code == 201
    wait(running)
    assert served.repo.get_workflow_run(run.id).run_attempt == 3
    assert run.delete()
    assert [each.id for each in served.repo.get_workflow_runs()] == [first.id]
