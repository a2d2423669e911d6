"""Tokens of the sandbox's GitHub as passwords of the registry, as at ghcr.io.

A run's GITHUB_TOKEN pushes where its job has `packages: write`, and pulls with `packages: read`; a
person's token without limits does both.
"""

from sandbox.github.access import Tokens
from sandbox.github.errors import GithubError
from sandbox.services.registry_tokens import Account, Lookup
from sandbox.store import Store

_ACTIONS = {"read": frozenset({"pull"}), "write": frozenset({"pull", "push"})}


def github_tokens(store: Store) -> Lookup:
    """Who has a token of the GitHub whose records are in `store`; the user name does not matter."""
    tokens = Tokens(store)

    def find(username: str, password: str) -> Account | None:
        try:
            caller = tokens.caller(password)
        except GithubError:
            return None
        level = "write" if caller.permissions is None else caller.permissions.get("packages", "")
        actions = _ACTIONS.get(level)
        return None if actions is None else Account(username or caller.login, actions)

    return find
