"""Comments on commits: where a branch without a pull request is told something."""

from typing import Any

from sandbox.github import accounts, issue_records, payloads
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, not_found, refused
from sandbox.github.git import NONE
from sandbox.github.listing import page
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_OF_COMMIT = "/repos/{owner}/{repo}/commits/{commit_sha}/comments"
_ALL = "/repos/{owner}/{repo}/comments"
_ONE = _ALL + "/{comment_id}"


@routes.get(_OF_COMMIT, permission="contents:read")
def list_of_commit(call: Call) -> Answer:
    """Oldest first."""
    sha = _commit(call)
    found = call.store.all("commit_comment", call.full_name)
    return page(call, [c for c in found if c["commit"] == sha], lambda c: _shape(call, c))


@routes.post(_OF_COMMIT, permission="contents:write", role="read")
def create(call: Call) -> Answer:
    """A new one, by anybody who may read."""
    (body,) = call.need("CommitComment", "body")
    now = call.hub.now()
    record = {
        "commit": _commit(call),
        "user": call.caller.login,
        "body": str(body),
        "path": call.body.get("path"),
        "position": call.body.get("position"),
        "line": call.body.get("line"),
        "created_at": now,
        "updated_at": now,
    }
    comment = call.store.add("commit_comment", call.full_name, record)
    default = f"refs/heads/{call.repository['default_branch']}"
    payload = {
        "action": "created",
        "comment": _shape(call, comment),
        **payloads.around(call.hub, call.repository, call.caller.login),
    }
    sha = call.hub.git(call.repository).resolve(default) or NONE
    call.events.append(
        call.hub.event(
            call.caller,
            call.repository,
            "commit_comment",
            ref=default,
            sha=sha,
            action="created",
            payload=payload,
        )
    )
    return Answer(_shape(call, comment), 201)


@routes.get(_ALL, permission="contents:read")
def list_all(call: Call) -> Answer:
    """Those of a repository."""
    return page(call, call.store.all("commit_comment", call.full_name), lambda c: _shape(call, c))


@routes.get(_ONE, permission="contents:read")
def get(call: Call) -> Answer:
    """One comment."""
    return Answer(_shape(call, _comment(call)))


@routes.patch(_ONE, permission="contents:write", role="read")
def change(call: Call) -> Answer:
    """Change its text; by its author or who may write."""
    comment = _own(call)
    (body,) = call.need("CommitComment", "body")
    changes = {"body": str(body), "updated_at": call.hub.now()}
    changed = call.store.change("commit_comment", comment["id"], **changes)
    return Answer(_shape(call, changed or comment))


@routes.delete(_ONE, permission="contents:write", role="read")
def delete(call: Call) -> Answer:
    """Drop it; by its author or who may write."""
    call.store.remove("commit_comment", _own(call)["id"])
    return Answer(status=204)


def _commit(call: Call) -> str:
    sha = call.hub.git(call.repository).resolve(call.params["commit_sha"])
    if sha is None:
        raise refused(f"No commit found for SHA: {call.params['commit_sha']}")
    return sha


def _comment(call: Call) -> Record:
    record = call.store.get("commit_comment", call.params["comment_id"], call.full_name)
    if record is None:
        raise not_found()
    return record


def _own(call: Call) -> Record:
    comment = _comment(call)
    mine = comment["user"] == call.caller.login
    if not mine and not issue_records.may(call.hub, call.caller, call.repository, "write"):
        raise GithubError(403, "Must have write access to Repository.")
    return comment


def _shape(call: Call, comment: Record) -> dict[str, Any]:
    html = f"{call.hub.url}/{call.full_name}/commit/{comment['commit']}"
    return {
        "id": comment["id"],
        "node_id": f"CC_{comment['id']}",
        "url": call.url(f"/repos/{call.full_name}/comments/{comment['id']}"),
        "html_url": f"{html}#commitcomment-{comment['id']}",
        "body": comment["body"],
        "path": comment["path"],
        "position": comment["position"],
        "line": comment["line"],
        "commit_id": comment["commit"],
        "user": accounts.simple(call.hub, comment["user"]),
        "created_at": comment["created_at"],
        "updated_at": comment["updated_at"],
        "author_association": issue_records.association(call.hub, call.repository, comment["user"]),
    }
