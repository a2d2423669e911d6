"""Teams of an organisation: people who are asked, and let in, together."""

import re

from sandbox.github import access, accounts
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, not_found, refused
from sandbox.github.listing import page
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_UNDER = "/orgs/{org}/teams"
_ONE = _UNDER + "/{team_slug}"
_MEMBER = _ONE + "/memberships/{username}"
_ROLES = {"pull": "read", "push": "write"}


@routes.get(_UNDER)
def list_teams(call: Call) -> Answer:
    """Of an organisation, for those who belong to it."""
    organisation = _organization(call)
    found = call.store.all("team", organisation["login"])
    return page(call, found, lambda record: _shape(call, record))


@routes.post(_UNDER)
def create(call: Call) -> Answer:
    """A new one; who makes it is in it."""
    organisation = _organization(call, owner=True)
    (name,) = call.need("Team", "name")
    slug = re.sub(r"[^a-z0-9_]+", "-", str(name).lower()).strip("-")
    if any(t["slug"] == slug for t in call.store.all("team", organisation["login"])):
        raise refused("Name must be unique for this org")
    record = {
        "name": name,
        "slug": slug,
        "description": call.body.get("description"),
        "privacy": call.body.get("privacy", "closed"),
        "members": [call.caller.login],
        "created_at": call.hub.now(),
    }
    return Answer(_full(call, call.store.add("team", organisation["login"], record)), 201)


@routes.get(_ONE)
def get(call: Call) -> Answer:
    """One, by its short name."""
    return Answer(_full(call, _team(call)))


@routes.delete(_ONE)
def delete(call: Call) -> Answer:
    """Gone."""
    _organization(call, owner=True)
    call.store.remove("team", _team(call)["id"])
    return Answer(status=204)


@routes.get(_ONE + "/members")
def members(call: Call) -> Answer:
    """Who is in it."""
    return page(call, _team(call)["members"], lambda login: accounts.simple(call.hub, login))


@routes.get(_MEMBER)
def membership(call: Call) -> Answer:
    """Whether somebody is in it."""
    login = call.params["username"]
    if login not in _team(call)["members"]:
        raise not_found()
    return Answer(_membership(call, login))


@routes.put(_MEMBER)
def add_member(call: Call) -> Answer:
    """Take somebody in."""
    _organization(call, owner=True)
    team, login = _team(call), call.hub.account(call.params["username"])["login"]
    if login not in team["members"]:
        call.store.change("team", team["id"], members=[*team["members"], login])
    return Answer(_membership(call, login))


@routes.delete(_MEMBER)
def remove_member(call: Call) -> Answer:
    """Let somebody go."""
    _organization(call, owner=True)
    team = _team(call)
    left = [login for login in team["members"] if login != call.params["username"]]
    call.store.change("team", team["id"], members=left)
    return Answer(status=204)


@routes.put(_ONE + "/repos/{owner}/{repo}", permission="administration:write")
def add_repository(call: Call) -> Answer:
    """Give its members a role in a repository."""
    asked = str(call.body.get("permission", "push"))
    level = _ROLES.get(asked, asked)
    given = dict(call.repository["collaborators"])
    for login in _team(call)["members"]:
        if access.ROLES.index(level) > access.ROLES.index(given.get(login, "none")):
            given[login] = level
    call.store.change("repository", call.repository["id"], collaborators=given)
    return Answer(status=204)


def _organization(call: Call, *, owner: bool = False) -> Record:
    record = call.hub.account(call.params["org"])
    role = record.get("members", {}).get(call.caller.login)
    if role is None:
        raise not_found()
    if owner and role != "admin":
        raise GithubError(403, "Must have admin rights to Organization.")
    return record


def _team(call: Call) -> Record:
    organisation = _organization(call)
    for record in call.store.all("team", organisation["login"]):
        if record["slug"] == call.params["team_slug"]:
            return record
    raise not_found()


def _membership(call: Call, login: str) -> Record:
    team = _team(call)
    address = f"/orgs/{team['project']}/teams/{team['slug']}/memberships/{login}"
    return {"url": call.url(address), "role": "member", "state": "active"}


def _shape(call: Call, record: Record) -> Record:
    return accounts.team(call.hub, record)


def _full(call: Call, record: Record) -> Record:
    organisation = call.hub.account(record["project"])
    return {
        **_shape(call, record),
        "created_at": record["created_at"],
        "updated_at": record["created_at"],
        "members_count": len(record["members"]),
        "repos_count": 0,
        "organization": {
            **accounts.organization_shape(call.hub, organisation),
        },
    }
