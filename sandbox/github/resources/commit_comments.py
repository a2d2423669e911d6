"""Comments on commits."""

from typing import Any

from sandbox.github import accounts
from sandbox.github.call import Call
from sandbox.github.errors import GithubError
from sandbox.github.listing import page
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_OF_COMMIT = "/repos/{owner}/{repo}/commits/{commit_sha}/comments"
_ALL = "/repos/{owner}/{repo}/comments"
_KIND = "commit_comment"


@routes.post(_OF_COMMIT, permission="contents:write", role="read")
def create(call: Call) -> Answer:
    """A new one; by anybody who may read, with a token that may write contents."""
    (body,) = call.need("CommitComment", "body")
    now = call.hub.now()
    record = {
        "commit": _commit(call),
        "user": call.caller.login,
        "body": str(body),
        "path": call.body.get("path"),
        "position": call.body.get("position"),
        "created_at": now,
        "updated_at": now,
    }
    return Answer(_shape(call, call.store.add(_KIND, call.full_name, record)), 201)


@routes.get(_OF_COMMIT, permission="contents:read")
def list_of_commit(call: Call) -> Answer:
    """Oldest first."""
    sha = _commit(call)
    found = [each for each in call.store.all(_KIND, call.full_name) if each["commit"] == sha]
    return page(call, found, lambda comment: _shape(call, comment))


@routes.get(_ALL, permission="contents:read")
def list_all(call: Call) -> Answer:
    """Those of a repository."""
    found = call.store.all(_KIND, call.full_name)
    return page(call, found, lambda comment: _shape(call, comment))


def _commit(call: Call) -> str:
    sha = call.hub.git(call.repository).resolve(call.params["commit_sha"])
    if sha is None:
        raise GithubError(422, f"No commit found for SHA: {call.params['commit_sha']}")
    return sha


def _shape(call: Call, comment: Record) -> dict[str, Any]:
    html = f"{call.hub.url}/{call.full_name}/commit/{comment['commit']}"
    return {
        "id": comment["id"],
        "node_id": f"CC_{comment['id']}",
        "url": call.url(f"/repos/{call.full_name}/comments/{comment['id']}"),
        "html_url": f"{html}#commitcomment-{comment['id']}",
        "commit_id": comment["commit"],
        "user": accounts.simple(call.hub, comment["user"]),
        "body": comment["body"],
        "path": comment["path"],
        "position": comment["position"],
        "line": None,
        "created_at": comment["created_at"],
        "updated_at": comment["updated_at"],
        "author_association": "COLLABORATOR",
    }
