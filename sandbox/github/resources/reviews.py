"""Reviews of pull requests, and comments on their lines."""

from typing import Any

from sandbox.github import accounts, issue_records, payloads, pull_records, pull_shapes, reviews
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, not_found, refused
from sandbox.github.listing import page
from sandbox.github.resources import pulls
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_MANY = "/repos/{owner}/{repo}/pulls/{pull_number}/reviews"
_ONE = _MANY + "/{review_id}"
_COMMENTS = "/repos/{owner}/{repo}/pulls/{pull_number}/comments"
_COMMENT = "/repos/{owner}/{repo}/pulls/comments/{comment_id}"
_STATES = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


@routes.get(_MANY, permission="pull_requests:read")
def list_all(call: Call) -> Answer:
    """Oldest first."""
    found = reviews.of_pull(call.hub, pulls.found(call))
    mine = call.caller.login
    seen = [review for review in found if review["state"] != "PENDING" or review["user"] == mine]
    return page(call, seen, lambda review: _shape(call, review))


@routes.post(_MANY, permission="pull_requests:write", role="read")
def create(call: Call) -> Answer:
    """A new one; without `event` it waits to be submitted."""
    pull = pulls.found(call)
    event = str(call.body.get("event") or "")
    record = {
        "number": pull["number"],
        "user": call.caller.login,
        "body": call.body.get("body") or "",
        "state": "PENDING",
        "commit_id": call.body.get("commit_id") or pull["head_sha"],
        "at": None,
    }
    if event:
        _check(call, pull, event, record["body"])
    review = call.store.add("review", call.full_name, record)
    for comment in call.body.get("comments") or []:
        _add_comment(call, pull, {**comment, "commit_id": record["commit_id"]}, review["id"])
    if event:
        review = _submit(call, pull, review, event)
    return Answer(_shape(call, review))


@routes.get(_ONE, permission="pull_requests:read")
def get(call: Call) -> Answer:
    """One review."""
    return Answer(_shape(call, _review(call)))


@routes.put(_ONE, permission="pull_requests:write", role="read")
def change(call: Call) -> Answer:
    """Change the words of one's own."""
    review = _review(call)
    if review["user"] != call.caller.login:
        pulls.require(call, "write")
    body = str(call.body.get("body") or "")
    return Answer(_shape(call, call.store.change("review", review["id"], body=body) or review))


@routes.delete(_ONE, permission="pull_requests:write", role="read")
def delete(call: Call) -> Answer:
    """Drop one that is not submitted."""
    review = _review(call)
    if review["state"] != "PENDING":
        raise refused("Can not delete a non-pending pull request review")
    call.store.remove("review", review["id"])
    return Answer(_shape(call, review))


@routes.post(_ONE + "/events", permission="pull_requests:write", role="read")
def submit(call: Call) -> Answer:
    """Submit one that waits."""
    pull, review = pulls.found(call), _review(call)
    event = call.body.get("event") or ""
    body = call.body.get("body") or review["body"]
    _check(call, pull, str(event), body)
    review = call.store.change("review", review["id"], body=body) or review
    return Answer(_shape(call, _submit(call, pull, review, str(event))))


@routes.put(_ONE + "/dismissals", permission="pull_requests:write")
def dismiss(call: Call) -> Answer:
    """Make an approval or a request for changes count no more."""
    review = _review(call)
    if not call.body.get("message"):
        raise GithubError(422, "Unprocessable Entity", ["Message cannot be blank"])
    if review["state"] not in reviews.DECISIVE:
        raise refused("Can not dismiss a comment, pending or dismissed pull request review")
    review = call.store.change("review", review["id"], state="DISMISSED") or review
    _tell(call, pulls.found(call), review, "dismissed")
    return Answer(_shape(call, review))


@routes.get(_ONE + "/comments", permission="pull_requests:read")
def list_of_review(call: Call) -> Answer:
    """The comments on lines that came with it."""
    review = _review(call)
    return page(
        call,
        [c for c in _comments(call) if c["review"] == review["id"]],
        lambda comment: _comment_shape(call, comment),
    )


@routes.get(_COMMENTS, permission="pull_requests:read")
def list_comments(call: Call) -> Answer:
    """All comments on lines of a pull request."""
    number = pulls.found(call)["number"]
    return page(
        call,
        [c for c in _comments(call) if c["number"] == number],
        lambda comment: _comment_shape(call, comment),
    )


@routes.post(_COMMENTS, permission="pull_requests:write", role="read")
def comment_on(call: Call) -> Answer:
    """A comment on a line."""
    pull = pulls.found(call)
    call.need("PullRequestReviewComment", "body", "path")
    return Answer(_comment_shape(call, _add_comment(call, pull, call.body, None)), 201)


@routes.delete(_COMMENT, permission="pull_requests:write")
def delete_comment(call: Call) -> Answer:
    """Drop a comment on a line."""
    if call.store.get("review_comment", call.params["comment_id"], call.full_name) is None:
        raise not_found()
    call.store.remove("review_comment", call.params["comment_id"])
    return Answer(status=204)


def _check(call: Call, pull: Record, event: str, body: str) -> None:
    if event not in _STATES:
        raise GithubError(422, "Unprocessable Entity", [f"Variable $event of {event} is invalid"])
    author = pull_records.issue_of(call.hub, pull)["user"]
    if event == "APPROVE":
        pulls.may_open(call)
        if author == call.caller.login:
            raise GithubError(
                422, "Unprocessable Entity", ["Can not approve your own pull request"]
            )
    if event == "REQUEST_CHANGES" and author == call.caller.login:
        raise GithubError(
            422, "Unprocessable Entity", ["Can not request changes on your own pull request"]
        )
    if event != "APPROVE" and not body and not call.body.get("comments"):
        raise GithubError(422, "Unprocessable Entity", ["Body cannot be blank"])


def _submit(call: Call, pull: Record, review: Record, event: str) -> Record:
    changes = {"state": _STATES[event], "at": call.hub.now()}
    submitted = call.store.change("review", review["id"], **changes) or review
    waiting = [login for login in pull["requested_reviewers"] if login != review["user"]]
    pull = call.store.change("pull", pull["id"], requested_reviewers=waiting) or pull
    issue_records.change(call.hub, pull_records.issue_of(call.hub, pull))
    _tell(call, pull, submitted, "submitted")
    return submitted


def _tell(call: Call, pull: Record, review: Record, action: str) -> None:
    payload = {
        "action": action,
        # Webhooks write it small, the API does not.
        "review": {**_shape(call, review), "state": review["state"].lower()},
        "pull_request": pull_shapes.simple(call.hub, call.repository, pull),
        **payloads.around(call.hub, call.repository, call.caller.login),
    }
    event = call.hub.event(
        call.caller,
        call.repository,
        "pull_request_review",
        ref=f"refs/pull/{pull['number']}/merge",
        sha=pull["merge_commit_sha"] or "",
        action=action,
        payload=payload,
    )
    call.events.append(event)


def _review(call: Call) -> Record:
    number = pulls.found(call)["number"]
    record = call.store.get("review", call.params["review_id"], call.full_name)
    if record is None or record["number"] != number:
        raise not_found()
    return record


def _shape(call: Call, review: Record) -> dict[str, Any]:
    return reviews.shape(call.hub, call.repository, review)


def _comments(call: Call) -> list[Record]:
    return call.store.all("review_comment", call.full_name)


def _add_comment(call: Call, pull: Record, given: dict[str, Any], review: int | None) -> Record:
    now = call.hub.now()
    record = {
        "number": pull["number"],
        "review": review,
        "user": call.caller.login,
        "body": str(given.get("body") or ""),
        "path": str(given.get("path") or ""),
        "line": int(given.get("line") or given.get("position") or 1),
        "side": given.get("side") or "RIGHT",
        "commit_id": given.get("commit_id") or pull["head_sha"],
        "created_at": now,
        "updated_at": now,
    }
    return call.store.add("review_comment", call.full_name, record)


def _comment_shape(call: Call, comment: Record) -> dict[str, Any]:
    address = call.url(f"/repos/{call.full_name}/pulls/comments/{comment['id']}")
    number = comment["number"]
    html = f"{call.hub.url}/{call.full_name}/pull/{number}#discussion_r{comment['id']}"
    pull = call.url(f"/repos/{call.full_name}/pulls/{number}")
    return {
        "url": address,
        "pull_request_review_id": comment["review"],
        "id": comment["id"],
        "node_id": f"PRRC_{comment['id']}",
        "diff_hunk": "",
        "path": comment["path"],
        "position": comment["line"],
        "original_position": comment["line"],
        "line": comment["line"],
        "original_line": comment["line"],
        "side": comment["side"],
        "commit_id": comment["commit_id"],
        "original_commit_id": comment["commit_id"],
        "user": accounts.simple(call.hub, comment["user"]),
        "body": comment["body"],
        "created_at": comment["created_at"],
        "updated_at": comment["updated_at"],
        "html_url": html,
        "pull_request_url": pull,
        "author_association": issue_records.association(call.hub, call.repository, comment["user"]),
        "_links": {
            "self": {"href": address},
            "html": {"href": html},
            "pull_request": {"href": pull},
        },
    }
