"""`flow promote`, `flow release`, `flow hotfix` and `flow back-merge`: changes on their way."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer
from github import GithubException
from github.Repository import Repository as GithubRepository

from flow import project, terminal
from flow.commands.asking import DryRun, Json, Yes, agree
from flow.promotion import steps, team
from flow.promotion.steps import Step

hotfix_app = typer.Typer(help="An urgent fix of staging or production.", no_args_is_help=True)

Repository = Annotated[
    str, typer.Option(help="The application's repository, as OWNER/NAME; else the settings'.")
]


class Target(StrEnum):
    """Where to."""

    staging = "staging"
    prod = "prod"


class Base(StrEnum):
    """The branch a hotfix is for."""

    staging = "staging"
    main = "main"


class Bump(StrEnum):
    """Which part of the version goes up."""

    major = "major"
    minor = "minor"
    patch = "patch"


def promote(
    target: Annotated[Target, typer.Argument(help="staging or prod.")],
    repository: Repository = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Open the pull request that moves what is tested one stage on, saying what is in it.

    staging: development is frozen as a dated branch, which can be patched. prod: refused while an
    issue labelled release-blocker is open.
    """

    def work(repo: GithubRepository) -> list[Step]:
        if target is Target.prod:
            return [steps.promote_prod(repo, dry_run=dry_run)]
        today = datetime.datetime.now(datetime.UTC).date()
        return [steps.promote_staging(repo, today, dry_run=dry_run)]

    _do(repository, work, as_json)


def release(
    version: Annotated[str, typer.Option(help="As v1.4.0; else what the changes ask for.")] = "",
    bump: Annotated[Bump | None, typer.Option(help="Which part of the version goes up.")] = None,
    repository: Repository = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Publish main as a release, with notes for users first. It deploys production."""
    up = bump.value if bump else ""

    def work(repo: GithubRepository) -> list[Step]:
        planned = steps.release(repo, version=version, bump=up, dry_run=True)
        if dry_run or planned.done == "nothing":
            return [planned]
        terminal.say(planned.text)
        agree(f"Publish {planned.title}? It goes to production once its reviewers agree.", yes)
        return [steps.release(repo, version=planned.title)]

    _do(repository, work, as_json)


@hotfix_app.command()
def start(
    name: Annotated[str, typer.Argument(help="What it is about: login-loop.")],
    base: Annotated[Base, typer.Option(help="The branch that needs it.")] = Base.staging,
    repository: Repository = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make the branch hotfix/NAME off staging or main."""
    _do(
        repository,
        lambda repo: [steps.start_hotfix(repo, name, base.value, dry_run=dry_run)],
        as_json,
    )


@hotfix_app.command()
def finish(
    name: Annotated[str, typer.Argument(help="The hotfix's name.")],
    base: Annotated[Base, typer.Option(help="The branch it is for.")] = Base.staging,
    title: Annotated[str, typer.Option(help="Of the pull request; else the commit's.")] = "",
    repository: Repository = "",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Open the pull request of hotfix/NAME. Merged, it comes back to the branches below."""
    _do(
        repository,
        lambda repo: [steps.finish_hotfix(repo, name, base.value, title, dry_run=dry_run)],
        as_json,
    )


def back_merge(repository: Repository = "", dry_run: DryRun = False, as_json: Json = False) -> None:
    """Open pull requests for what main or staging has and the branch below lacks."""
    _do(repository, lambda repo: steps.back_merge(repo, dry_run=dry_run), as_json)


def _do(name: str, work: Callable[[GithubRepository], list[Step]], as_json: bool) -> None:
    settings = {} if name else project.find().settings("dev")
    try:
        done = work(team.repository(name or str(settings.get("githubRepository") or "")))
    except GithubException as error:
        raise team.explained(error) from error
    if as_json:
        terminal.print_json([each.output() for each in done])
        return
    for each in done:
        terminal.say(f"{each.what}: {each.done} {each.title} {each.url}".rstrip())
        if each.done == "planned" and each.text:
            terminal.data.print(each.text, markup=False)
    if not done or all(each.done == "nothing" for each in done):
        terminal.say("there is nothing to do")
