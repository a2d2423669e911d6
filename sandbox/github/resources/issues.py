"""Issues: opened by anybody who may read, and what is done with them."""

from typing import Any

from sandbox.github import access, accounts, issue_events, issue_records, pull_records
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, invalid, not_found
from sandbox.github.listing import page
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

# A pull request is an issue, and either permission reaches it.
READ = "issues:read|pull_requests:read"
WRITE = "issues:write|pull_requests:write"
_MANY = "/repos/{owner}/{repo}/issues"
_ONE = _MANY + "/{issue_number}"
_PEOPLE = "/repos/{owner}/{repo}/assignees"
_SORTS = {"created": "created_at", "updated": "updated_at"}


@routes.post(_MANY, permission="issues:write", role="read")
def create(call: Call) -> Answer:
    """A new one. Labels, people and milestone of who may not triage are left out, as at GitHub."""
    if not call.repository["has_issues"]:
        raise GithubError(410, "Issues are disabled for this repo")
    (title,) = call.need("Issue", "title")
    issue = issue_records.create(
        call.hub, call.repository, call.caller.login, str(title), call.body.get("body")
    )
    changes: dict[str, Any] = {}
    if issue_records.may(call.hub, call.caller, call.repository, "triage"):
        changes = _planned(call)
        issue = issue_records.change(call.hub, issue, **changes)
    _tell(call, issue, "opened")
    for name in issue_records.label_names(call.hub, issue):
        _tell_label(call, issue, name, "labeled")
    return Answer(issue_records.shape(call.hub, call.repository, issue), 201)


@routes.get(_MANY, permission="issues:read")
def list_all(call: Call) -> Answer:
    """Pull requests, too; by state, labels (all of them), creator, assignee, milestone, since."""
    wanted = [name.lower() for name in call.asked("labels").split(",") if name]
    state = call.asked("state", "open")
    found = [
        issue
        for issue in call.store.all("issue", call.full_name)
        if state in ("all", issue["state"])
        and set(wanted) <= {name.lower() for name in issue_records.label_names(call.hub, issue)}
        and _fits(call, issue)
    ]
    key = _SORTS.get(call.asked("sort"), "created_at")
    newest_first = call.asked("direction") != "asc"
    found.sort(key=lambda issue: (issue[key], issue["number"]), reverse=newest_first)
    return page(call, found, lambda issue: issue_records.shape(call.hub, call.repository, issue))


@routes.get(_ONE, permission=READ)
def get(call: Call) -> Answer:
    """One issue, or the issue side of a pull request."""
    return Answer(issue_records.shape(call.hub, call.repository, found(call)))


@routes.patch(_ONE, permission=WRITE, role="read")
def change(call: Call) -> Answer:
    """Change title, body, state; by its author or who may triage: who may set labels and people."""
    issue = found(call)
    if call.caller.login != issue["user"]:
        require_triage(call)
    names = ("title", "body")
    changes: dict[str, Any] = {key: call.body[key] for key in names if key in call.body}
    if issue_records.may(call.hub, call.caller, call.repository, "triage"):
        changes |= _planned(call)
    actions = ["edited"] if changes else []
    state = call.body.get("state") or issue["state"]
    if state not in ("open", "closed"):
        raise invalid("Issue", "state")
    if state != issue["state"]:
        if issue["pull"] and issue_records.pull_of(call.hub, issue)["merged"]:
            raise invalid("Issue", "state", message="state cannot be changed.")
        closed_by = call.caller.login if state == "closed" else None
        changes |= {"state": state, "closed_by": closed_by}
        changes["state_reason"] = call.body.get("state_reason")
        actions.append("closed" if state == "closed" else "reopened")
        issue_events.note(call.hub, issue, call.caller.login, actions[-1])
    changed = issue_records.change(call.hub, issue, **changes)
    if issue["pull"] and actions[-1:] == ["reopened"]:
        pull_records.refresh(call.hub, issue_records.pull_of(call.hub, changed))
    for action in actions:
        _tell(call, changed, action)
    return Answer(issue_records.shape(call.hub, call.repository, changed))


@routes.get(_ONE + "/events", permission=READ)
def events(call: Call) -> Answer:
    """What happened to it, oldest first."""
    number = found(call)["number"]
    kept = [e for e in call.store.all("issue_event", call.full_name) if e["number"] == number]
    return page(call, kept, lambda event: issue_events.shape(call.hub, event))


@routes.post(_ONE + "/assignees", permission=WRITE, role="triage")
def assign(call: Call) -> Answer:
    """Give it to people; those who cannot have it are left out, as at GitHub."""
    issue = found(call)
    names = [str(login) for login in call.body.get("assignees") or []]
    able = [login for login in names if _assignable(call, login)]
    people = list(dict.fromkeys([*issue["assignees"], *able]))
    return Answer(_assigned(call, issue, people, "assigned"), 201)


@routes.delete(_ONE + "/assignees", permission=WRITE, role="triage")
def unassign(call: Call) -> Answer:
    """Take it from people."""
    issue = found(call)
    gone = call.body.get("assignees") or []
    people = [login for login in issue["assignees"] if login not in gone]
    return Answer(_assigned(call, issue, people, "unassigned"))


@routes.get(_PEOPLE, permission="issues:read")
def assignable(call: Call) -> Answer:
    """Who can be given issues."""
    people = [user["login"] for user in call.store.all("user") if _assignable(call, user["login"])]
    return page(call, people, lambda login: accounts.simple(call.hub, login))


@routes.get(_PEOPLE + "/{assignee}", permission="issues:read")
def is_assignable(call: Call) -> Answer:
    """204 for who can, 404 for who cannot."""
    if not _assignable(call, call.params["assignee"]):
        raise not_found()
    return Answer(status=204)


def found(call: Call) -> Record:
    """The issue the path names. Raises 404."""
    return allowed(call, issue_records.find(call.hub, call.full_name, call.params["issue_number"]))


def allowed(call: Call, issue: Record) -> Record:
    """The issue. Raises 403 for one that is none of the pull requests a token is limited to."""
    if not issue["pull"]:
        alone = call.permission.partition("|")[0]
        access.check(call.store, call.caller, call.repository, alone, "read")
    return issue


def require_triage(call: Call) -> None:
    """Raise 403 for who may only read."""
    if not issue_records.may(call.hub, call.caller, call.repository, "triage"):
        raise GithubError(403, "Must have triage access to Repository.")


def _planned(call: Call) -> dict[str, Any]:
    """Labels, people and milestone of a body that names them."""
    changes: dict[str, Any] = {}
    if call.body.get("labels") is not None:
        names = [
            str(label["name"] if isinstance(label, dict) else label)
            for label in call.body["labels"]
        ]
        changes["labels"] = issue_records.labels_named(call.hub, call.repository, names)
    people = call.body.get("assignees")
    if people is None and call.body.get("assignee"):
        people = [call.body["assignee"]]
    if people is not None:
        for login in people:
            if not _assignable(call, login):
                raise invalid("Issue", "assignees")
        changes["assignees"] = list(people)
    if "milestone" in call.body:
        number = call.body["milestone"]
        known = [m["number"] for m in call.store.all("milestone", call.full_name)]
        if number is not None and number not in known:
            raise invalid("Issue", "milestone")
        changes["milestone"] = number
    return changes


def _fits(call: Call, issue: Record) -> bool:
    milestone, assignee = call.asked("milestone"), call.asked("assignee")
    planned = issue["milestone"]
    return (
        call.asked("creator") in ("", issue["user"])
        and call.asked("since") <= issue["updated_at"]
        and (assignee in ("", "*") or assignee in (issue["assignees"] or ["none"]))
        and (assignee != "*" or bool(issue["assignees"]))
        and (milestone in ("", "*") or milestone == str(planned or "none"))
        and (milestone != "*" or planned is not None)
    )


def _assignable(call: Call, login: str) -> bool:
    if not any(user["login"] == login for user in call.store.all("user")):
        return False
    someone = access.Caller(login, "classic")
    return issue_records.may(call.hub, someone, call.repository, "triage")


def _assigned(call: Call, issue: Record, people: list[str], action: str) -> dict[str, Any]:
    moved = set(people) ^ set(issue["assignees"])
    changed = issue_records.change(call.hub, issue, assignees=people)
    for login in sorted(moved):
        issue_events.note(call.hub, issue, call.caller.login, action, assignee=login)
        _tell(call, changed, action, assignee=accounts.simple(call.hub, login))
    return issue_records.shape(call.hub, call.repository, changed)


def _tell(call: Call, issue: Record, action: str, **more: Any) -> None:
    call.events.append(
        issue_events.event(call.hub, call.repository, issue, call.caller, action, **more)
    )


def _tell_label(call: Call, issue: Record, name: str, action: str) -> None:
    record = issue_records.label(call.hub, call.repository, name)
    if record is not None:
        issue_events.note(
            call.hub, issue, call.caller.login, action,
            label={"name": record["name"], "color": record["color"]},
        )  # fmt: skip
        _tell(call, issue, action, label=issue_records.label_shape(call.hub, record))
