"""Deployments and their statuses: what is told of who deployed what to where.

Workflows' jobs that name an environment make them by these functions, everybody else through the
API (resources/deployments.py). Records: `deployment` and `deployment_status`, project = the
repository's full name.
"""

from typing import Any

from sandbox.github import accounts
from sandbox.github.errors import invalid
from sandbox.github.hub import Hub
from sandbox.store import Record

STATES = ("error", "failure", "inactive", "in_progress", "queued", "pending", "success")


def create(
    hub: Hub,
    repository: Record,
    creator: str,
    *,
    ref: str,
    sha: str,
    environment: str = "production",
    task: str = "deploy",
    description: str = "",
    payload: Any = None,
    transient: bool = False,
    production: bool | None = None,
) -> Record:
    """A new deployment of a commit; it has no status yet."""
    now = hub.now()
    record = {
        "ref": ref,
        "sha": sha,
        "task": task,
        "environment": environment,
        "original_environment": environment,
        "description": description,
        "payload": {} if payload is None else payload,
        "creator": creator,
        "transient": transient,
        "production": environment == "production" if production is None else production,
        "created_at": now,
        "updated_at": now,
    }
    return hub.store.add("deployment", repository["full_name"], record)


def set_status(
    hub: Hub,
    deployment: Record,
    creator: str,
    state: str,
    *,
    description: str = "",
    environment_url: str = "",
    log_url: str = "",
    environment: str = "",
    auto_inactive: bool = True,
) -> Record:
    """A new status, its newest. A success makes older ones of the same environment inactive.

    Raises 422 for a state that GitHub does not know.
    """
    if state not in STATES:
        raise invalid("DeploymentStatus", "state")
    if environment:
        hub.store.change("deployment", deployment["id"], environment=environment)
    current = hub.store.get("deployment", deployment["id"]) or deployment
    if state == "success" and auto_inactive:
        for older in hub.store.all("deployment", deployment["project"]):
            same = older["environment"] == current["environment"]
            lives = not older["transient"] and not older["production"]
            if same and lives and older["id"] != deployment["id"] and state_of(hub, older) in _LIVE:
                _add(hub, older, creator, "inactive")
    return _add(hub, current, creator, state, description, environment_url, log_url)


_LIVE = ("success",)


def _add(
    hub: Hub,
    deployment: Record,
    creator: str,
    state: str,
    description: str = "",
    environment_url: str = "",
    log_url: str = "",
) -> Record:
    now = hub.now()
    record = {
        "deployment": deployment["id"],
        "state": state,
        "description": description[:140],
        "environment": deployment["environment"],
        "environment_url": environment_url,
        "log_url": log_url,
        "creator": creator,
        "created_at": now,
        "updated_at": now,
    }
    hub.store.change("deployment", deployment["id"], updated_at=now)
    return hub.store.add("deployment_status", deployment["project"], record)


def statuses(hub: Hub, deployment: Record) -> list[Record]:
    """Newest first."""
    found = hub.store.all("deployment_status", deployment["project"])
    return [s for s in reversed(found) if s["deployment"] == deployment["id"]]


def state_of(hub: Hub, deployment: Record) -> str:
    """The newest status' state; "" before the first."""
    return next((status["state"] for status in statuses(hub, deployment)), "")


def shape(hub: Hub, deployment: Record) -> dict[str, Any]:
    """A deployment as the API shows it."""
    repository = f"{hub.api}/repos/{deployment['project']}"
    address = f"{repository}/deployments/{deployment['id']}"
    return {
        "url": address,
        "id": deployment["id"],
        "node_id": f"DE_{deployment['id']}",
        "sha": deployment["sha"],
        "ref": deployment["ref"],
        "task": deployment["task"],
        "payload": deployment["payload"],
        "original_environment": deployment["original_environment"],
        "environment": deployment["environment"],
        "description": deployment["description"],
        "creator": accounts.simple(hub, deployment["creator"]),
        "created_at": deployment["created_at"],
        "updated_at": deployment["updated_at"],
        "statuses_url": f"{address}/statuses",
        "repository_url": repository,
        "transient_environment": deployment["transient"],
        "production_environment": deployment["production"],
        "performed_via_github_app": None,
    }


def status_shape(hub: Hub, status: Record) -> dict[str, Any]:
    """A deployment's status as the API shows it."""
    repository = f"{hub.api}/repos/{status['project']}"
    deployment = f"{repository}/deployments/{status['deployment']}"
    return {
        "url": f"{deployment}/statuses/{status['id']}",
        "id": status["id"],
        "node_id": f"DES_{status['id']}",
        "state": status["state"],
        "creator": accounts.simple(hub, status["creator"]),
        "description": status["description"],
        "environment": status["environment"],
        "target_url": status["log_url"],
        "created_at": status["created_at"],
        "updated_at": status["updated_at"],
        "deployment_url": deployment,
        "repository_url": repository,
        "environment_url": status["environment_url"],
        "log_url": status["log_url"],
        "performed_via_github_app": None,
    }
