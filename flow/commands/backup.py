"""`flow backup …`: the data of an environment, kept elsewhere, and back."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.table import Table

from components import naming
from flow import clock, deploying, project, state, survey, terminal
from flow.backups import drilling, records, restoring, retention
from flow.backups import ticket as tickets
from flow.backups.bucket import Bucket, Place
from flow.backups.keeping import Store
from flow.backups.records import Backup
from flow.commands.asking import Application, DryRun, Json, Yes, agree, planned
from flow.commands.environments import Environment
from flow.errors import FlowError
from flow.stages import Stages

app = typer.Typer(
    help="The data of an environment: kept in a private bucket, restored, rehearsed.",
    no_args_is_help=True,
)
From = Annotated[
    str | None, typer.Option("--from", help="The backup's id; else the newest.", metavar="ID")
]


def store_of(team: project.Project) -> Store:
    """The team's backups. Raises FlowError where no bucket is set."""
    return Store(Bucket(Place.of_backups()), team.name)


@app.command()
def create(environment: Environment, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Save the data of ENV: dumped, sealed on the way, kept in the bucket; then remove old ones.

    The bucket is refused where anybody can list, read or write it.
    """
    team, kept = project.find(), retention.policy()
    stack = project.stack_of(environment)
    store = store_of(team)
    found = state.parse(team.stacks.state(stack))
    if dry_run:
        old = retention.superseded(store.found(stack), kept, clock.now())
        bucket = store.bucket.place.address(records.folder(team.name, stack))
        ids = [each.id for each in old]
        told = f"the data of {stack} would be kept at {bucket}, and {len(ids)} old backup(s) "
        value = {"environment": stack, "bucket": bucket, "would_remove": ids}
        planned(f"{told}removed: {', '.join(ids) or 'none'}", value, as_json)
        return
    with Stages() as stages:
        with stages.stage(f"{stack}: backup") as stage:
            made = store.create(stack, found, records.ASKED, stage.note)
            stage.result = f"{made.id}, {made.bytes / 1e6:.1f} MB"
        with stages.stage(f"{stack}: backups that others stand for") as stage:
            removed = store.prune(stack, kept, stage.note)
            stage.result = ", ".join(each.id for each in removed) or "none"
    if as_json:
        terminal.print_json({**made.output(), "removed": [each.id for each in removed]})
    else:
        terminal.say(f"backup {made.id} of {stack} is kept: {told_rows(made.rows)}")


@app.command("list")
def list_(environment: Environment, as_json: Json = False) -> None:
    """Every backup of ENV that is whole, the newest last."""
    team, stack = project.find(), project.stack_of(environment)
    backups = store_of(team).found(stack)
    if as_json:
        terminal.print_json([each.output() for each in backups])
        return
    terminal.data.print(table(backups, clock.now()))
    if not backups:
        terminal.say(f"there are none. Next: flow backup create {stack}")


@app.command()
def restore(
    environment: Environment,
    wanted: From = None,
    overwrite_production: Annotated[
        bool, typer.Option("--overwrite-production", help="Needed for prod, besides --yes.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Put a backup's data back into ENV, in place of what is there; that is saved first.

    What uses the data stands still meanwhile. ENV runs on as it is: only its data is another.
    """
    team, stack = project.find(), project.stack_of(environment)
    store = store_of(team)
    backup = store.one(stack, wanted)
    found = state.parse(team.stacks.state(stack))
    restoring.check(stack, found, backup)
    if dry_run:
        told = f"the data of {stack} would be replaced by {_told(backup)}"
        planned(told, {"environment": stack, "would_restore": backup.output()}, as_json)
        return
    if naming.stage_of_stack(stack) == "prod" and not overwrite_production:
        raise FlowError(
            f"this would replace the data of {stack} by that of {backup.id}, "
            f"{survey.span(clock.now() - backup.time)} old. Nothing was changed",
            f"if you mean it: flow backup restore {stack} --from {backup.id} "
            "--overwrite-production",
            code=2,
        )
    agree(
        f"Replace the data of {stack} by {_told(backup)}?",
        yes,
        word=stack,
    )
    with Stages() as stages:
        done = restoring.restore(store, stack, found, backup, stages)
    if as_json:
        terminal.print_json(done.output())
        return
    terminal.say(f"{stack} has the data of {backup.id}: {told_rows(done.rows)}")
    if done.safety is not None:
        terminal.say(f"what was there before: flow backup restore {stack} --from {done.safety.id}")


@app.command()
def ticket(environment: Environment) -> None:
    """Print what a run needs to save the data of ENV, and nothing more. It is secret: pipe it.

    gh secret set BACKUP_TICKET --env flow-backup --repo OWNER/NAME, the application's, for the
    nightly backup of production.
    """
    team = project.find()
    if sys.stdout.isatty():
        configured = str(team.settings("dev").get("githubRepository") or "")
        repository = configured or os.environ.get("GITHUB_REPOSITORY", "")
        raise FlowError(
            "a ticket holds a private key, and would stand on your screen",
            tickets.setting(environment, repository),
            code=2,
        )
    stack = project.stack_of(environment)
    print(tickets.issue(stack, state.parse(team.stacks.state(stack))))


@app.command()
def drill(
    environment: Environment,
    wanted: From = None,
    application: Application = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Restore the newest backup of ENV on a server made for it, report, remove the server again.

    ENV itself is not touched. Exit code 1 where data is missing afterwards.
    """
    team, stack = project.find(), project.stack_of(environment)
    store = store_of(team)
    backup = store.one(stack, wanted)
    folder = deploying.application_for(team, stack, application)
    if dry_run:
        told = f"{_told(backup)} would be restored on a server made for it, which goes again"
        planned(told, {"environment": stack, "would_restore": backup.output()}, as_json)
        return
    with Stages() as stages:
        done = drilling.drill(team, store, backup, stages, folder)
    if as_json:
        terminal.print_json(done.output())
        return
    terminal.say(
        f"backup {backup.id} of {stack} is good: {survey.span(done.age_seconds)} old, "
        f"{backup.bytes / 1e6:.1f} MB, {told_rows(done.rows)}; restored in "
        f"{done.restore_seconds:.0f} s, {done.seconds:.0f} s with a server from nothing and its end"
    )


def _told(backup: Backup) -> str:
    age = survey.span(clock.now() - backup.time)
    return f"backup {backup.id} of version {backup.version}, {age} old ({told_rows(backup.rows)})"


def table(backups: list[Backup], now: float) -> Table:
    """As a person reads them."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("backup", "age", "why", "version", "size", "rows"):
        made.add_column(name, overflow="fold", justify="right" if name == "size" else "left")
    for each in backups:
        made.add_row(
            each.id,
            survey.span(now - each.time),
            each.why,
            each.version[:16].replace("[", r"\["),
            f"{each.bytes / 1e6:.1f} MB",
            told_rows(each.rows),
        )
    return made


def told_rows(rows: object) -> str:
    """Row counts in words: "db: 24 tasks, 1 stats"."""
    if not isinstance(rows, dict) or not rows:
        return "rows not counted"
    return "; ".join(
        f"{service}: " + ", ".join(f"{number} {name}" for name, number in sorted(counted.items()))
        for service, counted in sorted(rows.items())
    )
