"""Workflows: listed, switched on and off, started by hand."""

import re

from sandbox.github import payloads
from sandbox.github.actions import COMMAND, records, triggers
from sandbox.github.actions.workflow import FOLDER, Workflow, WorkflowError, parse
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, not_found, refused
from sandbox.github.listing import page
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_MANY = "/repos/{owner}/{repo}/actions/workflows"
_ONE = _MANY + "/{workflow_id}"
_YAML = (".yml", ".yaml")
_EVENT_TYPE = re.compile(r".{1,100}", re.DOTALL)
_MOST_PROPERTIES = 10


@routes.get(_MANY, permission="actions:read")
def list_workflows(call: Call) -> Answer:
    """Those of the default branch, and those that ever ran."""
    _learn(call)
    found = call.store.all("workflow", call.full_name)
    return page(
        call, found, lambda record: records.workflow_shape(call.hub, record), under="workflows"
    )


@routes.get(_ONE, permission="actions:read")
def get(call: Call) -> Answer:
    """One, by number or by the name of its file."""
    return Answer(records.workflow_shape(call.hub, of(call)))


@routes.put(_ONE + "/enable", permission="actions:write")
def enable(call: Call) -> Answer:
    """Let events start it again."""
    call.store.change("workflow", of(call)["id"], state="active", enabled_at=call.hub.now())
    return Answer(status=204)


@routes.put(_ONE + "/disable", permission="actions:write")
def disable(call: Call) -> Answer:
    """No event starts it any more."""
    call.store.change("workflow", of(call)["id"], state="disabled_manually")
    return Answer(status=204)


@routes.post(_ONE + "/dispatches", permission="actions:write")
def dispatch(call: Call) -> Answer:
    """Start it by hand, on a branch or tag, with inputs."""
    record = of(call)
    (asked,) = call.need("WorkflowDispatch", "ref")
    ref, sha = _ref(call, str(asked))
    if record["state"] != "active":
        raise refused("Cannot trigger a 'workflow_dispatch' on a disabled workflow")
    workflow = _at(call, sha, record["path"])
    event = workflow.on.get("workflow_dispatch") if workflow else None
    if event is None:
        raise refused("Workflow does not have 'workflow_dispatch' trigger")
    given = call.body.get("inputs") or {}
    try:
        inputs = triggers.dispatched(event, given)
    except triggers.InputError as error:
        raise refused(str(error)) from None
    payload = {
        "inputs": inputs,
        "ref": ref,
        "workflow": record["path"],
        **payloads.around(call.hub, call.repository, call.caller.login),
    }
    call.events.append(
        call.hub.event(
            call.caller, call.repository, "workflow_dispatch", ref=ref, sha=sha, payload=payload
        )
    )
    return Answer(status=204)


@routes.post("/repos/{owner}/{repo}/dispatches", permission="contents:write")
def repository_dispatch(call: Call) -> Answer:
    """Tell the default branch's workflows of something outside."""
    (kind,) = call.need("RepositoryDispatch", "event_type")
    given = call.body.get("client_payload") or {}
    if not _EVENT_TYPE.fullmatch(str(kind)):
        raise refused("event_type is too long (maximum is 100 characters)")
    if not isinstance(given, dict) or len(given) > _MOST_PROPERTIES:
        raise refused("No more than 10 properties are allowed; 11 were supplied.")
    default = f"refs/heads/{call.repository['default_branch']}"
    payload = {
        "action": kind,
        "branch": call.repository["default_branch"],
        "client_payload": given,
        **payloads.around(call.hub, call.repository, call.caller.login),
    }
    call.events.append(
        call.hub.event(
            call.caller, call.repository, "repository_dispatch", action=str(kind), ref=default,
            payload=payload,
        )
    )  # fmt: skip
    return Answer(status=204)


def of(call: Call) -> Record:
    """The workflow the path names, by number or file. Raises 404."""
    _learn(call)
    wanted = call.params["workflow_id"]
    for record in call.store.all("workflow", call.full_name):
        file = record["path"].removeprefix(FOLDER)
        if wanted in (str(record["id"]), file, record["path"]):
            return record
    raise not_found()


def command(call: Call, action: str, run: Record, **more: object) -> None:
    """Tell the scheduler, once this request's changes are written."""
    payload = {"run": run["id"], **more}
    call.events.append(
        call.hub.event(call.caller, call.repository, COMMAND, action=action, payload=payload)
    )


def _learn(call: Call) -> None:
    """Make records of files on the default branch that no event has met yet."""
    git = call.hub.git(call.repository)
    sha = git.resolve(f"refs/heads/{call.repository['default_branch']}")
    if sha is None:
        return
    known = {record["path"] for record in call.store.all("workflow", call.full_name)}
    for path in git.names(sha, FOLDER.rstrip("/")):
        if path.endswith(_YAML) and path not in known:
            workflow = _at(call, sha, path)
            records.workflow(call.hub, call.full_name, path, workflow.title if workflow else "")


def _at(call: Call, sha: str, path: str) -> Workflow | None:
    content = call.hub.git(call.repository).file(sha, path)
    if content is None:
        return None
    try:
        return parse(content.decode("utf-8", "replace"), path)
    except WorkflowError:
        return None


def _ref(call: Call, asked: str) -> tuple[str, str]:
    git = call.hub.git(call.repository)
    short = asked.removeprefix("refs/heads/").removeprefix("refs/tags/")
    for prefix in ("refs/heads/", "refs/tags/"):
        if asked.startswith("refs/") and not asked.startswith(prefix):
            continue
        sha = git.resolve(prefix + short) if (prefix + short) in git.refs(prefix) else None
        if sha is not None:
            return prefix + short, sha
    raise GithubError(422, f"No ref found for: {asked}")
