"""Which images the next deploys will need, as GitHub has it: branches, and newest releases.

A branch's newest build has the branch's tag and the commit's. What production gets next is what
staging built of the same files (`carrying`), or a release's that still waits for its reviewers.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from github import GithubException
from github.Repository import Repository

from components import naming
from flow import backends, carrying
from flow.errors import FlowError
from flow.images.records import Need
from flow.onboarding.hub import Hub
from flow.promotion import team
from flow.run_environments import GROUPS

RELEASES = 5
"""Newest releases whose images stay: one may wait for its reviewers, and a last one be wanted."""


def needs(repository: Repository) -> list[Need]:
    """What the branches that exist, and the newest releases, need. Raises FlowError."""
    with _explained():
        return list(_needs(repository))


def _needs(repository: Repository) -> Iterator[Need]:
    main = naming.STAGE_BRANCHES["prod"]
    heads = {each.name: each.commit.sha for each in repository.get_branches()}
    for branch, commit in heads.items():
        why = f"the newest of branch {branch}"
        yield Need(why, naming.branch_slug(branch))
        yield Need(why, commit)
    for branch in naming.STAGE_BRANCHES.values():
        if branch not in heads:
            yield Need(f"the newest of branch {branch}", naming.branch_slug(branch))
    if main in heads and naming.STAGE_BRANCHES["staging"] in heads:
        for commit in carrying.tested(repository, heads[main]):
            yield Need("the next release would be this build of staging", commit)
    for release in itertools.islice(repository.get_releases(), RELEASES):
        yield Need(f"release {release.tag_name} is among the newest {RELEASES}", release.tag_name)


def check_places(repository: Repository, environment: Mapping[str, str] = os.environ) -> None:
    """Raises FlowError where runs keep a group's state elsewhere than where it is read here.

    Whoever has one group's state alone would else find no stack of the others, and take that for
    none: a place that is missing looks like an empty one.
    """
    token = environment.get("GITHUB_TOKEN") or environment.get("FLOW_GITHUB_TOKEN", "")
    api = environment.get("GITHUB_API_URL", "")
    elsewhere = []
    with Hub(repository.full_name, token, api) as hub:
        for name, group in GROUPS.items():
            variables = hub.names(f"/environments/{name}/variables", "variables")
            theirs = str((variables.get(backends.URL) or {}).get("value") or "")
            if theirs and not _is_same(theirs, backends.place(group, environment)[0]):
                elsewhere.append((group, name, theirs))
    if elsewhere:
        told = "; ".join(f"{group} is in {url} ({name})" for group, name, url in elsewhere)
        wanted = ", ".join(backends.of_group(backends.URL, group) for group, _, _ in elsewhere)
        raise FlowError(
            f"this shell reads other states than the team's runs write: {told}",
            f"export {wanted} as it is there, with the keys and the passphrase of each",
        )


def _is_same(one: str, other: str) -> bool:
    first, second = urlsplit(one), urlsplit(other)
    if (first.scheme, first.netloc, first.path.strip("/")) != (
        second.scheme,
        second.netloc,
        second.path.strip("/"),
    ):
        return False
    endpoints = [parse_qs(each.query).get("endpoint") for each in (first, second)]
    return not all(endpoints) or endpoints[0] == endpoints[1]


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except GithubException as error:
        raise team.explained(error) from error
    except OSError as error:
        raise FlowError(
            f"GitHub cannot be asked which branches there are: {error}",
            "check the network and https://www.githubstatus.com, then run it again",
        ) from error
