"""What webhooks' payloads have in common: the repository and who did it."""

from typing import Any

from sandbox.github import accounts
from sandbox.github.access import NOBODY
from sandbox.github.call import Call
from sandbox.github.hub import Hub
from sandbox.github.resources import repositories
from sandbox.store import Record


def repository(hub: Hub, record: Record) -> dict[str, Any]:
    """A repository in full, as nobody in particular sees it."""
    return repositories.shape(Call(hub, NOBODY, "", {}, (), {}), record)


def around(hub: Hub, record: Record, login: str) -> dict[str, Any]:
    """The keys every payload ends with: repository, sender, and the organisation if it has one."""
    common = {"repository": repository(hub, record), "sender": accounts.simple(hub, login)}
    if hub.store.all("organization") and common["repository"]["owner"]["type"] == "Organization":
        owner = accounts.simple(hub, record["owner"])
        common["organization"] = {key: owner[key] for key in ("login", "id", "node_id", "url")}
    return common
