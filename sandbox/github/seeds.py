"""Who is there from the beginning: one organisation, and people of each kind."""

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import serialization

from sandbox.github import accounts
from sandbox.github.hub import Hub

# What the app of the sandbox may: what a team that lets `flow` work for it has to grant.
APP = "flow-app"
APP_PERMISSIONS = {
    "metadata": "read",
    **dict.fromkeys(("actions", "administration", "checks", "contents", "deployments"), "write"),
    **dict.fromkeys(("environments", "issues", "pull_requests", "secrets", "statuses"), "write"),
    **dict.fromkeys(("variables", "workflows"), "write"),
}
ORGANIZATION = "example-org"
# Login → role in the organisation; nothing for who is no member.
PEOPLE = {"maintainer": "admin", "developer": "member", "reviewer": "member", "outsider": ""}


def seed(hub: Hub, known: Mapping[str, Any]) -> None:
    """Make what is missing, and let the tokens of credentials.json in; safe to repeat."""
    with hub.store.transaction():
        for login in PEOPLE:
            accounts.user(hub, login)
            hub.tokens.mint(login, token=known["users"][login]["token"])
        members = {login: role for login, role in PEOPLE.items() if role}
        accounts.organization(hub, ORGANIZATION, members)
        if "app" in known:
            _app(hub, known["app"])


def _app(hub: Hub, known: Mapping[str, Any]) -> None:
    if hub.store.get("app", known["id"]) is not None:
        return
    key = serialization.load_pem_private_key(known["private_key"].encode(), None).public_key()
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    record = {
        "id": known["id"],
        "slug": APP,
        "bot": f"{APP}[bot]",
        "installation_id": known["installation_id"],
        "account": ORGANIZATION,
        "permissions": APP_PERMISSIONS,
        "public_key": key.public_bytes(encoding, form).decode(),
        "created_at": hub.now(),
    }
    hub.store.add("app", "", record)
