"""Runs of workflows: listed, cancelled, run again, deleted; and their logs."""

from sandbox.github.actions import records
from sandbox.github.actions.pages import log_address
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, not_found, refused
from sandbox.github.listing import page
from sandbox.github.resources import workflows
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_MANY = "/repos/{owner}/{repo}/actions/runs"
_ONE = _MANY + "/{run_id}"


@routes.get(_MANY, permission="actions:read")
def list_runs(call: Call) -> Answer:
    """Newest first; by actor, branch, event, status or conclusion, sha, time."""
    return _page(call, call.store.all("run", call.full_name))


@routes.get("/repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs", permission="actions:read")
def list_of_workflow(call: Call) -> Answer:
    """The same, of one workflow."""
    number = workflows.of(call)["id"]
    found = call.store.all("run", call.full_name)
    return _page(call, [run for run in found if run["workflow_id"] == number])


@routes.get(_ONE, permission="actions:read")
def get(call: Call) -> Answer:
    """One run."""
    return Answer(records.run_shape(call.hub, of(call)))


@routes.get(_ONE + "/attempts/{attempt_number}", permission="actions:read")
def get_attempt(call: Call) -> Answer:
    """One attempt of it."""
    run, number = of(call), int(call.params["attempt_number"])
    if not 1 <= number <= run["run_attempt"]:
        raise not_found()
    return Answer({**records.run_shape(call.hub, run), "run_attempt": number})


@routes.delete(_ONE, permission="actions:write")
def delete(call: Call) -> Answer:
    """Forget one that is done."""
    run = of(call)
    if run["status"] != records.DONE:
        raise GithubError(403, "Could not delete the workflow run")
    for job in records.jobs(call.hub, run, 0):
        call.store.remove("job", job["id"])
    call.store.remove("run", run["id"])
    return Answer(status=204)


@routes.post(_ONE + "/cancel", permission="actions:write")
def cancel(call: Call) -> Answer:
    """End it in good order."""
    return _stop(call, "cancel", 409)


@routes.post(_ONE + "/force-cancel", permission="actions:write")
def force_cancel(call: Call) -> Answer:
    """End it at once."""
    return _stop(call, "force-cancel", 409)


@routes.post(_ONE + "/rerun", permission="actions:write")
def rerun(call: Call) -> Answer:
    """All its jobs again, on the same commit."""
    return _again(call, of(call), [])


@routes.post(_ONE + "/rerun-failed-jobs", permission="actions:write")
def rerun_failed(call: Call) -> Answer:
    """Those that did not succeed, and what needs them."""
    run = of(call)
    done = [job["key"] for job in records.jobs(call.hub, run) if job["conclusion"] == "success"]
    return _again(call, run, done)


@routes.get(_ONE + "/logs", permission="actions:read")
def logs(call: Call) -> Answer:
    """Where the logs of all jobs are, as a zip."""
    return Answer(status=302, headers={"location": log_address(call.hub, "run", of(call)["id"])})


@routes.get(_ONE + "/artifacts", permission="actions:read")
def artifacts(call: Call) -> Answer:
    """None: nothing here keeps them."""
    of(call)
    return Answer({"total_count": 0, "artifacts": []})


@routes.get(_ONE + "/timing", permission="actions:read")
def timing(call: Call) -> Answer:
    """What it costs: nothing."""
    of(call)
    return Answer({"billable": {}})


@routes.get(_ONE + "/approvals", permission="actions:read")
def approvals(call: Call) -> Answer:
    """Who has agreed to, or refused, which deployment."""
    number = of(call)["id"]
    found = [a for a in call.store.all("approval", call.full_name) if a["run_id"] == number]
    return Answer([{k: a[k] for k in ("environments", "state", "user", "comment")} for a in found])


def of(call: Call) -> Record:
    """The run the path names. Raises 404."""
    found = call.store.get("run", call.params["run_id"], call.full_name)
    if found is None:
        raise not_found()
    return found


def _page(call: Call, found: list[Record]) -> Answer:
    wanted = {
        "actor": call.asked("actor"),
        "head_branch": call.asked("branch"),
        "event": call.asked("event"),
        "head_sha": call.asked("head_sha"),
    }
    status, created = call.asked("status"), call.asked("created")
    kept = [
        run
        for run in reversed(found)
        if all(value in ("", run[name]) for name, value in wanted.items())
        and status in ("", run["status"], run["conclusion"])
        and _within(run["created_at"], created)
    ]
    return page(call, kept, lambda run: records.run_shape(call.hub, run), under="workflow_runs")


def _within(stamp: str, asked: str) -> bool:
    """`>=2026-01-01`, `<…`, `a..b` or a day, as search has it; times compare as texts."""
    if not asked:
        return True
    if ".." in asked:
        low, high = asked.split("..", 1)
        return (low in ("*", "") or stamp >= low) and (high in ("*", "") or stamp <= high + "~")
    for sign, later in ((">=", True), ("<=", False), (">", True), ("<", False)):
        if asked.startswith(sign):
            value = asked.removeprefix(sign)
            # `~` sorts after every time of a day.
            if later:
                return stamp >= value if "=" in sign else stamp > value + "~"
            return stamp <= value + "~" if "=" in sign else stamp < value
    return stamp.startswith(asked)


def _stop(call: Call, action: str, status: int) -> Answer:
    run = of(call)
    if run["status"] == records.DONE:
        raise GithubError(status, "Cannot cancel a workflow run that is completed.")
    workflows.command(call, action, run)
    return Answer({}, 202)


def _again(call: Call, run: Record, keep: list[str]) -> Answer:
    if run["status"] != records.DONE:
        raise refused("This workflow run is already running")
    workflows.command(call, "rerun", run, keep=keep)
    return Answer({}, 201)
