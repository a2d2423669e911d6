"""Promotions, releases, hotfixes and what has to come back, by GitHub's API.

Each is safe to repeat: what is there already is found and told, not made twice.
"""

from __future__ import annotations

import datetime
import itertools
import re
from dataclasses import asdict, dataclass
from typing import Any

from github import GithubException, UnknownObjectException
from github.Commit import Commit
from github.PullRequest import PullRequest
from github.Repository import Repository

from components import naming
from flow.errors import FlowError
from flow.promotion import changes
from flow.promotion.changes import Change

DEVELOPMENT = naming.STAGE_BRANCHES["dev"]
STAGING = naming.STAGE_BRANCHES["staging"]
MAIN = naming.STAGE_BRANCHES["prod"]
FREEZE = "freeze/"
HOTFIX = "hotfix/"
BLOCKER = "release-blocker"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")
_MOST = 250  # commits GitHub compares at once
# The commits on both sides have to stay the same ones. docs/workflows.md says what enforces it.
MERGE = "Merge it with a merge commit: squashed or rebased, all of it would be asked for again."


@dataclass(frozen=True)
class Step:
    """What came of it. `done`: opened, open, released, nothing; `url` of what it is about."""

    what: str
    done: str
    url: str = ""
    title: str = ""
    text: str = ""
    branch: str = ""

    def output(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def between(repository: Repository, base: str, head: str) -> list[Change]:
    """What `head` has and `base` has not, newest first: pull requests, else plain commits."""
    return _changes(repository, list(reversed(list(repository.compare(base, head).commits))))


def _changes(repository: Repository, commits: list[Commit]) -> list[Change]:
    """The pull requests that commits came by, newest first, then the commits that came by none."""
    found: list[Change] = []
    theirs: set[str] = set()
    for commit in commits:
        for number in changes.numbers([commit.commit.message]):
            try:
                pull = repository.get_pull(number)
            except UnknownObjectException:
                continue
            # The pull requests that moved everything on are no change themselves.
            if pull.head.ref.startswith(FREEZE) or pull.head.ref in (STAGING, MAIN):
                continue
            theirs |= _brought(commit, commits)
            if any(each.number == number for each in found):
                continue
            found.append(
                Change(
                    pull.title,
                    pull.number,
                    pull.user.login,
                    tuple(label.name for label in pull.labels),
                    pull.body or "",
                    pull.merge_commit_sha or "",
                )
            )
    plain = [
        Change(each.commit.message.splitlines()[0], sha=each.sha)
        for each in commits[:_MOST]
        if len(each.parents) < 2 and each.sha not in theirs
    ]
    return found + plain


def _brought(commit: Commit, commits: list[Commit]) -> set[str]:
    """What a pull request's commit brought: itself and, for a merge, what its first side lacks."""
    parents = {each.sha: [parent.sha for parent in each.parents] for each in commits}

    def reached(starts: list[str]) -> set[str]:
        seen: set[str] = set()
        left = list(starts)
        while left:
            sha = left.pop()
            if sha in parents and sha not in seen:
                seen.add(sha)
                left += parents[sha]
        return seen

    first, *others = parents[commit.sha] or [""]
    return {commit.sha} | (reached(others) - reached([first]))


def promote_staging(repository: Repository, today: datetime.date, *, dry_run: bool = False) -> Step:
    """Freeze `development` as a dated branch and ask for its merge into `staging`."""
    for pull in repository.get_pulls(state="open", base=STAGING):
        if is_promotion(pull, repository):
            return Step("promotion to staging", "open", pull.html_url, pull.title,
                        pull.body or "", pull.head.ref)  # fmt: skip
    found = between(repository, STAGING, DEVELOPMENT)
    if not found:
        return Step("promotion to staging", "nothing")
    branch = _free(repository, f"{FREEZE}{today.isoformat()}")
    title = f"Staging, {today.isoformat()}"
    text = (
        f"What `{DEVELOPMENT}` has had since the last promotion:\n\n{changes.listed(found)}\n\n"
        f"Frozen as `{branch}`. A patch that testing asks for goes there; it comes back to "
        f"`{DEVELOPMENT}` by a pull request of its own once this is merged.\n\n{MERGE}"
    )
    if dry_run:
        return Step("promotion to staging", "planned", "", title, text, branch)
    head = repository.get_branch(DEVELOPMENT).commit.sha
    frozen = repository.create_git_ref(f"refs/heads/{branch}", head)
    try:
        pull = repository.create_pull(base=STAGING, head=branch, title=title, body=text)
    except GithubException:
        # The next try would take it for another day's, and make one more.
        frozen.delete()
        raise
    return Step("promotion to staging", "opened", pull.html_url, title, text, branch)


def promote_prod(repository: Repository, *, dry_run: bool = False) -> Step:
    """Ask for the merge of `staging` into `main`. Raises FlowError while a blocker is open."""
    found = between(repository, MAIN, STAGING)
    if not found:
        # Before blockers are looked for: there is nothing that they hold up.
        return Step("promotion to production", "nothing")
    blockers = [
        issue
        for issue in repository.get_issues(state="open", labels=[BLOCKER])
        if issue.pull_request is None
    ]
    if blockers:
        told = "; ".join(f"#{issue.number} {issue.title}" for issue in blockers)
        raise FlowError(
            f"{len(blockers)} open issue(s) labelled {BLOCKER}: {told}",
            "close them, or take the label off what does not block",
        )
    for pull in repository.get_pulls(state="open", base=MAIN):
        if is_promotion(pull, repository):
            return Step("promotion to production", "open", pull.html_url, pull.title,
                        pull.body or "", STAGING)  # fmt: skip
    title = "Production"
    text = (
        f"What production gets:\n\n{changes.listed(found)}\n\n"
        f"{MERGE} After that: `flow release`, which deploys it once its reviewers agree."
    )
    if dry_run:
        return Step("promotion to production", "planned", "", title, text, STAGING)
    pull = repository.create_pull(base=MAIN, head=STAGING, title=title, body=text)
    return Step("promotion to production", "opened", pull.html_url, title, text, STAGING)


def release(
    repository: Repository, *, version: str = "", bump: str = "", dry_run: bool = False
) -> Step:
    """Publish `main` as a release with notes, which deploys production."""
    try:
        last = repository.get_latest_release().tag_name
    except UnknownObjectException:
        last = ""
    head = repository.get_branch(MAIN).commit.sha
    if last and repository.compare(last, head).ahead_by == 0:
        return Step("release", "nothing", title=last)
    found = between(repository, last, head) if last else _first(repository, head)
    try:
        tag = version or changes.next_version(last, found, bump)
    except ValueError as error:
        raise FlowError(
            f"the last release's tag: {error}", "name the new one: --version v2.0.0"
        ) from error
    if not re.fullmatch(r"v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", tag):
        raise FlowError(f"{tag!r} is no version", "as v1.4.0; flow-prod admits tags v*", code=2)
    if any(
        ref.ref == f"refs/tags/{tag}" for ref in repository.get_git_matching_refs(f"tags/{tag}")
    ):
        # GitHub would publish what the tag names, not main.
        raise FlowError(f"there is a tag {tag} already", "name the next one: --version")
    compare = f"{repository.html_url}/compare/{last}...{tag}" if last else ""
    text = changes.notes(found, before=last, version=tag, compare=compare)
    if dry_run:
        return Step("release", "planned", title=tag, text=text)
    made = repository.create_git_release(
        tag, tag, text, target_commitish=head, prerelease="-" in tag
    )
    return Step("release", "released", made.html_url, tag, text)


def _first(repository: Repository, head: str) -> list[Change]:
    return _changes(repository, list(itertools.islice(repository.get_commits(sha=head), _MOST)))


def start_hotfix(repository: Repository, name: str, base: str, *, dry_run: bool = False) -> Step:
    """A branch for an urgent fix, off `staging` or `main`."""
    if not _NAME.fullmatch(name):
        raise FlowError(f"{name!r} cannot name a branch", "letters, digits, `.`, `_`, `-`", code=2)
    branch = HOTFIX + name
    if _exists(repository, branch):
        return Step("hotfix", "open", f"{repository.html_url}/tree/{branch}", branch=branch)
    if not dry_run:
        head = repository.get_branch(base).commit.sha
        repository.create_git_ref(f"refs/heads/{branch}", head)
    done = "planned" if dry_run else "opened"
    return Step("hotfix", done, f"{repository.html_url}/tree/{branch}", title=base, branch=branch)


def finish_hotfix(
    repository: Repository, name: str, base: str, title: str = "", *, dry_run: bool = False
) -> Step:
    """Ask for the merge of a hotfix's branch into the branch it came from."""
    branch = name if name.startswith(HOTFIX) else HOTFIX + name
    if not _exists(repository, branch):
        raise FlowError(f"there is no branch {branch}", f"flow hotfix start {name} --base {base}")
    owner = repository.owner.login
    for pull in repository.get_pulls(state="open", base=base, head=f"{owner}:{branch}"):
        return Step("hotfix", "open", pull.html_url, pull.title, branch=branch)
    found = between(repository, base, branch)
    if not found:
        raise FlowError(f"{branch} has no commit that {base} lacks", f"push the fix to {branch}")
    other = MAIN if base == STAGING else STAGING
    ahead, ahead_of_other = (repository.compare(b, branch).ahead_by for b in (base, other))
    if ahead_of_other < ahead:
        # Its merge would bring along what the other one has besides, untested or unreleased.
        raise FlowError(
            f"{branch} was begun off {other}, not off {base}",
            f"flow hotfix finish {branch.removeprefix(HOTFIX)} --base {other}",
        )
    title = title or changes.cut(f"Hotfix: {found[-1].told}", changes.TITLE)
    text = (
        f"{changes.listed(found)}\n\nOnce this is merged, pull requests bring it back to the "
        "branches below by themselves."
    )
    if dry_run:
        return Step("hotfix", "planned", "", title, text, branch)
    pull = repository.create_pull(base=base, head=branch, title=title, body=text)
    _label(pull, "hotfix")
    return Step("hotfix", "opened", pull.html_url, title, text, branch)


def missing_below(repository: Repository) -> dict[str, list[str]]:
    """`main..staging`-wise: what a branch has that the one below lacks: {"main → staging": [sha]}.

    Merge commits of promotions count for nothing: they bring no change.
    """
    found: dict[str, list[str]] = {}
    for upper, lower in ((MAIN, STAGING), (STAGING, DEVELOPMENT)):
        compared = repository.compare(lower, upper)
        lacking = [each.sha for each in compared.commits if len(each.parents) < 2]
        if lacking:
            found[f"{upper} → {lower}"] = lacking
    return found


def back_merge(repository: Repository, *, dry_run: bool = False) -> list[Step]:
    """A pull request for each branch that lacks what the one above it has."""
    steps: list[Step] = []
    owner = repository.owner.login
    missing = missing_below(repository)
    for upper, lower in ((MAIN, STAGING), (STAGING, DEVELOPMENT)):
        if f"{upper} → {lower}" not in missing:
            continue
        what = f"back-merge of {upper} into {lower}"
        pulls = list(repository.get_pulls(state="open", base=lower, head=f"{owner}:{upper}"))
        if pulls:
            steps.append(Step(what, "open", pulls[0].html_url, pulls[0].title, branch=upper))
            continue
        found = between(repository, lower, upper)
        title = f"Back from {upper}: {found[0].told}" if found else f"Back from {upper}"
        title = changes.cut(title, changes.TITLE)
        text = f"`{upper}` has what `{lower}` lacks:\n\n{changes.listed(found)}\n\n{MERGE}"
        if dry_run:
            steps.append(Step(what, "planned", "", title, text, upper))
            continue
        pull = repository.create_pull(base=lower, head=upper, title=title, body=text)
        steps.append(Step(what, "opened", pull.html_url, title, text, upper))
    return steps


def _label(pull: PullRequest, name: str) -> None:
    try:
        pull.add_to_labels(name)
    except GithubException:
        return  # a label is a help, no more


def _exists(repository: Repository, branch: str) -> bool:
    try:
        repository.get_branch(branch)
    except UnknownObjectException:
        return False
    return True


def is_promotion(pull: PullRequest, repository: Repository) -> bool:
    """Whether a pull request moves on what is tested: a freeze to staging, or staging to main.

    From a branch of the repository: anybody's fork can name one the same.
    """
    named = {STAGING: pull.head.ref.startswith(FREEZE), MAIN: pull.head.ref == STAGING}
    own = pull.head.repo is not None and pull.head.repo.full_name == repository.full_name
    return own and named.get(pull.base.ref, False)


def _free(repository: Repository, branch: str) -> str:
    """The name, or with a number where a day has had one already."""
    number, name = 1, branch
    while _exists(repository, name) and number < 100:
        number += 1
        name = f"{branch}-{number}"
    return name
