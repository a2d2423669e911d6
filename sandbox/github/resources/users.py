"""People and organisations."""

from typing import Any

from sandbox.github import accounts
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, not_found
from sandbox.github.listing import page
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()


@routes.get("/user")
def whoami(call: Call) -> Answer:
    """The token's owner. An app's or a run's token has none."""
    if not call.caller.login:
        raise GithubError(401, "Requires authentication")
    if call.caller.kind in ("workflow", "installation"):
        raise GithubError(403, "Resource not accessible by integration")
    return Answer(_full(call, call.hub.account(call.caller.login)))


@routes.get("/users/{username}")
def get_user(call: Call) -> Answer:
    """Anybody, by name."""
    return Answer(_full(call, call.hub.account(call.params["username"])))


@routes.get("/orgs/{org}")
def get_organization(call: Call) -> Answer:
    """An organisation; a person is none."""
    record = call.hub.account(call.params["org"])
    if "members" not in record:
        raise not_found()
    return Answer(accounts.organization_shape(call.hub, record))


@routes.get("/orgs/{org}/members")
def members(call: Call) -> Answer:
    """Who belongs to it."""
    record = call.hub.account(call.params["org"])
    return page(
        call, sorted(record.get("members", {})), lambda login: accounts.simple(call.hub, login)
    )


@routes.get("/orgs/{org}/memberships/{username}")
def membership(call: Call) -> Answer:
    """What somebody is in an organisation."""
    return Answer(_membership(call, call.params["org"], call.params["username"]))


@routes.get("/user/memberships/orgs/{org}")
def own_membership(call: Call) -> Answer:
    """What the caller is in it."""
    return Answer(_membership(call, call.params["org"], call.caller.login))


def _membership(call: Call, org: str, login: str) -> dict[str, Any]:
    record = call.hub.account(org)
    member = record.get("members", {}).get(login)
    if member is None or call.caller.login not in record["members"]:
        raise not_found()
    return {
        "url": call.url(f"/orgs/{org}/memberships/{login}"),
        "state": "active",
        "role": member,
        "organization_url": call.url(f"/orgs/{org}"),
        "organization": accounts.organization_short(call.hub, record),
        "user": accounts.simple(call.hub, login),
    }


def _full(call: Call, record: Record) -> dict[str, Any]:
    return {
        **accounts.simple(call.hub, record["login"]),
        "name": record["name"],
        "company": None,
        "blog": "",
        "location": None,
        "email": record.get("email"),
        "hireable": None,
        "bio": None,
        "public_repos": accounts.public_repositories(call.hub, record["login"]),
        "public_gists": 0,
        "followers": 0,
        "following": 0,
        "created_at": record["created_at"],
        "updated_at": record["created_at"],
    }
