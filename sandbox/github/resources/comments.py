"""Comments on issues and pull requests."""

from typing import Any

from sandbox.github import accounts, issue_events, issue_records
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, not_found
from sandbox.github.listing import page
from sandbox.github.resources import issues
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_ALL = "/repos/{owner}/{repo}/issues/comments"
_ONE = _ALL + "/{comment_id}"
_OF_ISSUE = "/repos/{owner}/{repo}/issues/{issue_number}/comments"
_LONGEST = 65536


@routes.get(_OF_ISSUE, permission=issues.READ)
def list_of_issue(call: Call) -> Answer:
    """Oldest first; `since` a time."""
    found = issue_records.comments(call.hub, issues.found(call))
    since = call.asked("since")
    return page(
        call, [c for c in found if c["updated_at"] >= since], lambda comment: _shape(call, comment)
    )


@routes.post(_OF_ISSUE, permission=issues.WRITE, role="read")
def create(call: Call) -> Answer:
    """A new one, by anybody who may read."""
    issue = issues.found(call)
    now = call.hub.now()
    record = {
        "issue": issue["number"],
        "user": call.caller.login,
        "body": _body(call),
        "created_at": now,
        "updated_at": now,
    }
    comment = call.store.add("comment", call.full_name, record)
    issue = issue_records.change(call.hub, issue)
    _tell(call, issue, comment, "created")
    return Answer(_shape(call, comment), 201)


@routes.get(_ALL, permission="issues:read")
def list_all(call: Call) -> Answer:
    """Those of a repository."""
    found = call.store.all("comment", call.full_name)
    return page(call, found, lambda comment: _shape(call, comment))


@routes.get(_ONE, permission=issues.READ)
def get(call: Call) -> Answer:
    """One comment."""
    return Answer(_shape(call, _comment(call)))


@routes.patch(_ONE, permission=issues.WRITE, role="read")
def change(call: Call) -> Answer:
    """Change its text; by its author or who may write."""
    comment = _own(call)
    changed = call.store.change(
        "comment", comment["id"], body=_body(call), updated_at=call.hub.now()
    )
    _tell(call, _issue(call, comment), changed or comment, "edited")
    return Answer(_shape(call, changed or comment))


@routes.delete(_ONE, permission=issues.WRITE, role="read")
def delete(call: Call) -> Answer:
    """Drop it; by its author or who may write."""
    comment = _own(call)
    call.store.remove("comment", comment["id"])
    _tell(call, _issue(call, comment), comment, "deleted")
    return Answer(status=204)


def _body(call: Call) -> str:
    (body,) = call.need("IssueComment", "body")
    if len(str(body)) > _LONGEST:
        told = {
            "resource": "IssueComment", "code": "unprocessable", "field": "data",
            "message": "Body is too long (maximum is 65536 characters)",
        }  # fmt: skip
        raise GithubError(422, "Validation Failed", [told])
    return str(body)


def _comment(call: Call) -> Record:
    record = call.store.get("comment", call.params["comment_id"], call.full_name)
    if record is None:
        raise not_found()
    issues.allowed(call, _issue(call, record))
    return record


def _own(call: Call) -> Record:
    comment = _comment(call)
    mine = comment["user"] == call.caller.login
    if not mine and not issue_records.may(call.hub, call.caller, call.repository, "write"):
        raise GithubError(403, "Must have write access to Repository.")
    return comment


def _issue(call: Call, comment: Record) -> Record:
    return issue_records.find(call.hub, call.full_name, comment["issue"])


def _tell(call: Call, issue: Record, comment: Record, action: str) -> None:
    call.events.append(
        issue_events.told(
            call.hub,
            call.repository,
            issue,
            call.caller,
            "issue_comment",
            action,
            comment=_shape(call, comment),
        )
    )


def _shape(call: Call, comment: Record) -> dict[str, Any]:
    issue = _issue(call, comment)
    api = call.url(f"/repos/{call.full_name}/issues")
    kind = "pull" if issue["pull"] else "issues"
    html = f"{call.hub.url}/{call.full_name}/{kind}/{issue['number']}"
    return {
        "id": comment["id"],
        "node_id": f"IC_{comment['id']}",
        "url": f"{api}/comments/{comment['id']}",
        "html_url": f"{html}#issuecomment-{comment['id']}",
        "issue_url": f"{api}/{issue['number']}",
        "user": accounts.simple(call.hub, comment["user"]),
        "body": comment["body"],
        "created_at": comment["created_at"],
        "updated_at": comment["updated_at"],
        "author_association": issue_records.association(call.hub, call.repository, comment["user"]),
        "performed_via_github_app": None,
    }
