"""Rulesets: kept as they are given; rules.py holds people to them."""

from typing import Any

from sandbox.github import access, rules
from sandbox.github.call import Call
from sandbox.github.errors import invalid, not_found, refused
from sandbox.github.listing import page
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_UNDER = "/repos/{owner}/{repo}/rulesets"
_ONE = _UNDER + "/{ruleset_id}"
TARGETS = ("branch", "tag")
ENFORCEMENTS = ("disabled", "active", "evaluate")
ACTORS = ("Integration", "OrganizationAdmin", "RepositoryRole", "Team", "DeployKey", "User")
MODES = ("always", "pull_request", "exempt")
# The rules that are held to, and what each has to say.
PARAMETERS: dict[str, tuple[str, ...]] = {
    "creation": (),
    "update": (),
    "deletion": (),
    "non_fast_forward": (),
    "required_linear_history": (),
    "pull_request": (
        *("dismiss_stale_reviews_on_push", "require_code_owner_review"),
        *("require_last_push_approval", "required_approving_review_count"),
        "required_review_thread_resolution",
    ),
    "required_status_checks": ("required_status_checks", "strict_required_status_checks_policy"),
}


@routes.get(_UNDER, permission="metadata:read")
def list_rulesets(call: Call) -> Answer:
    """All, without what is in them."""
    wanted = [name for name in call.asked("targets").split(",") if name]
    found = [
        record
        for record in call.store.all("ruleset", call.full_name)
        if not wanted or record["target"] in wanted
    ]
    return page(call, found, lambda record: _summary(call, record))


@routes.get(_ONE, permission="metadata:read")
def get(call: Call) -> Answer:
    """One in full."""
    return Answer(_shape(call, _one(call)))


@routes.post(_UNDER, permission="administration:write")
def create(call: Call) -> Answer:
    """A new one."""
    call.need("Ruleset", "name", "enforcement")
    now = call.hub.now()
    empty: Record = {"target": "branch", "bypass_actors": [], "conditions": None, "rules": []}
    record = {**empty, **_given(call, None), "created_at": now, "updated_at": now}
    return Answer(_shape(call, call.store.add("ruleset", call.full_name, record)), 201)


@routes.put(_ONE, permission="administration:write")
def change(call: Call) -> Answer:
    """Replace what the request names."""
    record = _one(call)
    changes = {**_given(call, record), "updated_at": call.hub.now()}
    return Answer(_shape(call, call.store.change("ruleset", record["id"], **changes) or {}))


@routes.delete(_ONE, permission="administration:write")
def delete(call: Call) -> Answer:
    """Gone."""
    call.store.remove("ruleset", _one(call)["id"])
    return Answer(status=204)


@routes.get("/repos/{owner}/{repo}/rules/branches/{branch:path}", permission="metadata:read")
def of_branch(call: Call) -> Answer:
    """The rules in force for a branch, which need not exist."""
    ref = f"refs/heads/{call.params['branch']}"
    found = [
        {
            **rule,
            "ruleset_source_type": "Repository",
            "ruleset_source": call.full_name,
            "ruleset_id": ruleset["id"],
        }
        for ruleset in rules.in_force(call.hub, call.repository, ref)
        for rule in ruleset["rules"]
    ]
    return page(call, found)


def _one(call: Call) -> Record:
    record = call.store.get("ruleset", call.params["ruleset_id"], call.full_name)
    if record is None:
        raise not_found()
    return record


def _given(call: Call, old: Record | None) -> Record:
    """What the request says, checked; only the keys that are in it."""
    known = ("name", "target", "enforcement", "bypass_actors", "conditions", "rules")
    given = {key: call.body[key] for key in known if key in call.body}
    if given.get("target", "branch") not in TARGETS:
        raise invalid("Ruleset", "target")
    if given.get("enforcement", "active") not in ENFORCEMENTS:
        raise invalid("Ruleset", "enforcement")
    for other in call.store.all("ruleset", call.full_name):
        if other["name"] == given.get("name") and (old is None or other["id"] != old["id"]):
            raise refused("Name must be unique")
    if "conditions" in given:
        given["conditions"] = _conditions(given["conditions"])
    if "rules" in given:
        given["rules"] = [_rule(rule) for rule in given["rules"] or []]
    if "bypass_actors" in given:
        given["bypass_actors"] = [_actor(actor) for actor in given["bypass_actors"] or []]
    return given


def _conditions(given: Any) -> Record | None:
    if given is None:
        return None
    named = given.get("ref_name") or {}
    include, exclude = named.get("include") or [], named.get("exclude") or []
    for pattern in (*include, *exclude):
        if pattern not in ("~ALL", "~DEFAULT_BRANCH") and not pattern.startswith("refs/"):
            raise refused(f"Invalid target patterns: '{pattern}'")
    return {"ref_name": {"include": include, "exclude": exclude}}


def _rule(given: Any) -> Record:
    kind = given.get("type")
    if kind not in PARAMETERS:
        raise refused(f"Invalid rule '{kind}': ")
    parameters = given.get("parameters")
    for name in PARAMETERS[kind]:
        if name not in (parameters or {}):
            raise refused(f"Invalid rule '{kind}': Missing required parameter '{name}'")
    if kind == "pull_request":
        parameters = {"allowed_merge_methods": list(rules.METHODS), **parameters}
    if kind == "required_status_checks":
        wanted = parameters["required_status_checks"]
        if not all(isinstance(check.get("context"), str) for check in wanted):
            raise refused(f"Invalid rule '{kind}': a check has to have a 'context'")
    return {"type": kind, **({"parameters": parameters} if parameters else {})}


def _actor(given: Any) -> Record:
    if given.get("actor_type") not in ACTORS:
        raise refused(f"Invalid bypass actor: {given.get('actor_type')}")
    if given.get("bypass_mode", "always") not in MODES:
        raise refused(f"Invalid bypass mode: {given['bypass_mode']}")
    return {
        "actor_id": given.get("actor_id"),
        "actor_type": given["actor_type"],
        "bypass_mode": given.get("bypass_mode", "always"),
    }


def _summary(call: Call, record: Record) -> dict[str, Any]:
    address = f"/repos/{call.full_name}/rulesets/{record['id']}"
    html = f"{call.hub.url}/{call.full_name}/rules/{record['id']}"
    return {
        "id": record["id"],
        "node_id": f"RRS_{record['id']}",
        "name": record["name"],
        "target": record["target"],
        "source_type": "Repository",
        "source": call.full_name,
        "enforcement": record["enforcement"],
        "_links": {"self": {"href": call.url(address)}, "html": {"href": html}},
        "created_at": record["created_at"],
        "updated_at": record["updated_at"],
    }


def _shape(call: Call, record: Record) -> dict[str, Any]:
    told = {
        **_summary(call, record),
        "conditions": record["conditions"] or {"ref_name": {"include": [], "exclude": []}},
        "rules": record["rules"],
        "current_user_can_bypass": _own_way_round(call, record),
    }
    # Who may go round a rule is told to those who could change it.
    if access.role(call.store, call.caller, call.repository) == "admin":
        told["bypass_actors"] = record["bypass_actors"]
    return told


def _own_way_round(call: Call, record: Record) -> str:
    for merging, answer in ((False, "always"), (True, "pull_requests_only")):
        if rules.bypasses(call.hub, call.repository, call.caller, record, merging=merging):
            return answer
    return "never"
