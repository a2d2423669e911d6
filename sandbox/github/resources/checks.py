"""Check runs and suites. Only apps may make them: a workflow's token may, a person's may not."""

from sandbox.github import checks
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, not_found, refused
from sandbox.github.listing import page
from sandbox.github.resources.statuses import commit
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_RUNS = "/repos/{owner}/{repo}/check-runs"
_RUN = _RUNS + "/{check_run_id}"
_SUITE = "/repos/{owner}/{repo}/check-suites/{check_suite_id}"
_COMMIT = "/repos/{owner}/{repo}/commits/{ref:path}"
_CHANGEABLE = ("name", "details_url", "external_id", "status", "conclusion", "output")


@routes.post(_RUNS, permission="checks:write")
def create(call: Call) -> Answer:
    """A new one."""
    _only_apps(call)
    name, head = call.need("CheckRun", "name", "head_sha")
    sha = call.hub.git(call.repository).resolve(str(head))
    if sha is None:
        raise refused(f"No commit found for SHA: {head}")
    if call.body.get("status") == "completed" and not call.body.get("conclusion"):
        raise refused("Invalid request.\n\nA completed check run needs a conclusion.")
    run = checks.create(
        call.hub,
        call.repository,
        str(name),
        sha,
        status=call.body.get("status") or "queued",
        conclusion=call.body.get("conclusion"),
        details_url=call.body.get("details_url") or "",
        external_id=call.body.get("external_id") or "",
        output=_output(call),
        app="github-actions" if call.caller.is_workflow else call.caller.login,
    )
    return _told(call, run, "created")


@routes.get(_RUN, permission="checks:read")
def get(call: Call) -> Answer:
    """One check run."""
    return Answer(checks.run_shape(call.hub, _run(call)))


@routes.patch(_RUN, permission="checks:write")
def change(call: Call) -> Answer:
    """Change one; a conclusion completes it."""
    _only_apps(call)
    changes = {key: call.body[key] for key in _CHANGEABLE if key in call.body}
    if "output" in changes:
        changes["output"] = _output(call)
    run = checks.update(call.hub, _run(call), **changes)
    return _told(call, run, "completed" if run["status"] == "completed" else "")


@routes.get(_RUN + "/annotations", permission="checks:read")
def annotations(call: Call) -> Answer:
    """None: they are not kept."""
    _run(call)
    return page(call, [])


@routes.get(_COMMIT + "/check-runs", permission="checks:read")
def list_of_commit(call: Call) -> Answer:
    """A commit's check runs, the newest of each name unless `filter=all`."""
    return _page(call, checks.runs(call.hub, call.full_name, commit(call)))


@routes.get(_SUITE + "/check-runs", permission="checks:read")
def list_of_suite(call: Call) -> Answer:
    """A suite's check runs."""
    suite = _suite(call)
    runs = checks.runs(call.hub, call.full_name, suite["head_sha"])
    return _page(call, [run for run in runs if run["suite"] == suite["id"]])


@routes.get(_SUITE, permission="checks:read")
def get_suite(call: Call) -> Answer:
    """One suite."""
    return Answer(checks.suite_shape(call.hub, call.repository, _suite(call)))


@routes.get(_COMMIT + "/check-suites", permission="checks:read")
def list_suites(call: Call) -> Answer:
    """A commit's suites."""
    sha = commit(call)
    found = [s for s in call.store.all("check_suite", call.full_name) if s["head_sha"] == sha]
    return page(
        call,
        found,
        lambda suite: checks.suite_shape(call.hub, call.repository, suite),
        under="check_suites",
    )


def _page(call: Call, runs: list[Record]) -> Answer:
    name, status = call.asked("check_name"), call.asked("status")
    found: list[Record] = []
    seen: set[tuple[str, int]] = set()
    for run in runs:
        if call.asked("filter", "latest") == "latest" and (run["name"], run["suite"]) in seen:
            continue
        seen.add((run["name"], run["suite"]))
        if name in ("", run["name"]) and status in ("", run["status"]):
            found.append(run)
    return page(call, found, lambda run: checks.run_shape(call.hub, run), under="check_runs")


def _told(call: Call, run: Record, action: str) -> Answer:
    shaped = checks.run_shape(call.hub, run)
    if action:
        default = call.repository["default_branch"]
        event = call.hub.event(
            call.caller,
            call.repository,
            "check_run",
            action=action,
            ref=f"refs/heads/{default}",
            sha=call.hub.git(call.repository).resolve(default) or run["head_sha"],
            payload={"action": action, "check_run": shaped},
        )
        call.events.append(event)
    return Answer(shaped, 201 if action == "created" else 200)


def _output(call: Call) -> dict[str, str | None]:
    given = call.body.get("output") or {}
    return {key: given[key] for key in ("title", "summary", "text") if key in given}


def _only_apps(call: Call) -> None:
    if call.caller.kind not in ("workflow", "installation"):
        raise GithubError(403, "You must authenticate via a GitHub App.")


def _run(call: Call) -> Record:
    record = call.store.get("check_run", call.params["check_run_id"], call.full_name)
    if record is None:
        raise not_found()
    return record


def _suite(call: Call) -> Record:
    record = call.store.get("check_suite", call.params["check_suite_id"], call.full_name)
    if record is None:
        raise not_found()
    return record
