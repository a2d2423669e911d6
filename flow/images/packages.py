"""A container package at GitHub: its versions, listed and deleted by the Packages API.

The API takes classic tokens alone (and a run's own, where the package gives its repository the
admin role): `read:packages` to list, `delete:packages` as well to delete.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from flow.errors import FlowError
from flow.onboarding.hub import API, headers

_SCOPES = "a classic token with read:packages and delete:packages, of somebody with the admin role"


@dataclass(frozen=True)
class Version:
    """One version: a manifest, with a tag or without."""

    id: str
    digest: str
    tags: tuple[str, ...]
    changed: int
    """When it was pushed or last given a tag, in seconds since 1970."""


class Package:
    """One package of an organization's or a person's. Each call raises FlowError."""

    def __init__(self, client: httpx.Client, token: str, owner: str, name: str) -> None:
        self._client = client
        self._token = token
        self._name = f"{owner}/{name}"
        below = f"packages/container/{quote(name, safe='')}/versions"
        # Whatever GitHub the team is at: ghcr.io is this one's.
        self._places = [f"{API}/{kind}/{quote(owner)}/{below}" for kind in ("orgs", "users")]

    def versions(self) -> list[Version]:
        """Every version; none where there is no such package."""
        for place in list(self._places):
            answer = self._ask("GET", f"{place}?per_page=100")
            if answer.status_code == httpx.codes.NOT_FOUND:
                continue  # an organization is no person, and the other way round
            self._places = [place]
            return self._pages(answer)
        return []

    def delete(self, version: str) -> None:
        """Delete one; that it is gone already is fine, and so GitHub answers what one may not."""
        answer = self._ask("DELETE", f"{self._places[0]}/{version}")
        if not answer.is_success and answer.status_code != httpx.codes.NOT_FOUND:
            raise self._refusal(answer, "deletes no version of")

    def _pages(self, answer: httpx.Response) -> list[Version]:
        found: list[Version] = []
        while True:
            if not answer.is_success:
                raise self._refusal(answer, "does not list the versions of")
            found += [_version(each) for each in answer.json()]
            after = answer.links.get("next", {}).get("url")
            if not after:
                return found
            answer = self._ask("GET", after)

    def _ask(self, method: str, url: str) -> httpx.Response:
        try:
            return self._client.request(method, url, headers=headers(self._token))
        except httpx.HTTPError as error:
            raise FlowError(
                f"GitHub cannot be asked for the package {self._name}: {type(error).__name__}",
                "check the network and https://www.githubstatus.com, then run it again",
            ) from error

    def _refusal(self, answer: httpx.Response, what: str) -> FlowError:
        try:
            said = str(answer.json().get("message") or "")
        except (AttributeError, ValueError):
            said = ""
        is_right = answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
        return FlowError(
            f"GitHub {what} the package {self._name}: {answer.status_code} {said}".rstrip(),
            f"export REGISTRY_PUSH_PASSWORD: {_SCOPES} in the package" if is_right else "",
        )


def _version(told: Mapping[str, Any]) -> Version:
    container = (told.get("metadata") or {}).get("container") or {}
    times = (told["created_at"], told["updated_at"])
    return Version(
        id=str(told["id"]),
        digest=str(told["name"]),
        tags=tuple(container.get("tags") or ()),
        changed=max(int(datetime.datetime.fromisoformat(each).timestamp()) for each in times),
    )
