"""The application's repository on GitHub, as the person or run that asks may use it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from github import Auth, BadCredentialsException, Github, GithubException, UnknownObjectException
from github.Repository import Repository

from flow import backends
from flow.errors import FlowError

_SECONDS = 30
API = "https://api.github.com"
_RUNS_OWN = "not accessible by integration"


def repository(name: str, environment: Mapping[str, str] = os.environ) -> Repository:
    """The repository `owner/name` by GITHUB_TOKEN, else FLOW_GITHUB_TOKEN.

    GITHUB_API_URL names another GitHub. Raises FlowError: no token, one that is not known, or a
    repository it does not reach.
    """
    name = name or environment.get("GITHUB_REPOSITORY", "")
    if not name:
        raise FlowError(
            "no setting says which repository the application is in",
            f"{backends.command('dev', 'config set githubRepository OWNER/NAME')}, or set "
            "GITHUB_REPOSITORY",
        )
    token = environment.get("GITHUB_TOKEN") or environment.get("FLOW_GITHUB_TOKEN")
    if not token:
        raise FlowError(
            "there is no GitHub token",
            "export GITHUB_TOKEN=…, a token with contents, issues and pull requests of " + name,
        )
    api = environment.get("GITHUB_API_URL") or API
    client = Github(
        auth=Auth.Token(token),
        base_url=api,
        timeout=_SECONDS,
        per_page=100,
        # A few calls, which somebody waits for.
        seconds_between_requests=None,
        seconds_between_writes=None,
    )
    try:
        return client.get_repo(name)
    except BadCredentialsException as error:
        raise FlowError(
            f"GitHub does not know the token: {error.data.get('message')}",
            "make a new one, and export it as GITHUB_TOKEN",
        ) from error
    except UnknownObjectException as error:
        raise FlowError(
            f"there is no repository {name} that the token reaches",
            "look at the name, and at the repositories the token was made for",
        ) from error
    except (GithubException, OSError) as error:
        raise FlowError(f"GitHub cannot be asked at {api}: {error}") from error


def explained(error: GithubException) -> FlowError:
    """GitHub's refusal as an error of ours: its words, and the permission it names."""
    data = error.data if isinstance(error.data, dict) else {}
    words = [str(data.get("message") or error)]
    for each in data.get("errors") or []:
        words.append(str(each.get("message") or each) if isinstance(each, dict) else str(each))
    needed = (error.headers or {}).get("x-accepted-github-permissions")
    remedy = f"give the token the permission {needed}" if needed else ""
    if needed and "workflows=write" in needed and _RUNS_OWN in words[0]:
        remedy = (
            "a run's own token makes no branch at a commit whose workflow files are not those of "
            "the default branch: a person's does, flow promote staging"
        )
    if "creations being restricted" in words[0]:
        remedy = "releases are published by the roles maintain and admin: ask somebody who has one"
    return FlowError("GitHub refuses: " + "; ".join(words), remedy)
