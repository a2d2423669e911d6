"""Labels and milestones, of a repository and of its issues."""

from typing import Any

from sandbox.github import issue_events, issue_records, pull_records
from sandbox.github.call import Call
from sandbox.github.errors import invalid, not_found
from sandbox.github.listing import page
from sandbox.github.resources import issues
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_MANY = "/repos/{owner}/{repo}/labels"
_ONE = _MANY + "/{name}"
_OF_ISSUE = "/repos/{owner}/{repo}/issues/{issue_number}/labels"
_MILESTONES = "/repos/{owner}/{repo}/milestones"
_MILESTONE = _MILESTONES + "/{milestone_number}"


@routes.get(_MANY, permission="issues:read")
def list_all(call: Call) -> Answer:
    """A repository's labels."""
    found = issue_records.labels(call.hub, call.repository)
    return page(call, found, lambda record: issue_records.label_shape(call.hub, record))


@routes.post(_MANY, permission="issues:write")
def create(call: Call) -> Answer:
    """A new one; the color in six hex digits."""
    (name,) = call.need("Label", "name")
    if issue_records.label(call.hub, call.repository, str(name)):
        raise invalid("Label", "name", "already_exists")
    record = issue_records.add_label(
        call.hub, call.repository, str(name), _color(call), call.body.get("description")
    )
    return Answer(issue_records.label_shape(call.hub, record), 201)


@routes.get(_ONE, permission="issues:read")
def get(call: Call) -> Answer:
    """One label."""
    return Answer(issue_records.label_shape(call.hub, _label(call)))


@routes.patch(_ONE, permission="issues:write")
def change(call: Call) -> Answer:
    """Rename one, or change how it looks."""
    record = _label(call)
    changes: dict[str, Any] = {}
    if call.body.get("new_name"):
        changes["name"] = str(call.body["new_name"])
    if "color" in call.body:
        changes["color"] = _color(call)
    if "description" in call.body:
        changes["description"] = call.body["description"]
    changed = call.store.change("label", record["id"], **changes) or record
    return Answer(issue_records.label_shape(call.hub, changed))


@routes.delete(_ONE, permission="issues:write")
def delete(call: Call) -> Answer:
    """Drop one, from its issues too."""
    call.store.remove("label", _label(call)["id"])
    return Answer(status=204)


@routes.get(_OF_ISSUE, permission=issues.READ)
def list_of_issue(call: Call) -> Answer:
    """An issue's labels."""
    return _labels(call, issues.found(call))


@routes.post(_OF_ISSUE, permission=issues.WRITE, role="triage")
def add(call: Call) -> Answer:
    """Add some; unknown ones are made."""
    issue = issues.found(call)
    added = issue_records.labels_named(call.hub, call.repository, _names(call))
    return _set(call, issue, list(dict.fromkeys([*issue["labels"], *added])))


@routes.put(_OF_ISSUE, permission=issues.WRITE, role="triage")
def replace(call: Call) -> Answer:
    """Exactly these from now on."""
    names = issue_records.labels_named(call.hub, call.repository, _names(call))
    return _set(call, issues.found(call), names)


@routes.delete(_OF_ISSUE, permission=issues.WRITE, role="triage")
def remove_all(call: Call) -> Answer:
    """None from now on."""
    _set(call, issues.found(call), [])
    return Answer(status=204)


@routes.delete(_OF_ISSUE + "/{name}", permission=issues.WRITE, role="triage")
def remove(call: Call) -> Answer:
    """Take one away."""
    issue = issues.found(call)
    record = issue_records.label(call.hub, call.repository, call.params["name"])
    if record is None or record["id"] not in issue["labels"]:
        raise not_found()
    return _set(call, issue, [number for number in issue["labels"] if number != record["id"]])


@routes.get(_MILESTONES, permission="issues:read")
def list_milestones(call: Call) -> Answer:
    """By state; the open ones by default."""
    state = call.asked("state", "open")
    found = [
        record
        for record in call.store.all("milestone", call.full_name)
        if state in ("all", record["state"])
    ]
    return page(call, found, lambda record: issue_records.milestone_shape(call.hub, record))


@routes.post(_MILESTONES, permission="issues:write")
def create_milestone(call: Call) -> Answer:
    """A new one."""
    (title,) = call.need("Milestone", "title")
    if any(m["title"] == title for m in call.store.all("milestone", call.full_name)):
        raise invalid("Milestone", "title", "already_exists")
    now = call.hub.now()
    record = {
        "number": call.store.next_number(f"milestones of {call.repository['id']}"),
        "title": title,
        "state": call.body.get("state") or "open",
        "description": call.body.get("description"),
        "due_on": call.body.get("due_on"),
        "creator": call.caller.login,
        "created_at": now,
        "updated_at": now,
        "closed_at": None,
    }
    added = call.store.add("milestone", call.full_name, record)
    return Answer(issue_records.milestone_shape(call.hub, added), 201)


@routes.get(_MILESTONE, permission="issues:read")
def get_milestone(call: Call) -> Answer:
    """One milestone."""
    return Answer(issue_records.milestone_shape(call.hub, _milestone(call)))


@routes.patch(_MILESTONE, permission="issues:write")
def change_milestone(call: Call) -> Answer:
    """Change one, or close it."""
    record = _milestone(call)
    names = ("title", "state", "description", "due_on")
    changes = {key: call.body[key] for key in names if key in call.body}
    if changes.get("state", record["state"]) != record["state"]:
        changes["closed_at"] = call.hub.now() if changes["state"] == "closed" else None
    changed = call.store.change("milestone", record["id"], updated_at=call.hub.now(), **changes)
    return Answer(issue_records.milestone_shape(call.hub, changed or record))


@routes.delete(_MILESTONE, permission="issues:write")
def delete_milestone(call: Call) -> Answer:
    """Drop one; its issues stay."""
    record = _milestone(call)
    for issue in call.store.all("issue", call.full_name):
        if issue["milestone"] == record["number"]:
            call.store.change("issue", issue["id"], milestone=None)
    call.store.remove("milestone", record["id"])
    return Answer(status=204)


def _label(call: Call) -> Record:
    record = issue_records.label(call.hub, call.repository, call.params["name"])
    if record is None:
        raise not_found()
    return record


def _milestone(call: Call) -> Record:
    for record in call.store.all("milestone", call.full_name):
        if str(record["number"]) == call.params["milestone_number"]:
            return record
    raise not_found()


def _color(call: Call) -> str:
    color = str(call.body.get("color") or "ededed")
    if len(color) != 6 or not set(color.lower()) <= set("0123456789abcdef"):
        raise invalid("Label", "color")
    return color


def _names(call: Call) -> list[str]:
    """The labels of a body: {"labels": [...]}, or a bare list of names or of objects."""
    given = call.body.get("labels", call.body.get("", []))
    if isinstance(given, str):
        given = [given]
    return [str(each["name"] if isinstance(each, dict) else each) for each in given]


def _set(call: Call, issue: Record, numbers: list[int]) -> Answer:
    """Give an issue these labels, and tell of each that came or went."""
    before = issue["labels"]
    if issue["pull"]:
        # What runs for the label runs on the merge as it would be now.
        pull_records.current(call.hub, issue_records.pull_of(call.hub, issue))
    changed = issue_records.change(call.hub, issue, labels=numbers)
    for number in [*numbers, *before]:
        record = call.store.get("label", number)
        if record is None or (number in before) == (number in numbers):
            continue
        action = "labeled" if number in numbers else "unlabeled"
        label = {"name": record["name"], "color": record["color"]}
        issue_events.note(call.hub, issue, call.caller.login, action, label=label)
        shaped = issue_records.label_shape(call.hub, record)
        call.events.append(
            issue_events.event(
                call.hub, call.repository, changed, call.caller, action, label=shaped
            )
        )
    return _labels(call, changed)


def _labels(call: Call, issue: Record) -> Answer:
    found = [r for number in issue["labels"] if (r := call.store.get("label", number))]
    return page(call, found, lambda record: issue_records.label_shape(call.hub, record))
