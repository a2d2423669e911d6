"""What a workflow run needs to start, in environments of the application's repository.

No stack owns these: removing a stage never takes from another run what it needs. Production's
waits for its reviewers, and each admits only the branches or tags whose runs may have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from github import UnknownObjectException
from github.Environment import Environment
from github.Repository import Repository

from components import naming
from flow import backends

DEVELOPMENT = naming.STAGE_BRANCHES["dev"]
RELEASES = "v*"
# Whose Hetzner project, state, passphrase and keys an environment holds: of one group alone.
GROUPS: dict[str, str] = {
    "flow-nonprod": backends.NONPROD,
    "flow-prod": backends.PROD,
    "flow-demo": backends.DEMO,
}
# What saves production at night: of no group, as it holds neither a token nor a state.
BACKUP = "flow-backup"
# Whoever may push a demo's branch reads what is in it: an administrator's token would let them
# change whom production asks.
WITHOUT_TOKEN = frozenset({"flow-demo"})
STACKS_TOKEN = "FLOW_GITHUB_TOKEN"  # noqa: S105  # nosec B105


@dataclass(frozen=True)
class Contents:
    """What one environment holds. An empty value is not set, and leaves what is there."""

    secrets: Mapping[str, str] = field(repr=False)
    variables: Mapping[str, str]
    reviewers: Sequence[int] = ()
    """Ids of people any of whom may agree to a run; for production."""
    teams: Sequence[int] = ()
    """Ids of teams, the same."""
    default_branch: str = DEVELOPMENT
    """The repository's."""


def admitted(name: str, default_branch: str) -> tuple[tuple[str, str], ...]:
    """Whose runs may have what is in an environment: (pattern, branch or tag)."""
    if name == BACKUP:
        return ((DEVELOPMENT, "branch"),)
    if GROUPS[name] == backends.PROD:
        return ((RELEASES, "tag"),)
    if GROUPS[name] == backends.DEMO:
        # A branch's deletion and the nightly run are runs of the default branch. Here, unlike in a
        # workflow file, `**` alone stops at a slash: feature-demo/ann/login would be refused.
        return ((default_branch, "branch"), (f"{naming.DEMO_BRANCH}**/*", "branch"))
    return ((DEVELOPMENT, "branch"), (naming.STAGE_BRANCHES["staging"], "branch"))


def reviewers(environment: Mapping[str, Any]) -> list[str]:
    """Who agrees before a job in it runs: logins, and slugs of teams.

    environment  as GitHub answers for it
    """
    return [
        str(each["reviewer"].get("login") or each["reviewer"].get("slug"))
        for rule in environment.get("protection_rules") or []
        if rule["type"] == "required_reviewers"
        for each in rule["reviewers"]
    ]


def ensure(repository: Repository, name: str, contents: Contents) -> Environment:
    """Make the environment as it has to be; safe to repeat. Raises GithubException."""
    address = f"/repos/{repository.full_name}/environments/{name}"
    body: dict[str, Any] = {
        "deployment_branch_policy": {"protected_branches": False, "custom_branch_policies": True},
        **_stricter(repository, address),
    }
    if asked := [
        *({"type": "User", "id": each} for each in contents.reviewers),
        *({"type": "Team", "id": each} for each in contents.teams),
    ]:
        body["reviewers"] = asked
    requester = repository.requester
    requester.requestJsonAndCheck("PUT", address, input=body)
    _admit(repository, address, admitted(name, contents.default_branch))
    environment = repository.get_environment(name)
    if name in WITHOUT_TOKEN:
        with suppress(UnknownObjectException):
            requester.requestJsonAndCheck("DELETE", f"{address}/secrets/{STACKS_TOKEN}")
    for key, value in contents.secrets.items():
        if value:
            environment.create_secret(key, value)
    had = {each.name: each for each in environment.get_variables()}
    for key, value in contents.variables.items():
        if not value:
            continue
        if key not in had:
            environment.create_variable(key, value)
        elif had[key].value != value:
            had[key].edit(value)
    return environment


def _stricter(repository: Repository, address: str) -> dict[str, Any]:
    """What somebody has made stricter by hand: GitHub switches off what it is not told again."""
    try:
        _, found = repository.requester.requestJsonAndCheck("GET", address)
    except UnknownObjectException:
        return {}
    kept: dict[str, Any] = {}
    for rule in found.get("protection_rules") or []:
        kept |= {key: rule[key] for key in ("wait_timer", "prevent_self_review") if rule.get(key)}
    return kept


def _admit(repository: Repository, address: str, wanted: Sequence[tuple[str, str]]) -> None:
    policies = f"{address}/deployment-branch-policies"
    _, had = repository.requester.requestJsonAndCheck("GET", policies)
    # By its kind, too: a branch called v1 is no release.
    known = {(each["name"], each.get("type", "branch")) for each in had["branch_policies"]}
    for pattern, kind in wanted:
        if (pattern, kind) not in known:
            repository.requester.requestJsonAndCheck(
                "POST", policies, input={"name": pattern, "type": kind}
            )


def let_runs_ask(repository: Repository) -> None:
    """Runs may open pull requests: what a hotfix brings comes back by itself."""
    repository.requester.requestJsonAndCheck(
        "PUT",
        f"/repos/{repository.full_name}/actions/permissions/workflow",
        input={"default_workflow_permissions": "read", "can_approve_pull_request_reviews": True},
    )
