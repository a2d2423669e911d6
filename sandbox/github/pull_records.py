"""Pull requests: what is kept of them, and how they follow their branches.

Record `pull` (project = the base's full name) beside the `issue` of the same number. In the base's
repository `refs/pull/N/head` is the head's newest commit, wherever the head lives, and
`refs/pull/N/merge` what merging it would give, while that is possible.
"""

import re
from typing import Any

from sandbox.github import issue_events, issue_records, merging, reviews, rules
from sandbox.github.access import Caller
from sandbox.github.git import NONE, GitError, Person
from sandbox.github.hub import Event, Hub
from sandbox.github.pull_shapes import event
from sandbox.store import Record

# What in its text closes an issue with it.
_FIXES = re.compile(r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s+#(\d+)\b", re.IGNORECASE)


def find(hub: Hub, full_name: str, number: int | str) -> Record:
    """A pull request by its number. Raises 404."""
    return issue_records.pull_of(hub, issue_records.find(hub, full_name, number))


def issue_of(hub: Hub, pull: Record) -> Record:
    """The issue that carries its title, state, labels and people."""
    return issue_records.find(hub, pull["project"], pull["number"])


def is_open(hub: Hub, pull: Record) -> bool:
    """Whether it waits to be merged or closed."""
    return bool(issue_of(hub, pull)["state"] == "open")


def person(hub: Hub, login: str) -> Person:
    """Whose name a commit carries that is made for somebody."""
    for record in hub.store.all("user"):
        if record["login"] == login:
            return Person(record["name"], record["email"])
    return Person(login, f"{login}@users.noreply.github.test")


def head_repository(hub: Hub, pull: Record) -> Record | None:
    """Where its head lives: the base's repository, a fork, or nothing that is still there."""
    return hub.store.get("repository", pull["head_repository"])


def base_repository(hub: Hub, pull: Record) -> Record:
    """Where it is to be merged."""
    return hub.repository(*pull["project"].split("/", 1))


def create(
    hub: Hub,
    repository: Record,
    issue: Record,
    head: tuple[Record, str],
    base_ref: str,
    *,
    draft: bool = False,
) -> Record:
    """A new pull request of an issue; `head`: repository and branch. Its refs are made."""
    head_repository_record, head_ref = head
    record = {
        "number": issue["number"],
        "head_repository": head_repository_record["id"],
        "head_owner": head_repository_record["owner"],
        "head_ref": head_ref,
        "head_sha": "",
        "base_ref": base_ref,
        "base_sha": "",
        "draft": draft,
        "mergeable": None,
        "merge_commit_sha": None,
        "merged": False,
        "merged_at": None,
        "merged_by": None,
        "requested_reviewers": [],
        "pushed_by": issue["user"],
        "maintainer_can_modify": head_repository_record["id"] != repository["id"],
    }
    hub.store.change("issue", issue["id"], pull=True, draft=draft)
    added = hub.store.add("pull", repository["full_name"], record)
    return refresh(hub, added)


def current(hub: Hub, pull: Record) -> Record:
    """It as it stands now: as at GitHub, the merge is tried anew once somebody looks."""
    if not pull.get("stale"):
        return pull
    with hub.store.transaction():
        known = hub.store.get("pull", pull["id"]) or pull
        return refresh(hub, known) if known.get("stale") and is_open(hub, known) else known


def refresh(hub: Hub, pull: Record) -> Record:
    """Take up where its branches stand now, fetch the head, and try the merge."""
    repository = base_repository(hub, pull)
    git = hub.git(repository)
    number = pull["number"]
    source = head_repository(hub, pull)
    changes: dict[str, Any] = {"stale": False}
    if source is not None:
        branch = f"refs/heads/{pull['head_ref']}"
        sha = hub.git(source).resolve(branch)
        if sha is not None:
            if source["id"] != repository["id"]:
                folder = str(hub.git(source).folder)
                git.run(
                    "fetch", "--quiet", "--no-tags", folder, f"+{branch}:refs/pull/{number}/head"
                )
            git.update(f"refs/pull/{number}/head", sha)
            changes["head_sha"] = sha
    base = git.resolve(f"refs/heads/{pull['base_ref']}")
    if base is not None:
        changes["base_sha"] = base
    changed = hub.store.change("pull", pull["id"], **changes) or pull
    return _try_merge(hub, repository, changed)


def _try_merge(hub: Hub, repository: Record, pull: Record) -> Record:
    git, ref = hub.git(repository), f"refs/pull/{pull['number']}/merge"
    head, base = pull["head_sha"], pull["base_sha"]
    author = person(hub, issue_of(hub, pull)["user"])
    try:
        sha = merging.merge(git, base, head, f"Merge {head} into {base}", author, hub.store.now())
    except (merging.ConflictError, GitError):
        git.delete(ref)
        changes: dict[str, Any] = {"mergeable": False, "merge_commit_sha": None}
    else:
        git.update(ref, sha)
        changes = {"mergeable": True, "merge_commit_sha": sha}
    return hub.store.change("pull", pull["id"], **changes) or pull


def close(hub: Hub, pull: Record, caller: Caller) -> list[Event]:
    """Close it unmerged; nothing when it is closed already."""
    issue = issue_of(hub, pull)
    if issue["state"] == "closed":
        return []
    issue_records.change(hub, issue, state="closed", closed_by=caller.login)
    return [event(hub, base_repository(hub, pull), pull, caller, "closed")]


def mark_merged(hub: Hub, pull: Record, caller: Caller, sha: str) -> list[Event]:
    """Close it as merged by that commit, and close the issues it says it fixes."""
    now = hub.now()
    merged = hub.store.change(
        "pull", pull["id"], merged=True, merged_at=now, merged_by=caller.login, mergeable=None,
        merge_commit_sha=sha,
    ) or pull  # fmt: skip
    issue = issue_of(hub, merged)
    issue_records.change(hub, issue, state="closed", closed_by=caller.login, merged_at=now)
    repository = base_repository(hub, merged)
    hub.git(repository).delete(f"refs/pull/{pull['number']}/merge")
    told = [event(hub, repository, merged, caller, "closed")]
    if pull["base_ref"] == repository["default_branch"]:
        told += _close_fixed(hub, repository, caller, issue)
    return told


def _close_fixed(hub: Hub, repository: Record, caller: Caller, issue: Record) -> list[Event]:
    told: list[Event] = []
    numbers = set(_FIXES.findall(issue["body"] or ""))
    for other in hub.store.all("issue", repository["full_name"]):
        if str(other["number"]) in numbers and other["state"] == "open" and not other["pull"]:
            closed = issue_records.change(hub, other, state="closed", closed_by=caller.login)
            issue_events.note(hub, closed, caller.login, "closed")
            told.append(issue_events.event(hub, repository, closed, caller, "closed"))
    return told


def branch_moved(
    hub: Hub, repository: Record, caller: Caller, ref: str, old: str, new: str
) -> list[Event]:
    """What a branch that moved, or is gone, does to the open pull requests from it and to it."""
    if not ref.startswith("refs/heads/"):
        return []
    branch = ref.removeprefix("refs/heads/")
    told: list[Event] = []
    inside: set[str] | None = None
    for pull in hub.store.all("pull"):
        from_it = pull["head_repository"] == repository["id"] and pull["head_ref"] == branch
        to_it = pull["project"] == repository["full_name"] and pull["base_ref"] == branch
        if not (from_it or to_it) or not is_open(hub, pull):
            continue
        if new == NONE:
            told += close(hub, pull, caller)
        elif from_it:
            told += _head_moved(hub, pull, caller, old, new)
        else:
            if inside is None:
                inside = _inside(hub, repository, new)
            if f"refs/pull/{pull['number']}/head" in inside:
                # Somebody merged it with git and pushed.
                told += mark_merged(hub, pull, caller, new)
            else:
                hub.store.change("pull", pull["id"], stale=True)
    return told


def _inside(hub: Hub, repository: Record, sha: str) -> set[str]:
    """The refs of pull requests whose heads a commit holds."""
    found = hub.git(repository).run(
        "for-each-ref", "--format=%(refname)", f"--merged={sha}", "refs/pull/"
    )
    return set(found.splitlines())


def _head_moved(hub: Hub, pull: Record, caller: Caller, old: str, new: str) -> list[Event]:
    issue_records.change(hub, issue_of(hub, pull))
    hub.store.change("pull", pull["id"], pushed_by=caller.login)
    moved = refresh(hub, pull)
    repository = base_repository(hub, moved)
    if rules.merge_requirements(hub, repository, moved["base_ref"]).dismiss_stale:
        reviews.dismiss_stale(hub, moved)
    more = {"before": old, "after": new}
    return [event(hub, repository, moved, caller, "synchronize", **more)]
