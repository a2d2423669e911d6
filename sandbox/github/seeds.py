"""Who is there from the beginning: one organisation, and people of each kind."""

from collections.abc import Mapping
from typing import Any

from sandbox.github import accounts
from sandbox.github.hub import Hub

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
