"""`flow rollback`: back to a release that ran before, in seconds."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.table import Table

from components import naming
from flow import project, rollback, survey, terminal
from flow.commands import deploy
from flow.commands.asking import DryRun, Json, Yes, agree
from flow.commands.environments import Environment
from flow.stages import Stages


def rollback_command(
    environment: Environment,
    to: Annotated[
        str | None,
        typer.Option(help="The release: its id or how that begins, or its version."),
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Say which releases are kept, and change nothing.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Bring the release back that ran on ENV before this one.

    Its compose file and image digests, with the settings as they are now; migrations are not
    undone and not repeated. A rollback of a rollback goes one further back.
    """
    team = project.find()
    stack = project.stack_of(environment)
    found = rollback.recorded(team, stack)
    if listing:
        if as_json:
            terminal.print_json([each.output() for each in found])
        else:
            terminal.data.print(table(found, time.time()))
        return
    chosen = rollback.target(stack, found, to)
    if dry_run:
        if as_json:
            terminal.print_json({"environment": stack, "from": found[0].id, "to": chosen.output()})
        else:
            terminal.say(f"{stack}: {found[0].version} would give way to {_told(chosen)}")
        return
    if naming.stage_of_stack(stack) == "prod":
        agree(f"Production: from version {found[0].version} back to {_told(chosen)}?", yes)
    stages = Stages()
    with stages:
        done = rollback.roll_back(team, stack, chosen, stages)
    deploy.tell(done, as_json)


def table(found: list[rollback.Past], now: float) -> Table:
    """Releases as a person reads them."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("release", "version", "commit", "first deployed", ""):
        made.add_column(name, overflow="fold")
    for each in found:
        ago = f"{survey.span(now - each.since)} ago" if each.since else ""
        made.add_row(
            each.id, each.version, each.commit[:10], ago, "runs now" if each.current else ""
        )
    return made


def _told(release: rollback.Past) -> str:
    return f"version {release.version}, release {release.id}"
