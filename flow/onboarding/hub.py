"""GitHub asked plainly and quickly: what is there, and what a token may not.

PyGithub is for what is made; it waits and tries again for longer than somebody who looks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from flow.errors import FlowError

API = "https://api.github.com"
_SECONDS = 8.0
# Nothing has such a name: to delete it tells whether one may, and deletes nothing.
_NOTHING = "deployment-flow-may-i"

# (permission, level) → a request that changes nothing: what it is about is not there, or not given.
_PROBES: dict[tuple[str, str], tuple[str, str]] = {
    ("Actions", "read"): ("GET", f"/environments/{_NOTHING}"),
    ("Administration", "read and write"): ("DELETE", f"/environments/{_NOTHING}"),
    ("Contents", "read and write"): ("DELETE", f"/git/refs/heads/{_NOTHING}"),
    ("Environments", "read and write"): ("DELETE", f"/environments/{_NOTHING}/secrets/NOTHING"),
    ("Issues", "read and write"): ("DELETE", f"/labels/{_NOTHING}"),
    ("Pull requests", "read and write"): ("DELETE", "/pulls/comments/0"),
}
# What a stack's own part at GitHub takes (docs/settings.md).
STACKS = ("Actions", "Administration", "Environments")


def headers(token: str) -> dict[str, str]:
    """What a request to GitHub's API carries."""
    return {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {token}",
        "X-GitHub-Api-Version": "2022-11-28",
    }


class Hub:
    """One repository, by one token."""

    def __init__(self, repository: str, token: str, api: str = "") -> None:
        self.repository = repository
        self.token = token
        self.api = api
        self._client = httpx.Client(
            base_url=(api or API).rstrip("/"),
            headers=headers(token),
            timeout=_SECONDS,
            follow_redirects=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """An answer of the repository's. Raises FlowError where there is none."""
        try:
            return self._client.request(method, f"/repos/{self.repository}{path}", **options)
        except httpx.HTTPError as error:
            raise FlowError(
                f"GitHub cannot be asked: {type(error).__name__}",
                "check the network and https://www.githubstatus.com, then run it again",
            ) from error

    def get(self, path: str, **query: Any) -> Any:
        """What is there; None where nothing is. Raises FlowError for a refusal."""
        answer = self.request("GET", path, params=query)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.is_success:
            return answer.json()
        needed = answer.headers.get("X-Accepted-GitHub-Permissions", "")
        raise FlowError(
            f"GitHub answers {answer.status_code} for {path or self.repository}",
            f"give the token the permission {needed}" if needed else "look at the token",
        )

    def look(self, path: str) -> Any:
        """What is at a path of the API, below no repository; None where it does not tell."""
        try:
            answer = self._client.get(path)
        except httpx.HTTPError as error:
            raise FlowError(f"GitHub cannot be asked: {type(error).__name__}") from error
        return answer.json() if answer.is_success else None

    def facts(self) -> Mapping[str, Any]:
        """The repository itself. Raises FlowError for a bad token or one that does not reach it."""
        answer = self.request("GET", "")
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise FlowError(
                "GitHub does not know the token: it has expired, was revoked, or is mistyped",
                "make a new one, and export it as GITHUB_TOKEN",
            )
        if not answer.is_success:
            raise FlowError(
                f"there is no repository {self.repository} that the token reaches",
                "look at the name, and at the repositories the token was made for",
            )
        found: dict[str, Any] = answer.json()
        return found

    def lacking(self, permissions: Collection[str] = ()) -> list[str]:
        """What the token has not of `permissions`, or of all that onboarding needs.

        Each in GitHub's own words, with its level.
        """
        scopes_needed = ("repo",) if permissions else ("repo", "workflow")
        answer = self.request("GET", "")
        role = (answer.json() if answer.is_success else {}).get("permissions") or {}
        found = [] if role.get("admin") else ["the admin role in the repository"]
        if (told := answer.headers.get("X-OAuth-Scopes")) is not None:  # a classic token's
            scopes = {each.strip() for each in told.split(",")}
            return found + [f"the scope `{each}`" for each in scopes_needed if each not in scopes]
        for (permission, level), (method, path) in _PROBES.items():
            if permissions and permission not in permissions:
                continue
            if self.request(method, path).status_code == httpx.codes.FORBIDDEN:
                found.append(f"{permission}: {level}")
        return found

    def names(self, path: str, key: str) -> dict[str, Any]:
        """What a list has, by name; empty where there is no such list."""
        found = self.get(path, per_page=100) or {}
        return {str(each["name"]): each for each in found.get(key) or []}
