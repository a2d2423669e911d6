"""Environments: who has to agree, and which branches and tags may use them."""

from typing import Any

from sandbox.github import accounts, environments
from sandbox.github.call import Call
from sandbox.github.errors import invalid, not_found, refused
from sandbox.github.listing import page
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_UNDER = "/repos/{owner}/{repo}/environments"
_ONE = _UNDER + "/{environment_name}"
_POLICIES = _ONE + "/deployment-branch-policies"
_MOST_REVIEWERS = 6
_MOST_MINUTES = 43_200


def of(call: Call) -> Record:
    """The environment the path names. Raises 404."""
    found = environments.environment_of(
        call.hub, call.full_name, call.params.get("environment_name", "")
    )
    if found is None:
        raise not_found()
    return found


@routes.get(_UNDER, permission="actions:read")
def list_environments(call: Call) -> Answer:
    """All of a repository."""
    found = call.store.all("environment", call.full_name)
    return page(call, found, lambda record: shape(call, record), under="environments")


@routes.get(_ONE, permission="actions:read")
def get(call: Call) -> Answer:
    """One, with its rules."""
    return Answer(shape(call, of(call)))


@routes.put(_ONE, permission="administration:write")
def put(call: Call) -> Answer:
    """Make it, or replace its rules: what the request leaves out is off afterwards."""
    name = call.params["environment_name"]
    if not name.strip() or len(name) > 255:
        raise invalid("Environment", "name")
    now = call.hub.now()
    rules: Record = {
        "wait_timer": _minutes(call.body.get("wait_timer") or 0),
        "prevent_self_review": bool(call.body.get("prevent_self_review")),
        "can_admins_bypass": call.body.get("can_admins_bypass") is not False,
        "reviewers": _reviewers(call, call.body.get("reviewers") or []),
        "deployment_branch_policy": _branch_policy(call.body.get("deployment_branch_policy")),
        "updated_at": now,
    }
    found = environments.environment_of(call.hub, call.full_name, name)
    if found is None:
        record = call.store.add(
            "environment", call.full_name, {"name": name, "created_at": now, **rules}
        )
    else:
        record = call.store.change("environment", found["id"], **rules) or {}
    return Answer(shape(call, record))


@routes.delete(_ONE, permission="administration:write")
def delete(call: Call) -> Answer:
    """Gone, with its secrets, variables and policies."""
    found = of(call)
    for kind in ("secret", "variable", "deployment_branch_policy", "sealing_key"):
        for record in call.store.all(kind, call.full_name):
            if record["environment"] == found["name"]:
                call.store.remove(kind, record["id"])
    call.store.remove("environment", found["id"])
    return Answer(status=204)


@routes.get(_POLICIES, permission="actions:read")
def list_policies(call: Call) -> Answer:
    """The branches and tags it admits."""
    return page(call, of(call)["policies"], policy_shape, under="branch_policies")


@routes.post(_POLICIES, permission="administration:write")
def add_policy(call: Call) -> Answer:
    """Admit a pattern of branches or tags."""
    environment = of(call)
    rule = environment["deployment_branch_policy"]
    if not (rule and rule["custom_branch_policies"]):
        raise not_found()
    (name,) = call.need("DeploymentBranchPolicy", "name")
    kind = call.body.get("type", "branch")
    if kind not in ("branch", "tag"):
        raise invalid("DeploymentBranchPolicy", "type")
    if any(p["name"] == name and p["type"] == kind for p in environment["policies"]):
        return Answer(status=303)
    record = {"environment": environment["name"], "name": name, "type": kind}
    return Answer(policy_shape(call.store.add("deployment_branch_policy", call.full_name, record)))


@routes.get(_POLICIES + "/{branch_policy_id}", permission="actions:read")
def get_policy(call: Call) -> Answer:
    """One pattern."""
    return Answer(policy_shape(_policy(call)))


@routes.put(_POLICIES + "/{branch_policy_id}", permission="administration:write")
def change_policy(call: Call) -> Answer:
    """Another pattern in its place."""
    (name,) = call.need("DeploymentBranchPolicy", "name")
    changed = call.store.change("deployment_branch_policy", _policy(call)["id"], name=name)
    return Answer(policy_shape(changed or {}))


@routes.delete(_POLICIES + "/{branch_policy_id}", permission="administration:write")
def delete_policy(call: Call) -> Answer:
    """Admit it no more."""
    call.store.remove("deployment_branch_policy", _policy(call)["id"])
    return Answer(status=204)


@routes.get(_ONE + "/deployment_protection_rules", permission="actions:read")
def custom_rules(call: Call) -> Answer:
    """Rules of apps: there are none here."""
    of(call)
    return Answer({"total_count": 0, "custom_deployment_protection_rules": []})


def _policy(call: Call) -> Record:
    for record in of(call)["policies"]:
        if str(record["id"]) == call.params["branch_policy_id"]:
            return dict(record)
    raise not_found()


def _minutes(given: object) -> int:
    if not isinstance(given, int) or not 0 <= given <= _MOST_MINUTES:
        raise refused("Wait timer must be between 0 and 43200 minutes.")
    return given


def _reviewers(call: Call, given: object) -> list[Record]:
    if not isinstance(given, list) or len(given) > _MOST_REVIEWERS:
        raise refused("An environment can have at most 6 reviewers.")
    found: list[Record] = []
    for entry in given:
        kind = {"User": "user", "Team": "team"}.get(str(entry.get("type")))
        if kind is None or call.store.get(kind, entry.get("id")) is None:
            raise refused(f"Failed to create the environment reviewer: {entry}")
        found.append({"type": entry["type"], "id": entry["id"]})
    return found


def _branch_policy(given: object) -> Record | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        raise invalid("Environment", "deployment_branch_policy")
    protected = bool(given.get("protected_branches"))
    if protected == bool(given.get("custom_branch_policies")):
        raise refused("protected_branches and custom_branch_policies cannot have the same value.")
    return {"protected_branches": protected, "custom_branch_policies": not protected}


def policy_shape(record: Record) -> dict[str, Any]:
    """A pattern as the API shows it."""
    return {
        "id": record["id"],
        "node_id": f"DBP_{record['id']}",
        "name": record["name"],
        "type": record["type"],
    }


def shape(call: Call, record: Record) -> dict[str, Any]:
    """An environment as the API shows it."""
    address = f"/repos/{record['project']}/environments/{record['name'].replace('/', '%2F')}"
    rules: list[dict[str, Any]] = []
    if record["wait_timer"]:
        rules.append({"type": "wait_timer", "wait_timer": record["wait_timer"]})
    if record["reviewers"]:
        people = [_reviewer(call, entry) for entry in record["reviewers"]]
        told = {"prevent_self_review": record["prevent_self_review"], "reviewers": people}
        rules.append({"type": "required_reviewers", **told})
    if record["deployment_branch_policy"]:
        rules.append({"type": "branch_policy"})
    return {
        "id": record["id"],
        "node_id": f"EN_{record['id']}",
        "name": record["name"],
        "url": call.url(address),
        "html_url": f"{call.hub.url}/{record['project']}/deployments/activity_log"
        f"?environments_filter={record['name']}",
        "created_at": record["created_at"],
        "updated_at": record["updated_at"],
        "can_admins_bypass": record.get("can_admins_bypass", True),
        "protection_rules": [
            {"id": record["id"] * 10 + n, "node_id": f"GA_{record['id'] * 10 + n}", **rule}
            for n, rule in enumerate(rules)
        ],
        "deployment_branch_policy": record["deployment_branch_policy"],
    }


def _reviewer(call: Call, entry: Record) -> dict[str, Any]:
    if entry["type"] == "User":
        login = (call.store.get("user", entry["id"]) or {"login": "ghost"})["login"]
        return {"type": "User", "reviewer": accounts.simple(call.hub, login)}
    team = call.store.get("team", entry["id"]) or {}
    return {"type": "Team", "reviewer": accounts.team(call.hub, team)}
