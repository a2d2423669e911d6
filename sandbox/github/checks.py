"""Check runs and commit statuses: what machines say of a commit.

Workflows' jobs are check runs made by these functions; anybody with write access sets statuses
through the API (resources/statuses.py). Records: `check_run`, `check_suite` and `status`, project
= the repository's full name.
"""

from typing import Any

from sandbox.github import accounts, payloads
from sandbox.github.errors import invalid
from sandbox.github.hub import Hub
from sandbox.store import Record

STATES = ("error", "failure", "pending", "success")
CONCLUSIONS = (
    *("action_required", "cancelled", "failure", "neutral", "success", "skipped"),
    *("stale", "timed_out"),
)
# The number GitHub Actions has among apps: a rule may ask for a check of this app.
ACTIONS_APP = 15368
_GOOD = ("success", "neutral", "skipped")


def create(
    hub: Hub,
    repository: Record,
    name: str,
    head_sha: str,
    *,
    status: str = "queued",
    conclusion: str | None = None,
    details_url: str = "",
    external_id: str = "",
    suite: str = "",
    head_branch: str = "",
    output: dict[str, Any] | None = None,
    app: str = "github-actions",
) -> Record:
    """A new check run. `suite` groups those of one workflow run; by default one a commit."""
    record = {
        "name": name,
        "head_sha": head_sha,
        "status": status,
        "conclusion": None,
        "details_url": details_url,
        "external_id": external_id,
        "suite": _suite(hub, repository, head_sha, suite, head_branch, app)["id"],
        "output": {"title": None, "summary": None, "text": None, **(output or {})},
        "app": app,
        "started_at": hub.now(),
        "completed_at": None,
    }
    added = hub.store.add("check_run", repository["full_name"], record)
    return update(hub, added, conclusion=conclusion) if conclusion else added


def update(hub: Hub, run: Record, **changes: Any) -> Record:
    """Change a check run: status, conclusion (which completes it), details_url, output, name.

    Raises 422 for a conclusion that GitHub does not know.
    """
    if changes.get("conclusion"):
        if changes["conclusion"] not in CONCLUSIONS:
            raise invalid("CheckRun", "conclusion")
        changes = {"completed_at": hub.now(), **changes, "status": "completed"}
    if "output" in changes:
        changes["output"] = {**run["output"], **changes["output"]}
    changed = hub.store.change("check_run", run["id"], **changes) or run
    hub.store.change("check_suite", changed["suite"], updated_at=hub.now())
    return changed


def runs(hub: Hub, full_name: str, sha: str) -> list[Record]:
    """A commit's check runs, newest first."""
    found = hub.store.all("check_run", full_name)
    return [run for run in reversed(found) if run["head_sha"] == sha]


def set_status(
    hub: Hub,
    repository: Record,
    creator: str,
    sha: str,
    state: str,
    *,
    context: str = "default",
    description: str | None = None,
    target_url: str | None = None,
) -> Record:
    """A new status of a commit under a context. Raises 422 for an unknown state."""
    if state not in STATES:
        raise invalid("Status", "state")
    now = hub.now()
    record = {
        "sha": sha, "state": state, "context": context, "description": description,
        "target_url": target_url, "creator": creator, "created_at": now, "updated_at": now,
    }  # fmt: skip
    return hub.store.add("status", repository["full_name"], record)


def statuses(hub: Hub, full_name: str, sha: str) -> list[Record]:
    """Every status of a commit, newest first."""
    return [s for s in reversed(hub.store.all("status", full_name)) if s["sha"] == sha]


def newest_statuses(hub: Hub, full_name: str, sha: str) -> list[Record]:
    """The newest status of each context."""
    newest: dict[str, Record] = {}
    for status in statuses(hub, full_name, sha):
        newest.setdefault(status["context"], status)
    return list(newest.values())


def contexts(hub: Hub, full_name: str, sha: str) -> dict[str, str]:
    """Context or check's name → success, pending or failure; the newest of each counts."""
    found: dict[str, str] = {}
    for run in runs(hub, full_name, sha):
        result = "pending"
        if run["status"] == "completed":
            result = "success" if run["conclusion"] in _GOOD else "failure"
        found.setdefault(run["name"], result)
    for status in newest_statuses(hub, full_name, sha):
        found[status["context"]] = "failure" if status["state"] == "error" else status["state"]
    return found


def _suite(hub: Hub, repository: Record, sha: str, key: str, head_branch: str, app: str) -> Record:
    for suite in hub.store.all("check_suite", repository["full_name"]):
        if suite["head_sha"] == sha and suite["key"] == key and suite["app"] == app:
            return suite
    now = hub.now()
    record = {
        "head_sha": sha,
        "key": key,
        "head_branch": head_branch or None,
        "app": app,
        "created_at": now,
        "updated_at": now,
    }
    return hub.store.add("check_suite", repository["full_name"], record)


def run_shape(hub: Hub, run: Record) -> dict[str, Any]:
    """A check run as the API shows it."""
    repository = f"{hub.api}/repos/{run['project']}"
    address = f"{repository}/check-runs/{run['id']}"
    html = f"{hub.url}/{run['project']}/runs/{run['id']}"
    return {
        "id": run["id"],
        "head_sha": run["head_sha"],
        "node_id": f"CR_{run['id']}",
        "external_id": run["external_id"],
        "url": address,
        "html_url": html,
        "details_url": run["details_url"] or html,
        "status": run["status"],
        "conclusion": run["conclusion"],
        "started_at": run["started_at"],
        "completed_at": run["completed_at"],
        "output": {
            **run["output"],
            "annotations_count": 0,
            "annotations_url": f"{address}/annotations",
        },
        "name": run["name"],
        "check_suite": {"id": run["suite"]},
        "app": _app(hub, run["app"]),
        "pull_requests": [],
    }


def suite_shape(hub: Hub, repository: Record, suite: Record) -> dict[str, Any]:
    """A check suite as the API shows it: all its runs in one."""
    found = [r for r in hub.store.all("check_run", suite["project"]) if r["suite"] == suite["id"]]
    done = all(run["status"] == "completed" for run in found)
    bad = [run["conclusion"] for run in found if run["conclusion"] not in _GOOD]
    address = f"{hub.api}/repos/{suite['project']}/check-suites/{suite['id']}"
    commit = hub.git(repository).commit(suite["head_sha"])
    return {
        "id": suite["id"],
        "node_id": f"CS_{suite['id']}",
        "head_branch": suite["head_branch"],
        "head_sha": suite["head_sha"],
        "status": "completed" if done else "in_progress",
        "conclusion": (bad[0] if bad else "success") if done else None,
        "url": address,
        "before": None,
        "after": suite["head_sha"],
        "pull_requests": [],
        "app": _app(hub, suite["app"]),
        "repository": payloads.repository(hub, repository),
        "created_at": suite["created_at"],
        "updated_at": suite["updated_at"],
        "head_commit": {
            "id": commit.sha,
            "tree_id": commit.tree,
            "message": commit.message,
            "timestamp": commit.committed,
            "author": {"name": commit.author.name, "email": commit.author.email},
            "committer": {"name": commit.committer.name, "email": commit.committer.email},
        },
        "latest_check_runs_count": len(found),
        "check_runs_url": f"{address}/check-runs",
    }


def status_shape(hub: Hub, status: Record) -> dict[str, Any]:
    """A commit's status as the API shows it."""
    creator = accounts.simple(hub, status["creator"])
    return {
        "url": f"{hub.api}/repos/{status['project']}/statuses/{status['sha']}",
        "avatar_url": creator["avatar_url"],
        "id": status["id"],
        "node_id": f"SC_{status['id']}",
        "state": status["state"],
        "description": status["description"],
        "target_url": status["target_url"],
        "context": status["context"],
        "created_at": status["created_at"],
        "updated_at": status["updated_at"],
        "creator": creator,
    }


def combined(hub: Hub, repository: Record, sha: str) -> dict[str, Any]:
    """All statuses of a commit in one: failure if any is, pending if any is or there is none."""
    found = newest_statuses(hub, repository["full_name"], sha)
    states = {status["state"] for status in found}
    state = "pending" if not found or "pending" in states else "success"
    if states & {"failure", "error"}:
        state = "failure"
    address = f"{hub.api}/repos/{repository['full_name']}/commits/{sha}"
    return {
        "state": state,
        "statuses": [status_shape(hub, status) for status in found],
        "sha": sha,
        "total_count": len(found),
        "repository": payloads.repository(hub, repository),
        "commit_url": address,
        "url": f"{address}/status",
    }


def _app(hub: Hub, slug: str) -> dict[str, Any] | None:
    if slug != "github-actions":
        return None
    made = "2018-07-30T09:30:17Z"
    return {
        "id": ACTIONS_APP,
        "slug": slug,
        "node_id": f"A_{ACTIONS_APP}",
        "owner": accounts.simple(hub, "github"),
        "name": "GitHub Actions",
        "description": "Automate your workflow from idea to production",
        "external_url": f"{hub.url}/features/actions",
        "html_url": f"{hub.url}/apps/{slug}",
        "created_at": made,
        "updated_at": made,
        "permissions": {"actions": "write", "checks": "write", "metadata": "read"},
        "events": ["check_run", "check_suite"],
    }
