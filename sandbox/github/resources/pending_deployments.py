"""Jobs that wait for somebody's agreement: listed, agreed to, refused."""

from typing import Any

from sandbox.github import accounts, deployments, environments
from sandbox.github.actions import records
from sandbox.github.call import Call
from sandbox.github.errors import refused
from sandbox.github.resources import environments as environment_resource
from sandbox.github.resources import runs, workflows
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_PATH = "/repos/{owner}/{repo}/actions/runs/{run_id}/pending_deployments"
_STATES = ("approved", "rejected")


@routes.get(_PATH, permission="actions:read")
def list_pending(call: Call) -> Answer:
    """The environments the run's jobs wait for."""
    return Answer([_shape(call, each) for each in _pending(call)])


@routes.post(_PATH, permission="deployments:write", role="read")
def review(call: Call) -> Answer:
    """Agree to or refuse; only reviewers of the environment may."""
    ids, state = call.need("PendingDeployment", "environment_ids", "state")
    if state not in _STATES or not isinstance(ids, list):
        raise refused("state must be approved or rejected, environment_ids a list of numbers")
    if "comment" not in call.body:
        raise refused('Invalid request.\n\n"comment" wasn\'t supplied.')
    waiting = {each["id"]: each for each in _pending(call)}
    run = runs.of(call)
    chosen = [waiting[number] for number in ids if number in waiting]
    if len(chosen) != len(ids):
        raise refused("There were problems with the request: no pending deployment requests")
    for environment in chosen:
        if not _may_review(call, environment, run):
            raise refused("You are not allowed to approve or reject these deployments.")
    told = [
        {
            key: environment_resource.shape(call, each)[key]
            for key in ("id", "node_id", "name", "url", "html_url", "created_at", "updated_at")
        }
        for each in chosen
    ]
    approval = {
        "run_id": run["id"],
        "state": state,
        "comment": str(call.body["comment"]),
        "user": accounts.simple(call.hub, call.caller.login),
        "environments": told,
    }
    call.store.add("approval", call.full_name, approval)
    workflows.command(
        call, "review", run, state=state, comment=approval["comment"],
        environments=[each["name"].lower() for each in chosen],
    )  # fmt: skip
    names = {each["name"] for each in chosen}
    found = [
        call.store.get("deployment", job["deployment"])
        for job in records.jobs(call.hub, run)
        if job["environment"] in names and job["deployment"]
    ]
    return Answer([deployments.shape(call.hub, each) for each in found if each])


def _pending(call: Call) -> list[Record]:
    jobs = records.jobs(call.hub, runs.of(call))
    names = {job["environment"] for job in jobs if job["status"] == "waiting"}
    found = (environments.environment_of(call.hub, call.full_name, name) for name in sorted(names))
    return [each for each in found if each]


def _may_review(call: Call, environment: Record, run: Record) -> bool:
    login = call.caller.login
    if environment["prevent_self_review"] and login == run["triggering_actor"]:
        return False
    return any(_is(call, entry, login) for entry in environment["reviewers"])


def _is(call: Call, reviewer: Record, login: str) -> bool:
    if reviewer["type"] == "User":
        return (call.store.get("user", reviewer["id"]) or {}).get("login") == login
    team = call.store.get("team", reviewer["id"]) or {}
    return login in team.get("members", ())


def _shape(call: Call, environment: Record) -> dict[str, Any]:
    shaped = environment_resource.shape(call, environment)
    rules = {rule["type"]: rule for rule in shaped["protection_rules"]}
    run = runs.of(call)
    return {
        "environment": {key: shaped[key] for key in ("id", "node_id", "name", "url", "html_url")},
        "wait_timer": environment["wait_timer"],
        "wait_timer_started_at": None,
        "current_user_can_approve": _may_review(call, environment, run),
        "reviewers": rules.get("required_reviewers", {}).get("reviewers", []),
    }
