"""What the token may at GitHub, and who the reviewers are: asked before anything is registered.

A permission that is missing is named here, with the place to give it, instead of half-way
through an `up`.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx
import pulumi

from components.github_address import PUBLIC, rest_url
from settings_model import Github

TIMEOUT_SECONDS: Final = 10.0
# Nothing has such a name, so deleting it tells whether one may, and deletes nothing.
_NOTHING: Final = "deployment-flow-may-i"
_DOCUMENT: Final = "docs/settings.md lists what the token needs"


class GithubError(pulumi.RunError):
    """GitHub does not let the token do its part, or cannot be asked; nothing was changed."""


@dataclass(frozen=True)
class Reviewers:
    """Ids of those who may agree to a job of the stage."""

    users: tuple[int, ...] = ()
    teams: tuple[int, ...] = ()


def ask(wanted: Github, transport: httpx.BaseTransport | None = None) -> Reviewers:
    """The reviewers, once it is certain that the token may make all of the stage's part.

    `transport` takes the network's place in tests. Raises GithubError with all that is missing.
    """
    with _opened(wanted, transport) as client:
        return _Asked(client, wanted).all()


def clear(
    wanted: Github,
    environment: str,
    *,
    variables: Collection[str] = (),
    policy: str | None = None,
    ruleset: str | None = None,
    transport: httpx.BaseTransport | None = None,
) -> None:
    """Delete what an `up` that was cut short made at GitHub and no state knows.

    GitHub refuses to make one a second time: these variables and this policy (a pattern) of
    `environment`, and this ruleset of the repository. Raises GithubError.
    """
    repository = f"/repos/{wanted.owner}/{wanted.repository}"
    inside = f"{repository}/environments/{quote(environment, safe='')}"
    with _opened(wanted, transport) as client:
        found = [f"{inside}/variables/{name}" for name in variables]
        if policy is not None:
            policies = f"{inside}/deployment-branch-policies"
            known = _listed(client, wanted, policies, "branch_policies")
            found += [f"{policies}/{each['id']}" for each in known if each["name"] == policy]
        if ruleset is not None:
            rulesets = f"{repository}/rulesets"
            known = _listed(client, wanted, rulesets, None)
            found += [f"{rulesets}/{each['id']}" for each in known if each["name"] == ruleset]
        for path in found:
            answer = client.delete(path)
            if answer.status_code != httpx.codes.NOT_FOUND:
                _check(wanted, answer, f"remove {path.removeprefix(repository)}")


def _check(wanted: Github, answer: httpx.Response, what: str) -> None:
    """Raises GithubError for a refusal: what stays there would stop the `up` half-way through."""
    if answer.is_success:
        return
    accepted = answer.headers.get("X-Accepted-GitHub-Permissions", "")
    asked = f"; it asks for {accepted}" if accepted else ""
    raise GithubError(
        f"An earlier `up` that was cut short has left something at {wanted.owner}/"
        f"{wanted.repository}, and GitHub does not let the token {what}: {answer.status_code}, "
        f"{_message(answer)}{asked}. Nothing was changed by this one. Next: give the token that "
        f"permission, or remove it by hand, then run the command again ({_DOCUMENT})."
    )


def _listed(
    client: httpx.Client, wanted: Github, path: str, key: str | None
) -> list[dict[str, Any]]:
    answer = client.get(path, params={"per_page": 100})
    if answer.status_code == httpx.codes.NOT_FOUND:
        return []
    _check(wanted, answer, f"list {path.rpartition('/')[2]}")
    listed: list[dict[str, Any]] = answer.json()[key] if key else answer.json()
    return listed


@contextmanager
def _opened(wanted: Github, transport: httpx.BaseTransport | None) -> Iterator[httpx.Client]:
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {wanted.token.get_secret_value()}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    try:
        with httpx.Client(
            base_url=rest_url(wanted.url),
            headers=headers,
            timeout=TIMEOUT_SECONDS,
            follow_redirects=True,
            transport=transport,
        ) as client:
            yield client
    except httpx.HTTPError as error:
        raise GithubError(
            f"{wanted.url} does not answer ({type(error).__name__}). Nothing was changed. "
            "Next: check the network and https://www.githubstatus.com, then run the command again."
        ) from None


class _Asked:
    """One conversation with GitHub, and what was found wrong in it."""

    def __init__(self, client: httpx.Client, wanted: Github) -> None:
        self._client = client
        self._wanted = wanted
        self._name = f"{wanted.owner}/{wanted.repository}"
        self._problems: list[str] = []

    def all(self) -> Reviewers:
        repository = self._repository()
        self._permissions(repository)
        self._plan()
        users: list[int] = []
        teams: list[int] = []
        for reviewer in self._wanted.reviewers:
            owner, slash, slug = reviewer.partition("/")
            found = self._team(owner, slug) if slash else self._user(reviewer)
            if found is not None:
                (teams if slash else users).append(found)
        if self._problems:
            lines = "\n".join(f"  - {each}" for each in dict.fromkeys(self._problems))
            raise GithubError(
                f"GitHub does not let this stack have its part in {self._name}. "
                f"Nothing was changed.\n{lines}\n"
                f"Next: {self._next()}, then run the command again ({_DOCUMENT})."
            )
        return Reviewers(tuple(sorted(users)), tuple(sorted(teams)))

    def _repository(self) -> dict[str, Any]:
        """The repository. Raises GithubError where the token does not even reach it."""
        answer = self._client.get(f"/repos/{self._name}")
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise GithubError(
                f"{self._wanted.url} refuses the GitHub token: it has expired, was revoked, or is "
                f"mistyped. Nothing was changed. Next: make a new one and {self._give()} "
                f"({_DOCUMENT})."
            )
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise GithubError(
                f"There is no repository {self._name}, or the GitHub token does not reach it. "
                "Nothing was changed. Next: correct githubRepository, or add the repository to "
                "the token's (its owner may have to approve that)."
            )
        if not answer.is_success:
            raise GithubError(
                f"{self._wanted.url} answers {answer.status_code} for repository {self._name}: "
                f"{_message(answer)}. Nothing was changed. Next: run the command again later."
            )
        self._scopes = answer.headers.get("X-OAuth-Scopes")
        found: dict[str, Any] = answer.json()
        return found

    def _permissions(self, repository: dict[str, Any]) -> None:
        if repository.get("archived"):
            self._problems.append("the repository is archived: nothing in it can be changed")
        # An app's installation has no role, only permissions.
        is_app = self._wanted.token.get_secret_value().startswith("ghs_")
        role = repository.get("permissions") or {}
        if not is_app and role.get("admin") is not True:
            self._problems.append(
                "the token's owner has no admin role in the repository "
                "(Settings → Collaborators and teams)"
            )
            return
        if self._scopes is not None:  # only of a classic token
            scopes = {each.strip() for each in self._scopes.split(",")}
            if not scopes & {"repo"} and (repository.get("private") or "public_repo" not in scopes):
                self._problems.append("the classic token has no scope `repo`")
            return
        environment = f"/repos/{self._name}/environments/{_NOTHING}"
        self._may("GET", environment, "Actions", "read")
        self._may("DELETE", environment, "Administration", "read and write")
        self._may("DELETE", f"{environment}/secrets/NOTHING", "Environments", "read and write")

    def _plan(self) -> None:
        answer = self._client.get(f"/repos/{self._name}/rulesets")
        if answer.status_code == httpx.codes.FORBIDDEN and "upgrade" in _message(answer).lower():
            self._problems.append(
                "the owner's plan has neither environments nor rules for a private repository "
                f"(GitHub says: {_message(answer)})"
            )

    def _may(self, method: str, path: str, permission: str, level: str) -> None:
        answer = self._client.request(method, path)
        if answer.status_code == httpx.codes.FORBIDDEN:
            accepted = answer.headers.get("X-Accepted-GitHub-Permissions", "")
            told = f" (GitHub asks for {accepted})" if accepted else f" ({_message(answer)})"
            self._problems.append(f"the token lacks the permission {permission}: {level}{told}")

    def _user(self, login: str) -> int | None:
        answer = self._client.get(f"/users/{login}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            self._problems.append(f"githubReviewers: GitHub knows nobody called {login}")
            return None
        if not answer.is_success:
            self._problems.append(f"githubReviewers: {login}: {_message(answer)}")
            return None
        access = self._client.get(f"/repos/{self._name}/collaborators/{login}/permission")
        if not access.is_success or access.json().get("permission") == "none":
            self._problems.append(
                f"githubReviewers: {login} may not read the repository, so GitHub would not ask "
                "them (Settings → Collaborators and teams)"
            )
        return int(answer.json()["id"])

    def _team(self, owner: str, slug: str) -> int | None:
        answer = self._client.get(f"/orgs/{owner}/teams/{slug}")
        if answer.is_success:
            return int(answer.json()["id"])
        if answer.status_code == httpx.codes.FORBIDDEN:
            self._problems.append(
                f"githubReviewers: the token may not see the teams of {owner} "
                "(organisation permission Members: read; classic scope read:org)"
            )
        else:
            self._problems.append(f"githubReviewers: there is no team {owner}/{slug}")
        return None

    def _next(self) -> str:
        if any("permission" in each or "scope" in each for each in self._problems):
            return (
                f"edit the token at {_site(self._wanted.url)}/settings/personal-access-tokens "
                f"(an app's: its settings), or make another and {self._give()}"
            )
        return "mend what is named"

    def _give(self) -> str:
        if self._wanted.configured_token:
            return "pulumi config set --secret github:token"
        return "export it as GITHUB_TOKEN (in a workflow: the secret FLOW_GITHUB_TOKEN)"


def _site(url: str) -> str:
    return "https://github.com" if rest_url(url) == PUBLIC else rest_url(url).split("/api/v3")[0]


def _message(answer: httpx.Response) -> str:
    try:
        told = str(answer.json()["message"])
    except (ValueError, LookupError, TypeError):
        told = ""
    return told or f"HTTP {answer.status_code}"
