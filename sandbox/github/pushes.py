"""A push: whether it may be, and what is told of it.

Which refs move is checked against the repository's rules. What git alone can tell, once it has
the new commits (whether history is rewritten), its hook does, and the hook refuses for both: a
push is answered ref by ref.
"""

from typing import Any

from sandbox.github import pull_records, push_hook, rules
from sandbox.github.access import Caller
from sandbox.github.errors import GithubError
from sandbox.github.git import NONE
from sandbox.github.hub import Event, Hub
from sandbox.store import Record

_BY_HISTORY = ("non_fast_forward", "required_linear_history")
_WORKFLOW_FILES = {
    "fine_grained": "refusing to allow a Personal Access Token to create or update workflow",
    "workflow": "refusing to allow a GitHub App to create or update workflow",
    "installation": "refusing to allow a GitHub App to create or update workflow",
}
_PACKET = 4


def updates(body: bytes) -> list[tuple[str, str, str]]:
    """(old, new, ref) of each ref a push asks to move; from the head of its pkt-lines."""
    found, at = [], 0
    while at + _PACKET <= len(body):
        size = int(body[at : at + _PACKET], 16)
        if size == 0:
            break
        line = body[at + _PACKET : at + size].split(b"\0")[0].rstrip(b"\n")
        words = line.decode("utf-8", "surrogateescape").split(" ", 2)
        if len(words) == 3:
            found.append((words[0], words[1], words[2]))
        at += size
    return found


def prepare(hub: Hub, repository: Record, caller: Caller, body: bytes) -> dict[str, str]:
    """Check what a push asks for; what the repository's hook needs in its environment.

    Raises GithubError 403 for one that may not be.
    """
    push_hook.install(hub.git(repository).folder)
    lines = []
    for old, new, ref in updates(body):
        if not ref.startswith(("refs/heads/", "refs/tags/", "refs/notes/")):
            raise GithubError(403, f"deny updating a hidden ref: {ref}")
        held = rules.applying(hub, repository, caller, ref)
        for words in rules.violations(hub, repository, held, (ref, old, new)):
            lines.append(f"{ref}\tdeny\t{words}")
        kinds = {rule["type"] for rule in held}
        lines += [f"{ref}\t{kind}\t" for kind in _BY_HISTORY if kind in kinds]
    if not may_change_workflows(caller):
        lines.append(f"*\tworkflows\t{_WORKFLOW_FILES[caller.kind]}")
    return {push_hook.ENVIRONMENT: "\n".join(lines)}


def may_change_workflows(caller: Caller) -> bool:
    """Whether a token may push files under .github/workflows; a run's own never may."""
    if caller.permissions is None:
        return True
    return not caller.is_workflow and caller.permissions.get("workflows") == "write"


def finish(
    hub: Hub,
    repository: Record,
    caller: Caller,
    before: dict[str, str],
    body: bytes | None = None,
) -> None:
    """Tell of what a push has changed: of each ref it asked to move, and moved.

    body  the push as it was sent: what moved meanwhile by other hands is told of by those. None
          for all that moved
    """
    after = hub.git(repository).refs("refs/")
    asked = {ref: after.get(ref, NONE) for ref in before.keys() | after.keys()}
    if body is not None:
        asked = {ref: new for _old, new, ref in updates(body) if after.get(ref, NONE) == new}
    changed = {ref: new for ref, new in asked.items() if new != before.get(ref, NONE)}
    events: list[Event] = []
    with hub.store.transaction():
        for ref, new in sorted(changed.items()):
            events += moved(hub, repository, caller, ref, before.get(ref, NONE), new)
    hub.publish(events)


def moved(
    hub: Hub, repository: Record, caller: Caller, ref: str, old: str, new: str
) -> list[Event]:
    """The events of a ref that moved; whoever moves one through the API tells them, too.

    Pull requests from a branch and to it follow.
    """
    told = _of_the_ref(hub, repository, caller, ref, old, new)
    return told + pull_records.branch_moved(hub, repository, caller, ref, old, new)


def _of_the_ref(
    hub: Hub, repository: Record, caller: Caller, ref: str, old: str, new: str
) -> list[Event]:
    if not ref.startswith(("refs/heads/", "refs/tags/")):
        return []
    hub.store.change("repository", repository["id"], pushed_at=hub.now())
    kind = "branch" if ref.startswith("refs/heads/") else "tag"
    short = ref.split("/", 2)[2]
    default = f"refs/heads/{repository['default_branch']}"
    git = hub.git(repository)
    told: list[Event] = []
    common: dict[str, Any] = {"ref": short, "ref_type": kind, "pusher_type": "user"}
    if new == NONE:
        # It runs on the default branch: what is deleted has no files any more.
        head = git.resolve(repository["default_branch"]) or NONE
        return [hub.event(caller, repository, "delete", ref=default, sha=head, payload=common)]
    if old == NONE:
        payload = {**common, "master_branch": repository["default_branch"]}
        told.append(hub.event(caller, repository, "create", ref=ref, sha=new, payload=payload))
    commit = git.resolve(new) or new
    payload = {
        "ref": ref,
        "before": old,
        "after": new,
        "created": old == NONE,
        "deleted": False,
        "forced": old != NONE and not git.is_ancestor(old, commit),
        "head_commit": {"id": commit, "message": git.commit(commit).message},
        "pusher": {"name": caller.login},
    }
    told.append(hub.event(caller, repository, "push", ref=ref, sha=commit, payload=payload))
    return told
