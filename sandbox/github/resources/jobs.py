"""Jobs of runs, and what they printed."""

from sandbox.github.actions import records
from sandbox.github.actions.jobs import log_of
from sandbox.github.actions.pages import log_address
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, not_found
from sandbox.github.listing import page
from sandbox.github.resources import runs, workflows
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_RUN = "/repos/{owner}/{repo}/actions/runs/{run_id}"
_ONE = "/repos/{owner}/{repo}/actions/jobs/{job_id}"


@routes.get(_RUN + "/jobs", permission="actions:read")
def list_jobs(call: Call) -> Answer:
    """Of the newest attempt, or of all with `filter=all`."""
    attempt = 0 if call.asked("filter") == "all" else None
    return _page(call, records.jobs(call.hub, runs.of(call), attempt))


@routes.get(_RUN + "/attempts/{attempt_number}/jobs", permission="actions:read")
def list_of_attempt(call: Call) -> Answer:
    """Of one attempt."""
    number = call.params["attempt_number"]
    if not number.isdecimal() or int(number) < 1:
        raise not_found()
    return _page(call, records.jobs(call.hub, runs.of(call), int(number)))


@routes.get(_ONE, permission="actions:read")
def get(call: Call) -> Answer:
    """One job."""
    return Answer(records.job_shape(call.hub, of(call)))


@routes.get(_ONE + "/logs", permission="actions:read")
def logs(call: Call) -> Answer:
    """Where its log is, as text. Raises 404 before it has one."""
    job = of(call)
    if not log_of(call.hub, job).exists():
        raise not_found()
    return Answer(status=302, headers={"location": log_address(call.hub, "job", job["id"])})


@routes.post(_ONE + "/rerun", permission="actions:write")
def rerun(call: Call) -> Answer:
    """This job again, and those that need it."""
    job = of(call)
    run = call.store.get("run", job["run_id"]) or {}
    if run["status"] != records.DONE:
        raise GithubError(403, "The workflow run containing this job is already running")
    others = [
        other["key"]
        for other in records.jobs(call.hub, run)
        if other["conclusion"] == "success" and other["id"] < job["id"]
    ]
    workflows.command(call, "rerun", run, keep=others)
    return Answer({}, 201)


def of(call: Call) -> Record:
    """The job the path names. Raises 404."""
    found = call.store.get("job", call.params["job_id"], call.full_name)
    if found is None:
        raise not_found()
    return found


def _page(call: Call, found: list[Record]) -> Answer:
    return page(call, found, lambda job: records.job_shape(call.hub, job), under="jobs")
