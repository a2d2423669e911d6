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
