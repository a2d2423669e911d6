"""`flow deploy`: bring an environment up, with a version of the application."""

from __future__ import annotations

import datetime
from typing import Annotated

import typer

from components import naming
from flow import costing, deploying, project, terminal
from flow.commands.asking import Application, DryRun, Json, Version, Yes, agree
from flow.commands.environments import Environment
from flow.stages import Stages


def deploy(
    environment: Environment,
    version: Version = None,
    application: Application = None,
    branch: Annotated[
        str | None, typer.Option(help="A demo's branch, where its name does not tell it.")
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Make or update ENV: dev, staging, prod, or a demo by its stack's name or its branch.

    Without --version, what runs there stays and only the settings' changes are made; a first
    deploy takes the newest image of the branch. Ends when the application is found healthy.
    """
    deploying.check_version(version)
    team = project.find()
    stack = project.stack_of(environment)
    wish = deploying.Wish(
        stack,
        version=version,
        application=deploying.application_for(team, stack, application),
        branch=branch or deploying.branch_for(environment, stack),
    )
    stages = Stages()
    if dry_run:
        with stages:
            planned = deploying.preview(team, wish, stages)
            with stages.stage(f"{stack}: what it will cost"):
                cost = costing.estimate(team, stack)
        if as_json:
            terminal.print_json({**planned, "cost": cost.output()})
        else:
            changes = deploying.told_changes(planned["changes"])
            would = changes if planned["exists"] else "everything would be made"
            terminal.data.print(f"{stack}: {would}\n{stack}: {cost}", markup=False)
        return
    if naming.stage_of_stack(stack) == "prod":
        agree(f"Deploy {version or 'the settings'} to production?", yes)
    with stages:
        done = deploying.deploy(team, wish, stages)
    tell(done, as_json)


def tell(done: deploying.Deployed, as_json: bool) -> None:
    """Say how a deploy ended."""
    if as_json:
        terminal.print_json(done.output())
        return
    terminal.say(
        f"{done.url} runs {done.version}"
        + (f" ({done.commit[:12]})" if done.commit else "")
        + f", release {done.release}, in {done.seconds:.0f} s"
    )
    if done.stage == "demo":
        terminal.say(f"its user is demo, its password: {deploying.told_password(done.environment)}")
    if done.expires is not None:
        day = datetime.datetime.fromtimestamp(done.expires, datetime.UTC)
        terminal.say(
            f"it ends on {day:%Y-%m-%d %H:%M} UTC: flow demo extend {done.branch} --until DATE"
        )
