"""`flow workflow …`: what the jobs of a workflow file call; people have other commands."""

from __future__ import annotations

import datetime
import os

import typer
from github import GithubException

from flow import clock
from flow.promotion import team
from flow.runs import backups, jobs, run

app = typer.Typer(help="The jobs of a workflow run (action/action.yml).", no_args_is_help=True)


@app.command()
def build() -> None:
    """Build and push the images of the event's commit."""
    jobs.build(run.read(os.environ))


@app.command()
def deploy() -> None:
    """Deploy the event's version to the stack that follows its branch."""
    jobs.deploy(run.read(os.environ))


@app.command()
def end() -> None:
    """End the demo of the branch that was deleted."""
    jobs.end(run.read(os.environ))


@app.command()
def reap() -> None:
    """Announce the demos that end soon, end those that are over."""
    jobs.reap(run.read(os.environ))


@app.command()
def backup() -> None:
    """Save staging's data; on a month's first day, restore it on a server made for that."""
    backups.backup(run.read(os.environ), "staging", _today())


@app.command("backup-prod")
def backup_prod() -> None:
    """Save production's data."""
    backups.backup(run.read(os.environ), "prod", _today())


def _today() -> datetime.date:
    return datetime.datetime.fromtimestamp(clock.now(), datetime.UTC).date()


@app.command()
def promote() -> None:
    """Open the promotions that are due and that nobody has opened since."""
    try:
        jobs.promote(run.read(os.environ), _today())
    except GithubException as error:
        raise team.explained(error) from error


@app.command("back-merge")
def back_merge() -> None:
    """Open pull requests for what the branches below lack."""
    try:
        jobs.back_merge(run.read(os.environ))
    except GithubException as error:
        raise team.explained(error) from error
