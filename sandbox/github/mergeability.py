"""Whether a pull request may be merged, and if not, why."""

from sandbox.github import checks, issue_records, reviews, rules
from sandbox.github.access import Caller
from sandbox.github.hub import Hub
from sandbox.store import Record


def unmet(hub: Hub, repository: Record, pull: Record, caller: Caller | None = None) -> list[str]:
    """What the rules of its base still ask, in GitHub's words; of a caller: less what is theirs
    to bypass."""
    needed = rules.merge_requirements(hub, repository, pull["base_ref"], caller)
    told: list[str] = []
    if needed.approvals is not None:
        told += _reviews(hub, repository, pull, needed)
    states = checks.contexts(hub, repository["full_name"], pull["head_sha"])
    missing = [name for name in needed.checks if states.get(name) != "success"]
    if len(missing) == 1:
        verb = {"failure": "failing", "pending": "in progress"}.get(states.get(missing[0], ""))
        told.append(f'Required status check "{missing[0]}" is {verb or "expected"}.')
    elif missing:
        told.append(f"{len(missing)} of {len(needed.checks)} required status checks are expected.")
    if needed.locked:
        told.append("Cannot update this protected ref.")
    return told


def _reviews(hub: Hub, repository: Record, pull: Record, needed: rules.Requirements) -> list[str]:
    told: list[str] = []
    count = needed.approvals or 0
    if count and reviews.changes_requested(hub, repository, pull):
        told.append("Changes have been requested.")
    if reviews.approvals(hub, repository, pull) < count:
        many = "reviews are" if count > 1 else "review is"
        told.append(f"At least {count} approving {many} required by reviewers with write access.")
    if needed.last_push_approval and not reviews.approved_last_push(hub, repository, pull):
        told.append("New changes require approval from someone other than the last pusher.")
    return told


def is_behind(hub: Hub, repository: Record, pull: Record) -> bool:
    """Whether the base has commits that it lacks."""
    return not hub.git(repository).is_ancestor(pull["base_sha"], pull["head_sha"])


def state(hub: Hub, repository: Record, pull: Record) -> str:
    """GitHub's `mergeable_state`: clean, dirty, blocked, behind, unstable, draft or unknown."""
    issue = issue_records.find(hub, pull["project"], pull["number"])
    if issue["state"] == "closed" or pull["mergeable"] is None:
        return "unknown"
    if not pull["mergeable"]:
        return "dirty"
    if pull["draft"]:
        return "draft"
    needed = rules.merge_requirements(hub, repository, pull["base_ref"])
    if needed.strict and is_behind(hub, repository, pull):
        return "behind"
    if unmet(hub, repository, pull):
        return "blocked"
    states = checks.contexts(hub, repository["full_name"], pull["head_sha"])
    return "clean" if set(states.values()) <= {"success"} else "unstable"
