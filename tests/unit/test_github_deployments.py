"""Deployments, commit statuses and check runs, through the API and as jobs make them."""

import pytest

from sandbox.github import checks, deployments
from sandbox.store import Record
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served, refused
from tests.unit.github_hub import served as served

PATH = f"/repos/{FULL_NAME}/deployments"


@pytest.fixture(autouse=True)
def sha(served: Served) -> str:
    """A first commit's."""
    made = push(served, "main", {"a.txt": "one\n"}, who="maintainer")
    served.told()
    return made


def repository(served: Served) -> Record:
    """The record of `fieldwork`."""
    return served.hub.repository("example-org", "fieldwork")


def test_a_deployment_tells_where_and_what(served: Served, sha: str) -> None:
    developer = served.client("developer").get_repo(FULL_NAME)
    made = developer.create_deployment(
        "main", environment="dev", description="A push", payload={"version": "1"}
    )
    assert (made.ref, made.sha, made.environment) == ("main", sha, "dev")
    status = made.create_status(
        "success", environment_url="http://dev.example", target_url="http://log.example"
    )
    assert (status.environment_url, status.environment) == ("http://dev.example", "dev")
    assert [s.state for s in made.get_statuses()] == ["success"]
    assert made.get_status(status.id).state == "success"
    told = [(e.name, e.ref, e.actor) for e in served.events]
    assert told == [
        ("deployment", "refs/heads/main", "developer"),
        ("deployment_status", "refs/heads/main", "developer"),
    ]
    assert [d.id for d in served.repo.get_deployments(environment="dev")] == [made.id]
    assert list(served.repo.get_deployments(environment="prod")) == []
    # Naming an environment made it.
    assert [e.name for e in served.repo.get_environments()] == ["dev"]
    assert served.raw.get(f"{PATH}?sha={sha}&ref=main").json()[0]["payload"] == {"version": "1"}
    message = refused(422, developer.create_deployment, "nothing", environment="dev")
    assert message == "No ref found for: nothing"
    refused(422, made.create_status, "splendid")


def test_a_success_makes_older_ones_of_its_environment_inactive(served: Served) -> None:
    def deployed(environment: str, **more: object) -> int:
        body = {"ref": "main", "environment": environment, **more}
        number = int(served.raw.post(PATH, json=body).json()["id"])
        served.raw.post(f"{PATH}/{number}/statuses", json={"state": "success"})
        return number

    def state(number: int) -> str:
        return str(served.raw.get(f"{PATH}/{number}/statuses").json()[0]["state"])

    production, first, other = deployed("production"), deployed("dev"), deployed("demo")
    second = deployed("dev")
    deployed("production")
    assert [state(n) for n in (first, second, other)] == ["inactive", "success", "success"]
    # Production's are left as they are.
    assert state(production) == "success"
    assert served.raw.delete(f"{PATH}/{second}").status_code == 422
    assert served.raw.delete(f"{PATH}/{first}").status_code == 204
    assert served.raw.get(f"{PATH}/{first}").status_code == 404


def test_checks_that_failed_forbid_a_deployment(served: Served, sha: str) -> None:
    path = f"/repos/{FULL_NAME}/statuses/{sha}"
    served.raw.post(path, json={"state": "failure", "context": "ci"})
    body = {"ref": "main", "environment": "dev"}
    answer = served.raw.post(PATH, json=body)
    assert answer.status_code == 409
    assert answer.json()["message"] == "Conflict: Commit status checks failed for main."
    assert served.raw.post(PATH, json={**body, "required_contexts": []}).status_code == 201
    answer = served.raw.post(PATH, json={**body, "required_contexts": ["lint"]})
    assert answer.status_code == 409
    served.raw.post(path, json={"state": "success", "context": "ci"})
    assert served.raw.post(PATH, json=body).status_code == 201


def test_a_branch_behind_the_default_one_is_merged_first(served: Served) -> None:
    push(served, "feature")
    push(served, "main", message="Meanwhile", who="maintainer")
    body = {"ref": "feature", "environment": "dev"}
    assert served.raw.post(PATH, json={**body, "auto_merge": False}).status_code == 201
    served.told()
    answer = served.raw.post(PATH, json=body)
    assert answer.status_code == 202
    assert answer.json()["message"] == "Auto-merged main into feature on deployment."
    assert served.told() == ["push refs/heads/feature"]
    assert served.raw.post(PATH, json=body).status_code == 201


def test_who_may_only_read_deploys_nothing(served: Served) -> None:
    served.repo.edit(private=False)
    outsider = served.http("outsider")
    assert outsider.post(PATH, json={"ref": "main"}).status_code == 403
    assert outsider.get(PATH).status_code == 200
    token = served.hub.tokens.mint("developer", "fine_grained", permissions={"contents": "write"})
    answer = served.http(token=token).post(PATH, json={"ref": "main"})
    assert answer.headers["x-accepted-github-permissions"] == "deployments=write"


def test_jobs_make_deployments_without_an_event(served: Served, sha: str) -> None:
    made = deployments.create(
        served.hub, repository(served), "maintainer", ref="main", sha=sha, environment="dev"
    )
    assert deployments.state_of(served.hub, made) == ""
    deployments.set_status(
        served.hub, made, "github-actions[bot]", "in_progress", log_url="http://log"
    )
    assert served.repo.get_deployment(made["id"]).get_statuses()[0].state == "in_progress"
    assert deployments.state_of(served.hub, made) == "in_progress"
    assert served.told() == []


def test_statuses_of_a_commit_are_one_state_together(served: Served, sha: str) -> None:
    commit = f"/repos/{FULL_NAME}/commits/main"
    assert served.raw.get(f"{commit}/status").json()["state"] == "pending"
    path = f"/repos/{FULL_NAME}/statuses/{sha}"
    served.raw.post(path, json={"state": "failure", "context": "ci", "description": "no"})
    served.raw.post(path, json={"state": "success", "context": "lint"})
    combined = served.raw.get(f"{commit}/status").json()
    assert (combined["state"], combined["total_count"], combined["sha"]) == ("failure", 2, sha)
    served.raw.post(path, json={"state": "success", "context": "ci"})
    assert served.raw.get(f"{commit}/status").json()["state"] == "success"
    listed = served.raw.get(f"{commit}/statuses").json()
    assert [s["state"] for s in listed] == ["success", "success", "failure"]
    found = served.repo.get_commit(sha).get_statuses()
    assert [status.context for status in found] == ["ci", "lint", "ci"]
    assert served.raw.post(path, json={"state": "fine"}).status_code == 422
    assert served.raw.get(f"/repos/{FULL_NAME}/commits/lost/status").status_code == 422
    assert {event.name for event in served.events} == {"status"}


def test_check_runs_are_made_by_apps_and_seen_by_all(served: Served, sha: str) -> None:
    run = checks.create(served.hub, repository(served), "build", sha, status="in_progress")
    assert checks.contexts(served.hub, FULL_NAME, sha) == {"build": "pending"}
    checks.update(served.hub, run, conclusion="skipped", output={"title": "t", "summary": "s"})
    assert checks.contexts(served.hub, FULL_NAME, sha) == {"build": "success"}
    commit = f"/repos/{FULL_NAME}/commits/main"
    found = served.raw.get(f"{commit}/check-runs").json()
    assert found["total_count"] == 1
    shown = found["check_runs"][0]
    assert (shown["status"], shown["conclusion"]) == ("completed", "skipped")
    assert (shown["output"]["title"], shown["app"]["slug"]) == ("t", "github-actions")
    suites = served.raw.get(f"{commit}/check-suites").json()["check_suites"]
    assert [(s["status"], s["conclusion"]) for s in suites] == [("completed", "success")]
    path = f"/repos/{FULL_NAME}/check-suites/{suites[0]['id']}"
    assert served.raw.get(path).json()["id"] == suites[0]["id"]
    assert served.raw.get(f"{path}/check-runs").json()["total_count"] == 1
    runs = f"/repos/{FULL_NAME}/check-runs"
    answer = served.raw.post(runs, json={"name": "mine", "head_sha": sha})
    assert answer.status_code == 403
    token = served.hub.tokens.mint(
        "github-actions[bot]",
        "workflow",
        permissions={"checks": "write"},
        repositories=[FULL_NAME],
    )
    bot = served.http(token=token)
    made = bot.post(runs, json={"name": "build", "head_sha": sha}).json()
    assert served.raw.get(f"{runs}/{made['id']}").json()["status"] == "queued"
    # Of each name only the newest, unless all are asked for.
    assert served.raw.get(f"{commit}/check-runs").json()["total_count"] in (1, 2)
    assert served.raw.get(f"{commit}/check-runs?filter=all").json()["total_count"] == 2
    done = bot.patch(f"{runs}/{made['id']}", json={"conclusion": "failure"}).json()
    assert (done["status"], done["conclusion"]) == ("completed", "failure")
    assert done["completed_at"]
    assert checks.contexts(served.hub, FULL_NAME, sha) == {"build": "failure"}
    assert bot.patch(f"{runs}/{made['id']}", json={"conclusion": "odd"}).status_code == 422
    assert served.raw.get(f"{runs}/{made['id']}/annotations").json() == []
