"""Forks: a repository of somebody else's with the same history, whose pull requests come back."""

from sandbox.github import access, issue_records
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, refused
from sandbox.github.git import NONE
from sandbox.github.listing import page
from sandbox.github.resources import repositories
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_FORKS = "/repos/{owner}/{repo}/forks"
# What a fork has of its own.
_OWN = ("id", "project", "collaborators")


@routes.get(_FORKS, permission="metadata:read")
def list_all(call: Call) -> Answer:
    """Those the caller may see."""
    found = [
        record
        for record in call.store.all("repository")
        if record.get("fork_of") == call.repository["id"]
        and access.role(call.store, call.caller, record) != "none"
    ]
    return page(call, found, lambda record: repositories.shape(call, record))


@routes.post(_FORKS, permission="administration:write", role="read")
def create(call: Call) -> Answer:
    """A fork of the caller's own or of an organisation they belong to; who has one gets it."""
    if call.caller.kind in ("workflow", "installation"):
        raise GithubError(403, "Resource not accessible by integration")
    owner = str(call.body.get("organization") or call.caller.login)
    if owner != call.caller.login:
        members = call.hub.account(owner).get("members", {})
        if call.caller.login not in members:
            raise GithubError(403, "You must be a member of the organization.")
    if owner == call.repository["owner"]:
        raise refused("You cannot fork a repository into the account that owns it.")
    existing = _existing(call, owner)
    if existing is None:
        existing = _fork(call, owner)
        _tell(call, existing)
    return Answer(repositories.shape(call, existing), 202)


def _existing(call: Call, owner: str) -> Record | None:
    for record in call.store.all("repository"):
        if record.get("fork_of") == call.repository["id"] and record["owner"] == owner:
            return record
    return None


def _fork(call: Call, owner: str) -> Record:
    parent, now = call.repository, call.hub.now()
    name = str(call.body.get("name") or parent["name"])
    taken = {record["full_name"] for record in call.store.all("repository")}
    if f"{owner}/{name}" in taken:
        name += "-1"
    record = {
        **{key: value for key, value in parent.items() if key not in _OWN},
        "owner": owner,
        "name": name,
        "full_name": f"{owner}/{name}",
        "fork_of": parent["id"],
        "has_issues": False,
        "collaborators": {call.caller.login: "admin"},
        "created_at": now,
        "updated_at": now,
        "pushed_at": now,
    }
    added = call.store.add("repository", "", record)
    git, default = call.hub.git(added), str(parent["default_branch"])
    git.create(default)
    one = call.body.get("default_branch_only")
    wanted = [f"refs/heads/{default}"] * 2 if one else ["refs/heads/*", "refs/heads/*"]
    source = str(call.hub.git(parent).folder)
    if call.hub.git(parent).refs():
        git.run("fetch", "--quiet", source, f"+{wanted[0]}:{wanted[1]}", "+refs/tags/*:refs/tags/*")
    return added


def _tell(call: Call, fork: Record) -> None:
    default = call.repository["default_branch"]
    event = call.hub.event(
        call.caller,
        call.repository,
        "fork",
        ref=f"refs/heads/{default}",
        sha=call.hub.git(call.repository).resolve(f"refs/heads/{default}") or NONE,
        payload={
            "forkee": repositories.shape(call, fork),
            "repository": repositories.shape(call, call.repository),
            "association": issue_records.association(call.hub, call.repository, call.caller.login),
        },
    )
    call.events.append(event)
