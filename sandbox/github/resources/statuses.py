"""Commit statuses: what machines say of a commit, under a context each."""

from sandbox.github import checks, payloads
from sandbox.github.call import Call
from sandbox.github.errors import refused
from sandbox.github.listing import page
from sandbox.github.routing import Answer, Routes

routes = Routes()

_COMMIT = "/repos/{owner}/{repo}/commits/{ref:path}"


@routes.post("/repos/{owner}/{repo}/statuses/{sha}", permission="statuses:write")
def create(call: Call) -> Answer:
    """A new status of a commit."""
    (state,) = call.need("Status", "state")
    sha = call.hub.git(call.repository).resolve(call.params["sha"])
    if sha is None:
        raise refused(f"No commit found for SHA: {call.params['sha']}")
    status = checks.set_status(
        call.hub,
        call.repository,
        call.caller.login,
        sha,
        str(state),
        context=call.body.get("context") or "default",
        description=call.body.get("description"),
        target_url=call.body.get("target_url"),
    )
    shaped = checks.status_shape(call.hub, status)
    payload = {
        "id": status["id"],
        "sha": sha,
        "state": state,
        "context": status["context"],
        "description": status["description"],
        "target_url": status["target_url"],
        **payloads.around(call.hub, call.repository, call.caller.login),
    }
    # Workflows of it run on the default branch.
    default = call.repository["default_branch"]
    event = call.hub.event(
        call.caller, call.repository, "status", ref=f"refs/heads/{default}",
        sha=call.hub.git(call.repository).resolve(default) or sha, payload=payload,
    )  # fmt: skip
    call.events.append(event)
    return Answer(shaped, 201)


@routes.get(_COMMIT + "/statuses", permission="statuses:read")
def list_all(call: Call) -> Answer:
    """Every status of a commit, newest first."""
    found = checks.statuses(call.hub, call.full_name, commit(call))
    return page(call, found, lambda status: checks.status_shape(call.hub, status))


@routes.get("/repos/{owner}/{repo}/statuses/{ref:path}", permission="statuses:read")
def list_all_of_old(call: Call) -> Answer:
    """The same, where it used to be."""
    return list_all(call)


@routes.get(_COMMIT + "/status", permission="statuses:read")
def combined(call: Call) -> Answer:
    """All of them in one."""
    return Answer(checks.combined(call.hub, call.repository, commit(call)))


def commit(call: Call) -> str:
    """The commit the path's `ref` names. Raises 422 as GitHub does, not 404."""
    sha = call.hub.git(call.repository).resolve(call.params["ref"])
    if sha is None:
        raise refused(f"No commit found for SHA: {call.params['ref']}")
    return sha
