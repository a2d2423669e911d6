"""Rulesets of the application's repository: those no stack owns, and what all say of a branch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from github.Repository import Repository

from flow.errors import FlowError
from flow.onboarding.hub import Hub


def ensure(repository: Repository, body: Mapping[str, Any]) -> None:
    """Make a ruleset, or put the one of its name right; safe to repeat. Raises GithubException.

    body  as GitHub takes it
    """
    address = f"/repos/{repository.full_name}/rulesets"
    requester = repository.requester
    _, listed = requester.requestJsonAndCheck("GET", address, parameters={"per_page": 100})
    ours = [each["id"] for each in listed if each["name"] == body["name"]]
    if ours:
        requester.requestJsonAndCheck("PUT", f"{address}/{ours[0]}", input=dict(body))
    else:
        requester.requestJsonAndCheck("POST", address, input=dict(body))


def of_branch(hub: Hub, branch: str) -> list[Mapping[str, Any]]:
    """Every rule that holds for a branch, of whatever ruleset; none on a plan without them."""
    try:
        return list(hub.get(f"/rules/branches/{branch}", per_page=100) or [])
    except FlowError:
        return []
