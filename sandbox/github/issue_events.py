"""The events of issues, and the timeline that is kept of them."""

from typing import Any

from sandbox.github import accounts, issue_records, payloads, pull_shapes
from sandbox.github.access import Caller
from sandbox.github.git import NONE
from sandbox.github.hub import Event, Hub
from sandbox.store import Record


def event(
    hub: Hub, repository: Record, issue: Record, caller: Caller, action: str, **more: Any
) -> Event:
    """An `issues` event, or of a pull request a `pull_request` one; `more` goes in its payload."""
    if issue["pull"]:
        pull = issue_records.pull_of(hub, issue)
        return pull_shapes.event(hub, repository, pull, caller, action, **more)
    return told(hub, repository, issue, caller, "issues", action, **more)


def told(
    hub: Hub, repository: Record, issue: Record, caller: Caller, name: str, action: str, **more: Any
) -> Event:
    """An event about an issue that runs on the default branch, as those of comments do."""
    branch = repository["default_branch"]
    payload = {
        "action": action,
        "issue": issue_records.shape(hub, repository, issue),
        **more,
        **payloads.around(hub, repository, caller.login),
    }
    return hub.event(
        caller,
        repository,
        name,
        ref=f"refs/heads/{branch}",
        sha=hub.git(repository).resolve(f"refs/heads/{branch}") or NONE,
        action=action,
        payload=payload,
    )


def note(hub: Hub, issue: Record, actor: str, name: str, **more: Any) -> None:
    """Keep what happened to an issue for its list of events."""
    record = {"number": issue["number"], "actor": actor, "event": name, "at": hub.now(), **more}
    hub.store.add("issue_event", issue["project"], record)


def shape(hub: Hub, record: Record) -> dict[str, Any]:
    """An entry of an issue's list of events."""
    shown = {
        "id": record["id"],
        "node_id": f"IE_{record['id']}",
        "url": f"{hub.api}/repos/{record['project']}/issues/events/{record['id']}",
        "actor": accounts.simple(hub, record["actor"]),
        "event": record["event"],
        "commit_id": None,
        "commit_url": None,
        "created_at": record["at"],
        "performed_via_github_app": None,
    }
    if "label" in record:
        shown["label"] = record["label"]
    if "assignee" in record:
        shown["assignee"] = accounts.simple(hub, record["assignee"])
    return shown
