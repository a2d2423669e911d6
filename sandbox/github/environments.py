"""Environments of repositories, their secrets and variables: what jobs are given.

Records, each with the repository's full name (an organisation's login) as its project:

environment               name, wait_timer, prevent_self_review, can_admins_bypass, reviewers,
                          deployment_branch_policy
deployment_branch_policy  environment, name (a pattern), type: branch or tag
secret, variable          name, value, environment ("" for the repository's own)
"""

from collections.abc import Mapping
from typing import Any

from sandbox.github import patterns
from sandbox.github.hub import Hub
from sandbox.store import Record


def environment_of(hub: Hub, full_name: str, name: str) -> Record | None:
    """An environment with its `policies` ([{"name", "type"}, …]), or None."""
    for record in hub.store.all("environment", full_name):
        if record["name"].lower() == name.lower():
            return {**record, "policies": policies(hub, full_name, record["name"])}
    return None


def ensured(hub: Hub, full_name: str, name: str) -> Record:
    """The environment of that name; as on GitHub, naming one makes it, without any rules."""
    if environment_of(hub, full_name, name) is None:
        now = hub.now()
        fresh = {
            "name": name,
            "wait_timer": 0,
            "prevent_self_review": False,
            "can_admins_bypass": True,
            "reviewers": [],
            "deployment_branch_policy": None,
            "created_at": now,
            "updated_at": now,
        }
        hub.store.add("environment", full_name, fresh)
    found = environment_of(hub, full_name, name)
    assert found is not None  # noqa: S101 - it was just added  # nosec B101
    return found


def policies(hub: Hub, full_name: str, environment: str) -> list[Record]:
    """Which branches and tags an environment admits, where it has a list of its own."""
    return [
        record
        for record in hub.store.all("deployment_branch_policy", full_name)
        if record["environment"] == environment
    ]


def admits(environment: Mapping[str, Any], ref: str, *, protected: bool = True) -> bool:
    """Whether a job that runs on a ref (`refs/tags/v1`) may use what `environment_of` found.

    protected  whether the ref is a protected branch; it counts for environments of those alone
    """
    rule = environment["deployment_branch_policy"]
    if rule is None:
        return True
    if rule["protected_branches"]:
        return protected and ref.startswith("refs/heads/")
    kind, _, name = ref.removeprefix("refs/").partition("/")
    if kind == "pull":
        # A pull request has no branch of its own: a pattern has to name its whole ref.
        return any(patterns.matches(policy["name"], ref) for policy in environment["policies"])
    wanted = {"heads": "branch", "tags": "tag"}.get(kind)
    return any(
        policy["type"] == wanted and patterns.matches(policy["name"], name)
        for policy in environment["policies"]
    )


def secrets_of(hub: Hub, full_name: str, environment: str | None = None) -> dict[str, str]:
    """What a job may read: of organisation and repository, and of its environment, by name."""
    return _values(hub, "secret", full_name, environment)


def variables_of(hub: Hub, full_name: str, environment: str | None = None) -> dict[str, str]:
    """The variables of a job: the environment's go before the repository's."""
    return _values(hub, "variable", full_name, environment)


def _values(hub: Hub, kind: str, full_name: str, environment: str | None) -> dict[str, str]:
    owner, _, name = full_name.partition("/")
    found: dict[str, str] = {}
    for record in hub.store.all(kind, owner):
        if of_organization(hub, record, owner, name):
            found[record["name"]] = record["value"]
    scopes = [""]
    if environment and (used := environment_of(hub, full_name, environment)):
        scopes.append(used["name"])
    for scope in scopes:
        for record in hub.store.all(kind, full_name):
            if record["environment"] == scope:
                found[record["name"]] = record["value"]
    return found


def of_organization(hub: Hub, record: Record, owner: str, name: str) -> bool:
    """Whether an organisation's secret or variable is there for one of its repositories."""
    repository = hub.repository(owner, name)
    if record["visibility"] == "selected":
        return repository["id"] in record["selected_repository_ids"]
    return record["visibility"] == "all" or bool(repository["private"])
