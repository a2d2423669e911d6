"""What is left of a stack at GitHub once it is destroyed: environment, rules, open deployments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from components import naming
from components.github_address import rest_url
from flow.errors import FlowError
from flow.onboarding.hub import Hub
from flow.project import Project
from flow.state import State

# Of a long-lived stage's hundreds: GitHub itself ends a deployment when the next one succeeds.
_NEWEST = 30
_OVER = frozenset({"inactive", "error", "failure"})


@dataclass(frozen=True)
class Part:
    """Where a stack's part at GitHub is, or was."""

    stack: str
    repository: str
    """owner/name"""
    api: str
    token: str
    ruleset: str

    def left(self) -> dict[str, str]:
        """What is left, by name, with the command that removes it. Raises FlowError."""
        path = f"/environments/{quote(self.stack, safe='')}"
        found = {}
        with Hub(self.repository, self.token, self.api) as hub:
            if hub.get(path) is not None:
                found[f"environment {self.stack} at GitHub"] = self._delete(path)
            for each in hub.get("/rulesets", per_page=100) or []:
                if each["name"] == self.ruleset:
                    found[f"ruleset {self.ruleset} at GitHub"] = self._delete(
                        f"/rulesets/{each['id']}"
                    )
        return found

    def _delete(self, path: str) -> str:
        return f"gh api -X DELETE repos/{self.repository}{path}"

    def end_deployments(self) -> str:
        """Make the stack's deployments inactive, so that no dead address counts as live.

        For people what was done; what could not be is said and fails nothing: a mark on a page
        costs nobody anything, and a token without the permission for it is in order.
        """
        ended = 0
        try:
            with Hub(self.repository, self.token, self.api) as hub:
                query = {"environment": self.stack, "per_page": _NEWEST}
                for each in hub.get("/deployments", **query) or []:
                    path = f"/deployments/{each['id']}/statuses"
                    newest = hub.get(path, per_page=1) or []
                    if newest and newest[0]["state"] in _OVER:
                        continue
                    told = {"state": "inactive", "description": f"{self.stack} is gone"}
                    answer = hub.request("POST", path, json=told)
                    if answer.status_code != httpx.codes.CREATED:
                        return (
                            f"deployment {each['id']} at GitHub stays marked active: give the "
                            "token the permission Deployments: read and write"
                        )
                    ended += 1
        except FlowError as error:
            return f"deployments at GitHub were not asked for: {error.problem}"
        return f"{ended} deployment(s) at GitHub marked inactive" if ended else ""


def of(project: Project, stack: str, before: State) -> Part | None:
    """The stack's part by the state as it was; None without one, or without a token.

    What an earlier destroy has taken out of the state is in the settings still.
    """
    settings = project.settings(stack)
    repository = before.repository
    if not repository and (before.github or before.empty):
        repository = str(settings.get("githubRepository") or "")
    token = str(before.github.get("token") or "") or token_at_hand()
    if not repository or not token:
        return None
    return Part(
        stack=stack,
        repository=repository,
        api=rest_url(address(before.github, settings)),
        token=token,
        ruleset=naming.resource_name(project.name, stack),
    )


def token_at_hand() -> str:
    """The environment's token for what stacks have at GitHub; empty where there is none."""
    return os.environ.get("FLOW_GITHUB_TOKEN") or os.environ.get("GITHUB_TOKEN") or ""


def address(provider: Mapping[str, object], settings: Mapping[str, object]) -> str:
    """Of the GitHub a stack is at: its provider's, its settings', the environment's, GitHub's."""
    for url in (
        provider.get("baseUrl"),
        settings.get("github:baseUrl"),
        os.environ.get("GITHUB_BASE_URL"),
        os.environ.get("GITHUB_API_URL"),
    ):
        if url:
            return str(url)
    return "https://api.github.com"
