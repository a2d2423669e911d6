"""Deployments and their statuses."""

from typing import Any

from sandbox.github import (
    checks,
    deployments,
    environments,
    merging,
    payloads,
    pull_records,
    ref_changes,
)
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, not_found, refused
from sandbox.github.listing import page
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_MANY = "/repos/{owner}/{repo}/deployments"
_ONE = _MANY + "/{deployment_id}"


@routes.get(_MANY, permission="deployments:read")
def list_all(call: Call) -> Answer:
    """Newest first; by sha, ref, task and environment."""
    asked = {name: call.asked(name) for name in ("sha", "ref", "task", "environment")}
    found = [
        record
        for record in reversed(call.store.all("deployment", call.full_name))
        if all(value in ("", "none", record[name]) for name, value in asked.items())
    ]
    return page(call, found, lambda record: deployments.shape(call.hub, record))


@routes.post(_MANY, permission="deployments:write")
def create(call: Call) -> Answer:
    """A new one, of a branch, tag or commit whose checks have passed.

    With `auto_merge` (the default) a branch that lacks commits of the default branch is merged
    first, and nothing is deployed: 202.
    """
    (ref,) = call.need("Deployment", "ref")
    sha = call.hub.git(call.repository).resolve(str(ref))
    if sha is None:
        raise refused(f"No ref found for: {ref}")
    if call.body.get("auto_merge", True) and (merged := _merge_default(call, str(ref), sha)):
        return merged
    _require(call, str(ref), sha)
    name = str(call.body.get("environment") or "production")
    record = deployments.create(
        call.hub,
        call.repository,
        call.caller.login,
        ref=str(ref),
        sha=sha,
        environment=environments.ensured(call.hub, call.full_name, name)["name"],
        task=call.body.get("task") or "deploy",
        description=call.body.get("description") or "",
        payload=call.body.get("payload"),
        transient=bool(call.body.get("transient_environment", False)),
        production=call.body.get("production_environment"),
    )
    shaped = deployments.shape(call.hub, record)
    _tell(call, "deployment", record, {"deployment": shaped})
    return Answer(shaped, 201)


@routes.get(_ONE, permission="deployments:read")
def get(call: Call) -> Answer:
    """One deployment."""
    return Answer(deployments.shape(call.hub, _found(call)))


@routes.delete(_ONE, permission="deployments:write")
def delete(call: Call) -> Answer:
    """Forget one that is not active."""
    record = _found(call)
    others = len(call.store.all("deployment", call.full_name)) > 1
    if others and deployments.state_of(call.hub, record) != "inactive":
        raise refused("We cannot delete an active deployment unless it is the only deployment.")
    for status in deployments.statuses(call.hub, record):
        call.store.remove("deployment_status", status["id"])
    call.store.remove("deployment", record["id"])
    return Answer(status=204)


@routes.get(_ONE + "/statuses", permission="deployments:read")
def list_statuses(call: Call) -> Answer:
    """Newest first."""
    found = deployments.statuses(call.hub, _found(call))
    return page(call, found, lambda status: deployments.status_shape(call.hub, status))


@routes.post(_ONE + "/statuses", permission="deployments:write")
def create_status(call: Call) -> Answer:
    """A new status; a success makes older deployments of the environment inactive."""
    record = _found(call)
    (state,) = call.need("DeploymentStatus", "state")
    status = deployments.set_status(
        call.hub,
        record,
        call.caller.login,
        str(state),
        description=call.body.get("description") or "",
        environment_url=call.body.get("environment_url") or "",
        log_url=call.body.get("log_url") or call.body.get("target_url") or "",
        environment=call.body.get("environment") or "",
        auto_inactive=call.body.get("auto_inactive", True) is not False,
    )
    shaped = deployments.status_shape(call.hub, status)
    told = {"deployment_status": shaped, "deployment": deployments.shape(call.hub, _found(call))}
    if state != "inactive":  # GitHub tells no workflow of that one
        _tell(call, "deployment_status", record, told)
    return Answer(shaped, 201)


@routes.get(_ONE + "/statuses/{status_id}", permission="deployments:read")
def get_status(call: Call) -> Answer:
    """One status."""
    for status in deployments.statuses(call.hub, _found(call)):
        if str(status["id"]) == call.params["status_id"]:
            return Answer(deployments.status_shape(call.hub, status))
    raise not_found()


def _found(call: Call) -> Record:
    record = call.store.get("deployment", call.params["deployment_id"], call.full_name)
    if record is None:
        raise not_found()
    return record


def _require(call: Call, ref: str, sha: str) -> None:
    required = call.body.get("required_contexts")
    states = checks.contexts(call.hub, call.full_name, sha)
    wanted = list(states) if required is None else required
    told = [
        {"contexts": [{"context": name, "state": states.get(name, "pending")} for name in wanted]}
    ]
    if any(states.get(name) != "success" for name in wanted):
        raise GithubError(409, f"Conflict: Commit status checks failed for {ref}.", told)


def _merge_default(call: Call, ref: str, sha: str) -> Answer | None:
    git = call.hub.git(call.repository)
    default = call.repository["default_branch"]
    newest = git.resolve(f"refs/heads/{default}")
    branch = f"refs/heads/{ref}"
    if newest is None or ref == default or git.resolve(branch) != sha:
        return None
    if git.is_ancestor(newest, sha):
        return None
    message = f"Auto-merged {default} into {ref} on deployment."
    author = pull_records.person(call.hub, call.caller.login)
    try:
        merged = merging.merge(git, sha, newest, message, author, call.store.now())
    except merging.ConflictError:
        raise GithubError(409, f"Conflict merging {default} into {ref}.") from None
    ref_changes.move(call, branch, sha, merged)
    return Answer({"message": message}, 202)


def _tell(call: Call, name: str, record: Record, payload: dict[str, Any]) -> None:
    action = "created"
    told = {
        "action": action,
        **payload,
        **payloads.around(call.hub, call.repository, call.caller.login),
    }
    ref = record["ref"] if record["ref"] != record["sha"] else ""
    if call.hub.git(call.repository).resolve(f"refs/heads/{ref}"):
        ref = f"refs/heads/{ref}"
    elif ref and not ref.startswith("refs/"):
        ref = f"refs/tags/{ref}"
    event = call.hub.event(
        call.caller, call.repository, name, ref=ref, sha=record["sha"], action=action, payload=told
    )
    call.events.append(event)
