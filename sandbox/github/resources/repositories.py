"""Repositories: made, shown, changed, deleted."""

import re
import shutil
from typing import Any

from sandbox.github import access, accounts, git_objects, ref_changes
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, invalid, not_found
from sandbox.github.git import NONE
from sandbox.github.listing import page
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
_WAYS = ("allow_merge_commit", "allow_squash_merge", "allow_rebase_merge")
_OF_MERGES = (*_WAYS, "delete_branch_on_merge")
_SETTINGS = (
    *("description", "homepage", "private", "default_branch", "has_issues", "has_wiki"),
    *_OF_MERGES,
)


@routes.post("/orgs/{org}/repos")
def create_in_organization(call: Call) -> Answer:
    """A new repository of an organisation, by one of its members."""
    organisation = call.hub.account(call.params["org"])
    if call.caller.login not in organisation.get("members", {}):
        raise GithubError(
            403, "You need admin access to the organization before adding a repository to it."
        )
    return _create(call, organisation["login"])


@routes.post("/user/repos")
def create_own(call: Call) -> Answer:
    """A new repository of the caller's own."""
    if not call.caller.login:
        raise GithubError(401, "Requires authentication")
    return _create(call, call.caller.login)


@routes.get("/repos/{owner}/{repo}", permission="metadata:read")
def get(call: Call) -> Answer:
    """One repository, with what the caller may do in it."""
    return Answer(shape(call, call.repository))


@routes.get("/repositories/{repository_id}", permission="metadata:read")
def get_by_id(call: Call) -> Answer:
    """The same, by its number."""
    return Answer(shape(call, call.repository))


@routes.patch("/repos/{owner}/{repo}", permission="administration:write")
def change(call: Call) -> Answer:
    """Change settings."""
    changes = {key: call.body[key] for key in _SETTINGS if key in call.body}
    if not any({**call.repository, **changes}[each] for each in _WAYS):
        message = "Sorry, you need to allow at least one merge strategy. (no_merge_method)"
        raise invalid("Repository", "merge_commit_allowed", message=message)
    branch = changes.get("default_branch")
    if branch and call.hub.git(call.repository).resolve(f"refs/heads/{branch}") is None:
        raise invalid("Repository", "default_branch", message=f"The branch {branch} was not found.")
    if branch:
        call.hub.git(call.repository).run("symbolic-ref", "HEAD", f"refs/heads/{branch}")
    changed = call.store.change("repository", call.repository["id"], **changes) or {}
    return Answer(shape(call, changed))


@routes.delete("/repos/{owner}/{repo}", permission="administration:write")
def delete(call: Call) -> Answer:
    """Gone, with its history."""
    shutil.rmtree(call.hub.git(call.repository).folder, ignore_errors=True)
    call.store.forget(call.full_name)
    call.store.remove("repository", call.repository["id"])
    return Answer(status=204)


@routes.get("/orgs/{org}/repos")
def list_of_organization(call: Call) -> Answer:
    """Those the caller may see."""
    owner = call.hub.account(call.params["org"])["login"]
    found = [
        record
        for record in call.store.all("repository")
        if record["owner"] == owner and access.role(call.store, call.caller, record) != "none"
    ]
    return page(call, found, lambda record: shape(call, record))


@routes.get("/user/repos")
def list_own(call: Call) -> Answer:
    """Every repository the caller has a part in."""
    if not call.caller.login:
        raise GithubError(401, "Requires authentication")
    found = [
        record
        for record in call.store.all("repository")
        if access.role(call.store, call.caller, record) not in ("none", "read")
    ]
    return page(call, found, lambda record: shape(call, record))


@routes.get("/repos/{owner}/{repo}/collaborators", permission="metadata:read", role="write")
def list_collaborators(call: Call) -> Answer:
    """Who may do more than read."""
    found = []
    for record in call.store.all("user"):
        has = access.role(call.store, access.Caller(record["login"], "classic"), call.repository)
        if has not in ("none", "read"):
            found.append((record["login"], has))

    def shaped(entry: tuple[str, str]) -> dict[str, Any]:
        login, has = entry
        simple = accounts.simple(call.hub, login)
        return {**simple, "permissions": permissions(has), "role_name": has}

    return page(call, found, shaped)


@routes.get("/repos/{owner}/{repo}/collaborators/{username}", permission="metadata:read")
def is_collaborator(call: Call) -> Answer:
    """204 for who may do more than read what anybody may, else 404."""
    login = call.hub.account(call.params["username"])["login"]
    has = access.role(call.store, access.Caller(login, "classic"), call.repository)
    if has == "none" or (has == "read" and not call.repository["private"]):
        raise not_found()
    return Answer(status=204)


@routes.delete("/repos/{owner}/{repo}/collaborators/{username}", permission="administration:write")
def remove_collaborator(call: Call) -> Answer:
    """Take somebody's role away."""
    left = {
        login: has
        for login, has in call.repository["collaborators"].items()
        if login != call.params["username"]
    }
    call.store.change("repository", call.repository["id"], collaborators=left)
    return Answer(status=204)


@routes.put("/repos/{owner}/{repo}/collaborators/{username}", permission="administration:write")
def add_collaborator(call: Call) -> Answer:
    """Give somebody a role: pull, triage, push, maintain or admin."""
    names = {"pull": "read", "push": "write"}
    asked = str(call.body.get("permission", "push"))
    call.hub.account(call.params["username"])
    given = {**call.repository["collaborators"], call.params["username"]: names.get(asked, asked)}
    call.store.change("repository", call.repository["id"], collaborators=given)
    return Answer(status=204)


@routes.get("/repos/{owner}/{repo}/collaborators/{username}/permission", permission="metadata:read")
def permission_of(call: Call) -> Answer:
    """What somebody may do here."""
    login = call.params["username"]
    call.hub.account(login)
    has = access.role(call.store, access.Caller(login, "classic"), call.repository)
    plain = {"triage": "read", "maintain": "write"}.get(has, has)
    user = {**accounts.simple(call.hub, login), "permissions": permissions(has), "role_name": has}
    return Answer({"permission": plain, "role_name": has, "user": user})


def _create(call: Call, owner: str) -> Answer:
    (name,) = call.need("Repository", "name")
    if not _NAME.fullmatch(str(name)):
        raise invalid("Repository", "name")
    try:
        call.hub.repository(owner, name)
    except GithubError:
        pass
    else:
        message = "name already exists on this account"
        raise invalid("Repository", "name", "custom", message)
    now = call.hub.now()
    record = {
        "owner": owner,
        "name": name,
        "full_name": f"{owner}/{name}",
        "private": bool(call.body.get("private", call.body.get("visibility") == "private")),
        "description": call.body.get("description"),
        "homepage": call.body.get("homepage"),
        "default_branch": "main",
        "has_issues": True,
        "has_wiki": False,
        "allow_squash_merge": True,
        "allow_merge_commit": True,
        "allow_rebase_merge": True,
        "delete_branch_on_merge": False,
        # Who makes it administers it; the organisation's owners do anyway.
        "collaborators": {call.caller.login: "admin"},
        "created_at": now,
        "updated_at": now,
        "pushed_at": now,
    }
    added = call.store.add("repository", "", record)
    call.hub.git(added).create("main")
    if call.body.get("auto_init"):
        call.found = added
        _first_commit(call)
    return Answer(shape(call, added), 201)


def _first_commit(call: Call) -> None:
    git, name = call.hub.git(call.repository), call.repository["name"]
    blob = git_objects.write_blob(git, f"# {name}\n".encode())
    tree = git_objects.write_tree(git, None, [("README.md", "100644", blob)])
    author = accounts.person(call.hub, call.caller.login)
    sha = git.write_commit(tree, [], "Initial commit", author, call.store.now())
    ref_changes.move(call, "refs/heads/main", NONE, sha)


def permissions(role: str) -> dict[str, bool]:
    """A role as the API's five switches."""
    rank = access.ROLES.index(role)
    names = {"pull": "read", "triage": "triage", "push": "write", "maintain": "maintain"}
    return {
        **{name: rank >= access.ROLES.index(least) for name, least in names.items()},
        "admin": role == "admin",
    }


def shape(call: Call, record: Record) -> dict[str, Any]:
    """A repository as the API shows it in full."""
    name = record["full_name"]
    api, html = call.url(f"/repos/{name}"), f"{call.hub.url}/{name}"
    under = {
        "archive_url": "/{archive_format}{/ref}", "assignees_url": "/assignees{/user}",
        "blobs_url": "/git/blobs{/sha}", "branches_url": "/branches{/branch}",
        "collaborators_url": "/collaborators{/collaborator}", "comments_url": "/comments{/number}",
        "commits_url": "/commits{/sha}", "compare_url": "/compare/{base}...{head}",
        "contents_url": "/contents/{+path}", "contributors_url": "/contributors",
        "deployments_url": "/deployments", "downloads_url": "/downloads", "events_url": "/events",
        "forks_url": "/forks", "git_commits_url": "/git/commits{/sha}",
        "git_refs_url": "/git/refs{/sha}", "git_tags_url": "/git/tags{/sha}",
        "hooks_url": "/hooks", "issue_comment_url": "/issues/comments{/number}",
        "issue_events_url": "/issues/events{/number}", "issues_url": "/issues{/number}",
        "keys_url": "/keys{/key_id}", "labels_url": "/labels{/name}",
        "languages_url": "/languages", "merges_url": "/merges",
        "milestones_url": "/milestones{/number}",
        "notifications_url": "/notifications{?since,all,participating}",
        "pulls_url": "/pulls{/number}", "releases_url": "/releases{/id}",
        "stargazers_url": "/stargazers", "statuses_url": "/statuses/{sha}",
        "subscribers_url": "/subscribers", "subscription_url": "/subscription",
        "tags_url": "/tags", "teams_url": "/teams", "trees_url": "/git/trees{/sha}",
    }  # fmt: skip
    role = access.role(call.store, call.caller, record)
    return {
        "id": record["id"],
        "node_id": f"R_{record['id']}",
        "name": record["name"],
        "full_name": name,
        "owner": accounts.simple(call.hub, record["owner"]),
        "private": record["private"],
        "visibility": "private" if record["private"] else "public",
        "html_url": html,
        "description": record["description"],
        "homepage": record["homepage"],
        "fork": bool(record.get("fork_of")),
        "url": api,
        **{key: api + rest for key, rest in under.items()},
        "clone_url": f"{html}.git",
        "git_url": f"{html}.git",
        "ssh_url": f"{html}.git",
        "svn_url": html,
        "mirror_url": None,
        "language": None,
        "license": None,
        "topics": [],
        "forks": 0,
        "forks_count": 0,
        "stargazers_count": 0,
        "watchers": 0,
        "watchers_count": 0,
        "subscribers_count": 0,
        "network_count": 0,
        "size": 0,
        "open_issues": 0,
        "open_issues_count": 0,
        "default_branch": record["default_branch"],
        "is_template": False,
        "has_issues": record["has_issues"],
        "has_projects": False,
        "has_wiki": record["has_wiki"],
        "has_pages": False,
        "has_downloads": False,
        "has_discussions": False,
        "archived": False,
        "disabled": False,
        "pushed_at": record["pushed_at"],
        "created_at": record["created_at"],
        "updated_at": record["updated_at"],
        "permissions": permissions(role),
        "role_name": role,
        "allow_forking": True,
        "web_commit_signoff_required": False,
        **_of_merges(call, record, role),
    }


def _of_merges(call: Call, record: Record, role: str) -> dict[str, Any]:
    """How pull requests may be merged, which GitHub tells those alone who may write contents."""
    writes = access.ROLES.index(role) >= access.ROLES.index("write")
    if not writes or not access.granted(call.caller, "contents:write"):
        return {}
    return {"allow_auto_merge": False, **{each: record[each] for each in _OF_MERGES}}
