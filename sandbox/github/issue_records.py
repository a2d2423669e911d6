"""Issues, and what pull requests share with them: number, title, state, labels, people.

A pull request is an issue with `pull` set, plus a record of its own (pull_records.py). Records:
`issue`, `label`, `milestone` and `comment`, project = the repository's full name.
"""

from collections.abc import Sequence
from typing import Any

from sandbox.github import access, accounts
from sandbox.github.access import Caller
from sandbox.github.errors import not_found
from sandbox.github.hub import Hub
from sandbox.store import Record

# What a new repository has.
DEFAULT_LABELS = {
    "bug": ("d73a4a", "Something isn't working"),
    "documentation": ("0075ca", "Improvements or additions to documentation"),
    "duplicate": ("cfd3d7", "This issue or pull request already exists"),
    "enhancement": ("a2eeef", "New feature or request"),
    "good first issue": ("7057ff", "Good for newcomers"),
    "help wanted": ("008672", "Extra attention is needed"),
    "invalid": ("e4e669", "This doesn't seem right"),
    "question": ("d876e3", "Further information is requested"),
    "wontfix": ("ffffff", "This will not be worked on"),
}


def create(
    hub: Hub, repository: Record, user: str, title: str, body: str | None, *, pull: bool = False
) -> Record:
    """A new open issue with the repository's next number."""
    now = hub.now()
    record = {
        "number": hub.store.next_number(f"issues of {repository['id']}"),
        "title": title,
        "body": body,
        "state": "open",
        "state_reason": None,
        "user": user,
        "labels": [],
        "assignees": [],
        "milestone": None,
        "locked": False,
        "pull": pull,
        "draft": False,
        "created_at": now,
        "updated_at": now,
        "closed_at": None,
        "closed_by": None,
    }
    return hub.store.add("issue", repository["full_name"], record)


def find(hub: Hub, full_name: str, number: int | str) -> Record:
    """An issue or pull request by its number. Raises 404."""
    for record in hub.store.all("issue", full_name):
        if str(record["number"]) == str(number):
            return record
    raise not_found()


def pull_of(hub: Hub, issue: Record) -> Record:
    """The `pull` record of an issue that is a pull request. Raises 404 when it is none."""
    for record in hub.store.all("pull", issue["project"]):
        if record["number"] == issue["number"]:
            return record
    raise not_found()


def change(hub: Hub, issue: Record, **changes: Any) -> Record:
    """Change an issue; closing and opening again keep who and when."""
    if changes.get("state", issue["state"]) != issue["state"]:
        closing = changes["state"] == "closed"
        changes["closed_at"] = hub.now() if closing else None
        changes.setdefault("closed_by", None)
        reason = changes.get("state_reason") or "completed"
        changes["state_reason"] = (None if issue["pull"] else reason) if closing else "reopened"
        if issue["pull"] and not closing:
            changes["state_reason"] = None
    changed = hub.store.change("issue", issue["id"], updated_at=hub.now(), **changes)
    return changed or issue


def may(hub: Hub, caller: Caller, repository: Record, role: str) -> bool:
    """Whether the caller's role is at least this one."""
    has = access.role(hub.store, caller, repository)
    return access.ROLES.index(has) >= access.ROLES.index(role)


def association(hub: Hub, repository: Record, login: str) -> str:
    """What somebody is to a repository: OWNER, MEMBER, COLLABORATOR or NONE."""
    if login == repository["owner"]:
        return "OWNER"
    for organisation in hub.store.all("organization"):
        if organisation["login"] == repository["owner"] and login in organisation["members"]:
            return "MEMBER"
    return "COLLABORATOR" if login in repository["collaborators"] else "NONE"


def labels(hub: Hub, repository: Record) -> list[Record]:
    """The repository's labels; the first time somebody looks, GitHub's own are made."""
    known = f"labels of {repository['id']}"
    if not hub.store.setting(known):
        with hub.store.transaction():
            # Two may look for the first time at once.
            fresh = DEFAULT_LABELS if not hub.store.setting(known) else {}
            for name, (color, description) in fresh.items():
                add_label(hub, repository, name, color, description, default=True)
            hub.store.set_setting(known, True)
    return hub.store.all("label", repository["full_name"])


def add_label(
    hub: Hub,
    repository: Record,
    name: str,
    color: str = "ededed",
    description: str | None = None,
    *,
    default: bool = False,
) -> Record:
    """A new label."""
    record = {"name": name, "color": color, "description": description, "default": default}
    return hub.store.add("label", repository["full_name"], record)


def label(hub: Hub, repository: Record, name: str) -> Record | None:
    """A label by its name, whose case does not count; None when there is none."""
    for record in labels(hub, repository):
        if record["name"].lower() == name.lower():
            return record
    return None


def labels_named(hub: Hub, repository: Record, names: Sequence[str]) -> list[int]:
    """The labels' numbers, in order and once each; unknown ones are made, as GitHub does."""
    found: list[int] = []
    for name in names:
        record = label(hub, repository, name) or add_label(hub, repository, name)
        if record["id"] not in found:
            found.append(record["id"])
    return found


def label_names(hub: Hub, issue: Record) -> list[str]:
    """The names of an issue's labels."""
    return [record["name"] for record in _labels_of(hub, issue)]


def _labels_of(hub: Hub, issue: Record) -> list[Record]:
    return [r for number in issue["labels"] if (r := hub.store.get("label", number))]


def comments(hub: Hub, issue: Record) -> list[Record]:
    """An issue's comments, oldest first."""
    found = hub.store.all("comment", issue["project"])
    return [comment for comment in found if comment["issue"] == issue["number"]]


def milestone(hub: Hub, issue: Record) -> Record | None:
    """The milestone an issue is for."""
    for record in hub.store.all("milestone", issue["project"]):
        if record["number"] == issue["milestone"]:
            return record
    return None


def label_shape(hub: Hub, record: Record) -> dict[str, Any]:
    """A label as the API shows it."""
    return {
        "id": record["id"],
        "node_id": f"LA_{record['id']}",
        "url": f"{hub.api}/repos/{record['project']}/labels/{record['name'].replace(' ', '%20')}",
        "name": record["name"],
        "description": record["description"],
        "color": record["color"],
        "default": record["default"],
    }


def milestone_shape(hub: Hub, record: Record) -> dict[str, Any]:
    """A milestone as the API shows it, with how much of it is done."""
    address = f"{hub.api}/repos/{record['project']}/milestones/{record['number']}"
    states = [
        issue["state"]
        for issue in hub.store.all("issue", record["project"])
        if issue["milestone"] == record["number"]
    ]
    return {
        "url": address,
        "html_url": f"{hub.url}/{record['project']}/milestone/{record['number']}",
        "labels_url": f"{address}/labels",
        "id": record["id"],
        "node_id": f"MI_{record['id']}",
        "number": record["number"],
        "state": record["state"],
        "title": record["title"],
        "description": record["description"],
        "creator": accounts.simple(hub, record["creator"]),
        "open_issues": states.count("open"),
        "closed_issues": states.count("closed"),
        "created_at": record["created_at"],
        "updated_at": record["updated_at"],
        "closed_at": record["closed_at"],
        "due_on": record["due_on"],
    }


def shared_shape(hub: Hub, repository: Record, issue: Record) -> dict[str, Any]:
    """What issues and pull requests show alike."""
    people = [accounts.simple(hub, login) for login in issue["assignees"]]
    planned = milestone(hub, issue)
    return {
        "number": issue["number"],
        "state": issue["state"],
        "locked": issue["locked"],
        "active_lock_reason": None,
        "title": issue["title"],
        "user": accounts.simple(hub, issue["user"]),
        "body": issue["body"],
        "labels": [label_shape(hub, record) for record in _labels_of(hub, issue)],
        "milestone": milestone_shape(hub, planned) if planned else None,
        "created_at": issue["created_at"],
        "updated_at": issue["updated_at"],
        "closed_at": issue["closed_at"],
        "assignee": people[0] if people else None,
        "assignees": people,
        "author_association": association(hub, repository, issue["user"]),
    }


def shape(hub: Hub, repository: Record, issue: Record) -> dict[str, Any]:
    """An issue as the API shows it; a pull request is one, too."""
    full_name, number = issue["project"], issue["number"]
    address = f"{hub.api}/repos/{full_name}/issues/{number}"
    html = f"{hub.url}/{full_name}/{'pull' if issue['pull'] else 'issues'}/{number}"
    shown = {
        **shared_shape(hub, repository, issue),
        "id": issue["id"],
        "node_id": f"I_{issue['id']}",
        "url": address,
        "repository_url": f"{hub.api}/repos/{full_name}",
        "labels_url": f"{address}/labels{{/name}}",
        "comments_url": f"{address}/comments",
        "events_url": f"{address}/events",
        "timeline_url": f"{address}/timeline",
        "html_url": html,
        "state_reason": issue["state_reason"],
        "comments": len(comments(hub, issue)),
        "closed_by": accounts.simple(hub, issue["closed_by"]) if issue["closed_by"] else None,
        "performed_via_github_app": None,
    }
    if issue["pull"]:
        shown["draft"] = issue["draft"]
        shown["pull_request"] = {
            "url": f"{hub.api}/repos/{full_name}/pulls/{number}",
            "html_url": html,
            "diff_url": f"{html}.diff",
            "patch_url": f"{html}.patch",
            "merged_at": issue.get("merged_at"),
        }
    return shown
