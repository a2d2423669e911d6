"""What the program made at GitHub for stacks: environments and rulesets, found by their names."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx

from components import labels, naming
from components.github_address import rest_url
from flow import github_part
from flow.errors import FlowError
from flow.labelled import Found
from flow.onboarding.hub import Hub
from flow.project import Project

ENVIRONMENT, RULESET = "GitHub environment", "GitHub ruleset"
# What the program puts into each of its environments, and nobody else has a use for: an environment
# may be called `staging` by anybody, and a run's deployment makes a bare one of the stage's name.
VARIABLE, SECRET = "DEPLOY_HOST", "DEPLOY_KEY"
NOT_ASKED = "GitHub was not asked: there is no token. What it has of lost stacks is not looked for"


class AtGithub:
    """The application's repository, by one token."""

    def __init__(self, project: str, repository: str, token: str, api: str) -> None:
        self._project, self._repository, self._token = project, repository, token
        self._api = api

    def listed(self) -> list[Found]:
        """Everything the program made there, whether its stack exists or not. Raises FlowError.

        Never an environment that runs start from, nor what only has a stage's name.
        """
        with Hub(self._repository, self._token, self._api) as hub:
            return [*self._environments(hub), *self._rulesets(hub)]

    def remove(self, each: Found) -> None:
        """Delete one; that it is gone already is fine. Raises FlowError."""
        with Hub(self._repository, self._token, self._api) as hub:
            answer = hub.request("DELETE", each.id)
        if not answer.is_success and answer.status_code != httpx.codes.NOT_FOUND:
            raise FlowError(
                f"{each} cannot be deleted: GitHub answers {answer.status_code}",
                f"as an administrator: gh api -X DELETE repos/{self._repository}{each.id}",
            )

    def _environments(self, hub: Hub) -> Iterator[Found]:
        for name, each in hub.names("/environments", "environments").items():
            path = f"/environments/{quote(name, safe='')}"
            if naming.stage_of_stack(name) is not None and _is_ours(hub, path):
                yield self._found(ENVIRONMENT, name, name, path, each)

    def _rulesets(self, hub: Hub) -> Iterator[Found]:
        # Demos have none. An organization's is listed with the repository's own.
        ours = {naming.resource_name(self._project, each): each for each in naming.STAGE_BRANCHES}
        for each in hub.get("/rulesets", per_page=100) or []:
            stack = ours.get(each["name"])
            if stack is not None and each.get("source_type", "Repository") == "Repository":
                yield self._found(RULESET, each["name"], stack, f"/rulesets/{each['id']}", each)

    def _found(
        self, kind: str, name: str, stack: str, path: str, thing: Mapping[str, Any]
    ) -> Found:
        made = thing.get("created_at")
        return Found(
            kind,
            name,
            {
                "managed-by": labels.MANAGED_BY,
                "project": naming.label_value(self._project),
                "stack": naming.label_value(stack),
                "stage": str(naming.stage_of_stack(stack)),
                "branch": str(naming.branch_of_stack(stack)),
            },
            thing,
            id=path,
            created=int(datetime.datetime.fromisoformat(made).timestamp()) if made else None,
        )


def _is_ours(hub: Hub, path: str) -> bool:
    return VARIABLE in hub.names(f"{path}/variables", "variables") or SECRET in hub.names(
        f"{path}/secrets", "secrets"
    )


def at_hand(project: Project) -> tuple[AtGithub | None, str]:
    """The application's repository by the settings, else GITHUB_REPOSITORY; or why not to ask it.

    None without a word where the team names no repository.
    """
    for stack in naming.STAGE_BRANCHES:
        settings = project.settings(stack)
        if repository := str(settings.get("githubRepository") or ""):
            break
    else:
        repository = os.environ.get("GITHUB_REPOSITORY", "")
    if not repository:
        return None, ""
    if not (token := github_part.token_at_hand()):
        return None, NOT_ASKED
    api = rest_url(github_part.address({}, settings))
    return AtGithub(project.name, repository, token, api), ""
