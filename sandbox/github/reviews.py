"""What people said of a pull request's commits, and which of it counts."""

from typing import Any

from sandbox.github import accounts, issue_records
from sandbox.github.access import Caller
from sandbox.github.hub import Hub
from sandbox.store import Record

DECISIVE = ("APPROVED", "CHANGES_REQUESTED")


def of_pull(hub: Hub, pull: Record) -> list[Record]:
    """Its reviews, oldest first; records `review`, project = the repository's full name."""
    found = hub.store.all("review", pull["project"])
    return [review for review in found if review["number"] == pull["number"]]


def standing(hub: Hub, repository: Record, pull: Record) -> dict[str, Record]:
    """Login → the review that counts: the last decisive one of each who may write here."""
    newest: dict[str, Record] = {}
    for review in of_pull(hub, pull):
        if review["state"] in DECISIVE:
            newest[review["user"]] = review
        elif review["state"] == "DISMISSED" and review["user"] in newest:
            # Dismissed ones keep their place: an older one does not count again.
            newest.pop(review["user"])
    return {
        login: review
        for login, review in newest.items()
        if issue_records.may(hub, Caller(login, "classic"), repository, "write")
    }


def approvals(hub: Hub, repository: Record, pull: Record) -> int:
    """How many who may write here agree."""
    found = standing(hub, repository, pull).values()
    return sum(review["state"] == "APPROVED" for review in found)


def approved_last_push(hub: Hub, repository: Record, pull: Record) -> bool:
    """Whether somebody else than who pushed the newest commit agrees to it."""
    return any(
        review["state"] == "APPROVED"
        and review["commit_id"] == pull["head_sha"]
        and login != pull["pushed_by"]
        for login, review in standing(hub, repository, pull).items()
    )


def changes_requested(hub: Hub, repository: Record, pull: Record) -> list[str]:
    """Who may write here and wants changes."""
    found = standing(hub, repository, pull)
    return [login for login, review in found.items() if review["state"] == "CHANGES_REQUESTED"]


def dismiss_stale(hub: Hub, pull: Record) -> None:
    """Approvals of commits that are not the newest count no more."""
    for review in of_pull(hub, pull):
        if review["state"] == "APPROVED" and review["commit_id"] != pull["head_sha"]:
            hub.store.change("review", review["id"], state="DISMISSED")


def shape(hub: Hub, repository: Record, review: Record) -> dict[str, Any]:
    """A review as the API shows it."""
    full_name, number = review["project"], review["number"]
    html = f"{hub.url}/{full_name}/pull/{number}#pullrequestreview-{review['id']}"
    pull = f"{hub.api}/repos/{full_name}/pulls/{number}"
    shown = {
        "id": review["id"],
        "node_id": f"PRR_{review['id']}",
        "user": accounts.simple(hub, review["user"]),
        "body": review["body"],
        "state": review["state"],
        "html_url": html,
        "pull_request_url": pull,
        "_links": {"html": {"href": html}, "pull_request": {"href": pull}},
        "commit_id": review["commit_id"],
        "author_association": issue_records.association(hub, repository, review["user"]),
    }
    return {**shown, **({"submitted_at": review["at"]} if review["at"] else {})}
