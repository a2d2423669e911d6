"""What GitHub's plans keep from a private repository. A public one has all of it.

Without a plan that is paid for there are neither environments nor rulesets; reviewers of an
environment take GitHub Enterprise. No token of ours may ask which plan it is: what GitHub refuses
tells it.
"""

from __future__ import annotations

from typing import Any

import httpx
from github import GithubException

from flow.errors import FlowError
from flow.onboarding.hub import Hub

_UPGRADE = "Upgrade to GitHub"
_REVIEWERS = "supports the required reviewers protection rule"
OTHERWISE = "else few with the roles maintain and admin, who alone may tag a release"


def lacking(hub: Hub) -> str:
    """What is wrong with the repository's plan, or "": nothing is, or nobody can tell."""
    if not hub.facts().get("private"):
        return ""
    answer = hub.request("GET", "/rulesets")
    if answer.status_code != httpx.codes.FORBIDDEN or _UPGRADE not in answer.text:
        return ""
    return (
        f"{hub.repository} is private, and its plan has no environments for private repositories, "
        "where runs find their secrets: make it public, or take GitHub Team (Pro for a person's)"
    )


def of_two_owners(application: str, deployment: str) -> str:
    """What it means that two repositories are not of one owner; empty where they are."""
    one, other = (each.partition("/")[0].lower() for each in (application, deployment))
    if one == other:
        return ""
    return (
        f"{deployment} is of another owner than {application}: GitHub hands its workflow none of "
        "the application's secrets, but where both owners are of one enterprise"
    )


def reviewing(error: GithubException) -> FlowError | None:
    """The refusal of reviewers as an error of ours; None for any other."""
    data: Any = error.data
    if not isinstance(data, dict) or _REVIEWERS not in str(data.get("message")):
        return None
    return FlowError(
        "GitHub refuses reviewers of flow-prod: a private repository has them on GitHub "
        "Enterprise alone",
        f"run flow init without --reviewer, or make the repository public; {OTHERWISE}",
    )
