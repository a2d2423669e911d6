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
    return Answer(_organization(call, record))


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
        "public_repos": len(_owned(call, record["login"])),
        "public_gists": 0,
        "followers": 0,
        "following": 0,
        "created_at": record["created_at"],
        "updated_at": record["created_at"],
    }


def _organization(call: Call, record: Record) -> dict[str, Any]:
    login = record["login"]
    address = call.url(f"/orgs/{login}")
    return {
        "login": login,
        "id": record["id"],
        "node_id": f"O_{record['id']}",
        "url": address,
        "repos_url": f"{address}/repos",
        "events_url": f"{address}/events",
        "hooks_url": f"{address}/hooks",
        "issues_url": f"{address}/issues",
        "members_url": f"{address}/members{{/member}}",
        "public_members_url": f"{address}/public_members{{/member}}",
        "avatar_url": f"{call.hub.url}/avatars/{login}",
        "description": None,
        "html_url": f"{call.hub.url}/{login}",
        "has_organization_projects": False,
        "has_repository_projects": False,
        "public_repos": len(_owned(call, login)),
        "public_gists": 0,
        "followers": 0,
        "following": 0,
        "type": "Organization",
        "created_at": record["created_at"],
        "updated_at": record["created_at"],
        "archived_at": None,
    }


def _owned(call: Call, login: str) -> list[Record]:
    return [r for r in call.store.all("repository") if r["owner"] == login and not r["private"]]
