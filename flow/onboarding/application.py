"""What `flow init` does to the application's repository: branches, and files by a pull request."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from github import UnknownObjectException
from github.Repository import Repository

from components import naming
from flow import caller, run_environments
from flow.errors import FlowError
from flow.onboarding import bug_form, release_tags
from flow.onboarding.hub import Hub
from flow.onboarding.planning import Step

DEVELOPMENT = naming.STAGE_BRANCHES["dev"]
BRANCH = "flow-init"


def branch_steps(hub: Hub, repository: Repository, *, keep_default: bool) -> list[Step]:
    """Branches that stages follow, made off the default one; and which is the default."""
    default = str(hub.facts()["default_branch"])
    head = hub.get(f"/branches/{default}")
    if head is None:
        raise FlowError(
            f"{hub.repository} has no commit yet", "push the application to it, then run it again"
        )
    commit = str(head["commit"]["sha"])
    steps = [
        Step(f"GitHub: branch {each}, as {default} is now", _brancher(repository, each, commit))
        for each in naming.STAGE_BRANCHES.values()
        if hub.get(f"/branches/{each}") is None
    ]
    if default != DEVELOPMENT and not keep_default:
        what = f"GitHub: {DEVELOPMENT} as the default branch, where deletions and schedules run"
        steps.append(Step(what, lambda: repository.edit(default_branch=DEVELOPMENT)))
    if not (hub.get("/actions/permissions/workflow") or {}).get("can_approve_pull_request_reviews"):
        what = "GitHub: runs may open pull requests"
        steps.append(Step(what, lambda: run_environments.let_runs_ask(repository)))
    return steps


def tag_steps(hub: Hub, repository: Repository) -> tuple[list[Step], list[str]]:
    """The ruleset for tags of releases where one lacks; and notes for a person."""
    try:
        open_ = release_tags.open_to(release_tags.of_tags(hub))
    except FlowError as error:
        # GitHub's plans: none of a private repository that nobody pays for.
        return [], [f"who may write may tag a release: {error.problem} (rulesets)"]
    if not open_:
        return [], []
    what = f"GitHub: ruleset {release_tags.NAME!r}: tags v* for the roles maintain and admin alone"
    return [Step(what, lambda: release_tags.ensure(repository))], []


def _brancher(repository: Repository, name: str, commit: str) -> Callable[[], object]:
    return lambda: repository.create_git_ref(f"refs/heads/{name}", commit)


@dataclass(frozen=True)
class Workflow:
    """The step that brings the files, None where there is none to do; `note` is for a person."""

    step: Step | None
    note: str = ""


def workflow_step(
    hub: Hub,
    repository: Repository,
    deployment: str,
    commit: Callable[[], str],
    *,
    moves: bool,
    push: bool,
) -> Workflow:
    """The ten lines and the bug form, by a pull request or by commits.

    commit  the deployment repository's; asked for again when the step is done
    moves   an earlier step makes another one
    """
    default = str(hub.facts()["default_branch"])
    base = DEVELOPMENT if hub.get(f"/branches/{DEVELOPMENT}") is not None else default
    protected = bool((hub.get(f"/branches/{base}") or {}).get("protected"))
    wanted = {caller.FILE: caller.render(deployment, commit()), bug_form.FILE: bug_form.TEXT}
    had = {file: _text(hub, file, base) for file in wanted}
    was = had[caller.FILE]
    theirs = was is not None and caller.pinned(was) is None
    direct = push and not protected and not theirs
    why = f"{caller.FILE} is not of flow's making" if theirs else f"{base} is protected"
    note = f"{why}: a pull request instead of a push" if push and not direct else ""
    differs = [
        file
        for file, text in wanted.items()
        if had[file] != text or (moves and file == caller.FILE)
    ]
    if had[bug_form.FILE] is not None and bug_form.FILE in differs:
        differs.remove(bug_form.FILE)  # the team's own words
    if not differs:
        return Workflow(None, note)
    if (
        not direct
        and not moves
        and all(_text(hub, file, BRANCH) == wanted[file] for file in differs)
    ):
        owner = hub.repository.partition("/")[0]
        for pull in hub.get("/pulls", state="open", base=base, head=f"{owner}:{BRANCH}") or []:
            return Workflow(None, f"its pull request is open: merge {pull['html_url']}")
    at = "the commit to come" if moves else commit()[:12]
    how = f"a commit to {base}" if direct else f"a pull request to {base}"
    what = f"GitHub: {how} with {', '.join(differs)}, calling {deployment} at {at}"

    def do() -> str:
        texts = {**wanted, caller.FILE: caller.render(deployment, commit())}
        given = {file: texts[file] for file in differs}
        return publish(repository, DEVELOPMENT, given, direct)

    return Workflow(Step(what, do), note)


def _text(hub: Hub, file: str, branch: str) -> str | None:
    found = hub.get(f"/contents/{file}", ref=branch)
    return None if found is None else base64.b64decode(found["content"]).decode()


def publish(repository: Repository, base: str, texts: Mapping[str, str], direct: bool) -> str:
    """Commit the files to `base`, or to a branch of ours with a pull request; its address."""
    branch = base if direct else BRANCH
    pulls = []
    if not direct:
        owner = repository.owner.login
        pulls = list(repository.get_pulls(state="open", base=base, head=f"{owner}:{BRANCH}"))
        names = {each.name for each in repository.get_branches()}
        head = repository.get_branch(base).commit.sha
        if BRANCH not in names:
            repository.create_git_ref(f"refs/heads/{BRANCH}", head)
        elif not pulls:  # one of an earlier time, merged or closed since
            repository.get_git_ref(f"heads/{BRANCH}").edit(head, force=True)
    known = {
        each.path: each.sha
        for file in texts
        for each in _entries(repository, str(Path(file).parent), branch)
    }
    for file, text in texts.items():
        message = f"{'The deployment flow' if file == caller.FILE else 'A form for bugs'}: {file}"
        if file in known:
            repository.update_file(file, message, text, known[file], branch=branch)
        else:
            repository.create_file(file, message, text, branch=branch)
    if direct:
        return f"{repository.html_url}/commits/{base}"
    if pulls:
        return str(pulls[0].html_url)
    body = (
        "The workflow that deploys this application, and the form in which testers of staging "
        "report what is wrong with it. Merged, the next push to `development` deploys dev."
    )
    made = repository.create_pull(base=base, head=BRANCH, title="The deployment flow", body=body)
    return str(made.html_url)


def _entries(repository: Repository, folder: str, branch: str) -> list[Any]:
    try:
        found = repository.get_contents(folder, ref=branch)
    except UnknownObjectException:
        return []
    return found if isinstance(found, list) else [found]
