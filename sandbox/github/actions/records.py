"""What is kept of workflows, their runs and jobs; and how the API shows it.

Records, each with the repository's full name as its project:

workflow  path, name, state: active, disabled_manually, disabled_inactivity
run       workflow_id, event, ref, sha, head_branch, head_sha, status, conclusion, payload, …
job       run_id, attempt, key, name, status, conclusion, steps, outputs, environment, …
approval  run_id, state, comment, user, environments
"""

from collections.abc import Mapping
from typing import Any

from sandbox.github import accounts, payloads
from sandbox.github.hub import Hub
from sandbox.store import Record

DONE = "completed"


def workflow(hub: Hub, full_name: str, path: str, name: str = "") -> Record:
    """The workflow of that file, made when it is new; its name follows the file's."""
    for record in hub.store.all("workflow", full_name):
        if record["path"] == path:
            if name and record["name"] != name:
                hub.store.change("workflow", record["id"], name=name, updated_at=hub.now())
            return {**record, "name": name or record["name"]}
    now = hub.now()
    fresh = {
        "path": path,
        "name": name or path,
        "state": "active",
        "created_at": now,
        "updated_at": now,
    }
    return hub.store.add("workflow", full_name, fresh)


def new_run(hub: Hub, full_name: str, of: Record, **given: Any) -> Record:
    """A run that has not begun."""
    now = hub.now()
    run = {
        "workflow_id": of["id"],
        "path": of["path"],
        "name": of["name"],
        "run_number": hub.store.next_number(f"run-number-{of['id']}"),
        "run_attempt": 1,
        "status": "queued",
        "conclusion": None,
        "created_at": now,
        "updated_at": now,
        "run_started_at": now,
        "error": "",
        "inputs": {},
        "trusted": True,
        **given,
    }
    return hub.store.add("run", full_name, run)


def new_job(hub: Hub, run: Record, **given: Any) -> Record:
    """A job that has not begun."""
    job = {
        "run_id": run["id"],
        "attempt": run["run_attempt"],
        "status": "queued",
        "conclusion": None,
        "steps": [],
        "outputs": {},
        "environment": "",
        "deployment": None,
        "check_run": None,
        "labels": [],
        "reason": "",
        "head_sha": run["head_sha"],
        "head_branch": run["head_branch"],
        "created_at": hub.now(),
        "started_at": None,
        "completed_at": None,
        **given,
    }
    return hub.store.add("job", run["project"], job)


def jobs(hub: Hub, run: Record, attempt: int | None = None) -> list[Record]:
    """The jobs of a run's newest attempt, or of another; of all with 0."""
    wanted = run["run_attempt"] if attempt is None else attempt
    return [
        job
        for job in hub.store.all("job", run["project"])
        if job["run_id"] == run["id"] and wanted in (0, job["attempt"])
    ]


def run_url(hub: Hub, run: Mapping[str, Any]) -> str:
    """The page of a run."""
    return f"{hub.url}/{run['project']}/actions/runs/{run['id']}"


def job_url(hub: Hub, job: Mapping[str, Any]) -> str:
    """The page of a job."""
    return f"{hub.url}/{job['project']}/actions/runs/{job['run_id']}/job/{job['id']}"


def workflow_shape(hub: Hub, record: Record) -> dict[str, Any]:
    """A workflow as the API shows it."""
    address = f"{hub.api}/repos/{record['project']}/actions/workflows/{record['id']}"
    file = record["path"].rpartition("/")[2]
    return {
        "id": record["id"],
        "node_id": f"W_{record['id']}",
        "name": record["name"],
        "path": record["path"],
        "state": record["state"],
        "created_at": record["created_at"],
        "updated_at": record["updated_at"],
        "url": address,
        "html_url": f"{hub.url}/{record['project']}/blob/HEAD/{record['path']}",
        "badge_url": f"{hub.url}/{record['project']}/actions/workflows/{file}/badge.svg",
    }


def run_shape(hub: Hub, run: Record) -> dict[str, Any]:
    """A run as the API shows it."""
    owner, _, name = run["project"].partition("/")
    repository = hub.repository(owner, name)
    address = f"{hub.api}/repos/{run['project']}/actions/runs/{run['id']}"
    commit = hub.git(repository).commit(run["head_sha"])
    whole = payloads.repository(hub, repository)
    suite = next(
        (
            s["id"]
            for s in hub.store.all("check_suite", run["project"])
            if s["key"] == str(run["id"])
        ),
        run["id"],
    )
    return {
        "id": run["id"],
        "name": run["name"],
        "node_id": f"WFR_{run['id']}",
        "check_suite_id": suite,
        "check_suite_node_id": f"CS_{suite}",
        "head_branch": run["head_branch"],
        "head_sha": run["head_sha"],
        "path": run["path"],
        "display_title": run["display_title"],
        "run_number": run["run_number"],
        "event": run["event"],
        "status": run["status"],
        "conclusion": run["conclusion"],
        "workflow_id": run["workflow_id"],
        "url": address,
        "html_url": run_url(hub, run),
        "pull_requests": [],
        "created_at": run["created_at"],
        "updated_at": run["updated_at"],
        "actor": accounts.simple(hub, run["actor"]),
        "triggering_actor": accounts.simple(hub, run["triggering_actor"]),
        "run_attempt": run["run_attempt"],
        "referenced_workflows": run.get("referenced_workflows", []),
        "run_started_at": run["run_started_at"],
        "jobs_url": f"{address}/jobs",
        "logs_url": f"{address}/logs",
        "check_suite_url": f"{hub.api}/repos/{run['project']}/check-suites/{suite}",
        "artifacts_url": f"{address}/artifacts",
        "cancel_url": f"{address}/cancel",
        "rerun_url": f"{address}/rerun",
        "previous_attempt_url": None,
        "workflow_url": f"{hub.api}/repos/{run['project']}/actions/workflows/{run['workflow_id']}",
        "head_commit": {
            "id": commit.sha,
            "tree_id": commit.tree,
            "message": commit.message,
            "timestamp": commit.committed,
            "author": {"name": commit.author.name, "email": commit.author.email},
            "committer": {"name": commit.committer.name, "email": commit.committer.email},
        },
        "repository": whole,
        "head_repository": whole,
    }


def job_shape(hub: Hub, job: Record) -> dict[str, Any]:
    """A job as the API shows it."""
    repository = f"{hub.api}/repos/{job['project']}"
    run = hub.store.get("run", job["run_id"]) or {}
    started = job["started_at"] is not None
    return {
        "id": job["id"],
        "run_id": job["run_id"],
        "workflow_name": run.get("name"),
        "head_branch": job["head_branch"],
        "run_url": f"{repository}/actions/runs/{job['run_id']}",
        "run_attempt": job["attempt"],
        "node_id": f"CR_{job['id']}",
        "head_sha": job["head_sha"],
        "url": f"{repository}/actions/jobs/{job['id']}",
        "html_url": job_url(hub, job),
        "status": job["status"],
        "conclusion": job["conclusion"],
        "created_at": job["created_at"],
        # The API has a time here even for a job that never began.
        "started_at": job["started_at"] or job["created_at"],
        "completed_at": job["completed_at"],
        "name": job["name"],
        "steps": job["steps"],
        "check_run_url": f"{repository}/check-runs/{job['check_run']}",
        "labels": job["labels"],
        "runner_id": 1 if started else None,
        "runner_name": "sandbox" if started else None,
        "runner_group_id": 1 if started else None,
        "runner_group_name": "Default" if started else None,
    }
