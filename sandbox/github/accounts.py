"""People and organisations: who they are, and how the API shows them."""

from typing import Any

from sandbox.github.git import Person
from sandbox.github.hub import Hub
from sandbox.store import Record


def user(hub: Hub, login: str, name: str = "") -> Record:
    """The user of that name, made when there is none."""
    for found in hub.store.all("user"):
        if found["login"] == login:
            return found
    record = {
        "login": login,
        "name": name or login.capitalize(),
        "email": f"{login}@users.noreply.github.test",
        "created_at": hub.now(),
    }
    return hub.store.add("user", "", record)


def person(hub: Hub, login: str) -> Person:
    """Whose name a commit carries that is made for somebody."""
    for record in hub.store.all("user"):
        if record["login"] == login:
            return Person(record["name"], record["email"])
    return Person(login, f"{login}@users.noreply.github.test")


def organization(hub: Hub, login: str, members: dict[str, str]) -> Record:
    """The organisation of that name, made when there is none; `members`: login → admin|member."""
    for found in hub.store.all("organization"):
        if found["login"] == login:
            return found
    record = {"login": login, "name": login, "members": members, "created_at": hub.now()}
    return hub.store.add("organization", "", record)


def simple(hub: Hub, login: str) -> dict[str, Any]:
    """The short form in which a person or organisation stands in other answers.

    A bot's login (`github-actions[bot]`) is nobody's record, and is shown all the same.
    """
    kind, number = "User", 41898282
    for record_kind in ("user", "organization"):
        for record in hub.store.all(record_kind):
            if record["login"] == login:
                number = record["id"]
                kind = "User" if record_kind == "user" else "Organization"
    if login.endswith("[bot]"):
        kind = "Bot"
    address = f"{hub.api}/users/{login}"
    return {
        "login": login,
        "id": number,
        "node_id": f"U_{number}",
        "avatar_url": f"{hub.url}/avatars/{login}",
        "gravatar_id": "",
        "url": address,
        "html_url": f"{hub.url}/{login}",
        "followers_url": f"{address}/followers",
        "following_url": f"{address}/following{{/other_user}}",
        "gists_url": f"{address}/gists{{/gist_id}}",
        "starred_url": f"{address}/starred{{/owner}}{{/repo}}",
        "subscriptions_url": f"{address}/subscriptions",
        "organizations_url": f"{address}/orgs",
        "repos_url": f"{address}/repos",
        "events_url": f"{address}/events{{/privacy}}",
        "received_events_url": f"{address}/received_events",
        "type": kind,
        "site_admin": False,
    }


def team(hub: Hub, record: Record) -> dict[str, Any]:
    """A team as it stands in other answers, and in lists."""
    organisation = record["project"]
    address = f"{hub.api}/orgs/{organisation}/teams/{record['slug']}"
    return {
        "id": record["id"],
        "node_id": f"T_{record['id']}",
        "name": record["name"],
        "slug": record["slug"],
        "description": record["description"],
        "privacy": record["privacy"],
        "notification_setting": "notifications_enabled",
        "permission": "pull",
        "url": address,
        "html_url": f"{hub.url}/orgs/{organisation}/teams/{record['slug']}",
        "members_url": f"{address}/members{{/member}}",
        "repositories_url": f"{address}/repos",
        "type": "organization",
        "organization_id": hub.account(organisation)["id"],
        "parent": None,
    }


def organization_short(hub: Hub, record: Record) -> dict[str, Any]:
    """The short form of an organisation."""
    login = record["login"]
    address = f"{hub.api}/orgs/{login}"
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
        "avatar_url": f"{hub.url}/avatars/{login}",
        "description": None,
    }


def organization_shape(hub: Hub, record: Record) -> dict[str, Any]:
    """An organisation as the API shows it in full."""
    return {
        **organization_short(hub, record),
        "html_url": f"{hub.url}/{record['login']}",
        "has_organization_projects": False,
        "has_repository_projects": False,
        "public_repos": public_repositories(hub, record["login"]),
        "public_gists": 0,
        "followers": 0,
        "following": 0,
        "type": "Organization",
        "created_at": record["created_at"],
        "updated_at": record["created_at"],
        "archived_at": None,
    }


def public_repositories(hub: Hub, login: str) -> int:
    """How many anybody can see."""
    found = hub.store.all("repository")
    return sum(record["owner"] == login and not record["private"] for record in found)
