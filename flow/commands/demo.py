"""`flow demo …`: feature demos, from a branch to gone."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from feature_demo import script as feature_demo_script
from flow import (
    backends,
    clock,
    costing,
    demos,
    deploying,
    project,
    reaping,
    sleeping,
    state,
    survey,
    terminal,
    webhook,
)
from flow.backups import restoring, scrubbing
from flow.backups.keeping import Store
from flow.backups.records import Backup
from flow.commands.asking import Application, DryRun, Json, Version, Yes, agree, planned
from flow.commands.backup import From, store_of, told_rows
from flow.commands.deploy import tell
from flow.commands.status import table
from flow.errors import FlowError
from flow.stages import Stages

app = typer.Typer(help="Feature demos: throwaway servers, one a branch.", no_args_is_help=True)


def complete(incomplete: str) -> list[str]:
    """Demos that begin so; none where the project cannot be asked."""
    try:
        names = demos.names(project.find())
    except Exception:  # noqa: BLE001 (a shell waits for the key's answer: silence is right)
        return []
    return [name for name in names if name.startswith(incomplete)]


Branch = Annotated[
    str,
    typer.Argument(
        metavar="BRANCH", help="The demo's branch, or its stack's name.", autocompletion=complete
    ),
]
Until = Annotated[str | None, typer.Option(help="Its last day, as 2031-05-31; kept by pushes.")]
DumpTo = Annotated[
    Path | None, typer.Option("--dump-to", help="Folder of the last dump.", file_okay=False)
]
NoDump = Annotated[bool, typer.Option("--no-dump", help="Lose its data.")]


@app.command()
def up(
    branch: Branch,
    until: Until = None,
    version: Version = None,
    application: Application = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", help="Start from this stage's newest backup, scrubbed.", metavar="ENV"
        ),
    ] = None,
    wanted: From = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make the demo of BRANCH, or deploy to the one there is.

    With --data staging its data is that stage's, after the command of deployment-flow.scrub, which
    the Compose file must have. What the demo holds is saved first. Production's data is refused.
    """
    deploying.check_version(version)
    if wanted is not None and data is None:
        raise FlowError("--from needs to know whose backup it is", "add --data staging", code=2)
    day = demos.last_day(until, demos.today())
    stack = demos.stack_for(branch)
    team = project.find()
    folder = deploying.application_for(team, stack, application)
    source = None if data is None else _source(team, stack, data, wanted, application)
    with Stages() as stages:
        if dry_run:
            with stages.stage(f"{stack}: what it will cost"):
                would, cost = _would(team, stack), costing.estimate(team, stack)
            told = {} if source is None else {"would_restore_scrubbed": source[1].output()}
            if as_json:
                terminal.print_json({**would, "until": day, "cost": cost.output(), **told})
            else:
                what = "would be deployed to" if would["exists"] else "would be made"
                with_data = f", with {_told(source[1])}" if source is not None else ""
                terminal.data.print(f"{stack} {what}{with_data}\n{stack}: {cost}", markup=False)
            return
    exists = source is not None and stack in team.stacks.names((backends.group_of(stack),))
    if source is not None and exists:
        agree(f"Replace the data of {stack} by {_told(source[1])}?", yes)
    with Stages() as stages:
        done = demos.up(team, branch, stages, version=version, until=day, application=folder)
        restored = None
        if source is not None:
            found = state.parse(team.stacks.state(stack))
            restored = restoring.restore(
                source[0], stack, found, source[1], stages, safety=exists, scrubbed=True
            )
    if as_json and restored is not None:
        terminal.print_json({**done.output(), "data": restored.output()})
        return
    tell(done, as_json)
    if restored is not None:
        terminal.say(f"it has {_told(restored.backup)}: {told_rows(restored.rows)}")
        if restored.safety is not None:
            before = f"flow backup restore {stack} --from {restored.safety.id}"
            terminal.say(f"what was there before: {before}")


def _source(
    team: project.Project, stack: str, data: str, wanted: str | None, application: Path | None
) -> tuple[Store, Backup]:
    """Where a demo's data comes from; refused before anything is made."""
    file = team.application(stack, application) / team.compose_file(stack)
    return scrubbing.find(lambda: store_of(team), project.stack_of(data), wanted, file)


def _told(backup: Backup) -> str:
    age = survey.span(clock.now() - backup.time)
    return f"backup {backup.id} of {backup.environment}, {age} old, scrubbed"


@app.command()
def extend(
    branch: Branch,
    until: Annotated[str, typer.Option(help="Its new last day, as 2031-05-31.")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give the demo of BRANCH another last day. What runs there stays."""
    day = demos.last_day(until, demos.today()) or until
    team, stack = project.find(), demos.stack_for(branch)
    if dry_run:
        _tell_plan(team, stack, f"would end on {day}", as_json, until=day)
        return
    with Stages() as stages:
        done = demos.extend(team, branch, day, stages)
    tell(done, as_json)


@app.command()
def end(
    branch: Branch,
    dump_to: DumpTo = None,
    no_dump: NoDump = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Save the data of the demo of BRANCH, encrypted; then remove all of it.

    The dump goes to --dump-to, else FLOW_DUMPS, else the registry (with REGISTRY_PUSH_USERNAME),
    else ./dumps. `age -d` opens it, with the key of FLOW_DUMP_RECIPIENT or the passphrase.
    """
    team, stack = project.find(), demos.stack_for(branch)
    if dry_run:
        data = "lost" if no_dump else "saved first"
        _tell_plan(team, stack, f"would be removed, its data {data}", as_json)
        return
    agree(f"End {stack}{' and lose its data' if no_dump else ''}?", yes, word=stack)
    dumps = demos.Dumps(wanted=not no_dump, folder=dump_to)
    with Stages() as stages:
        done = demos.end(team, branch, stages, dumps)
    if as_json:
        terminal.print_json(done)
    elif done["gone"]:
        terminal.say(f"there is no {stack}: nothing to end")
    else:
        terminal.say(f"{stack} is gone" + (f"; its data: {done['dump']}" if done["dump"] else ""))


@app.command()
def sleep(
    branch: Branch,
    dump_to: DumpTo = None,
    no_dump: Annotated[
        bool, typer.Option("--no-dump", help="Its volume alone keeps its data.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Delete the server of the demo of BRANCH, and keep all it needs to come back.

    Its data is saved first, encrypted, as `flow demo end` does; it stays on the volume as well.
    Volume, addresses, URL, password and release stay. `flow demo wake`, or a push, wakes it.
    """
    team, stack = project.find(), demos.stack_for(branch)
    if dry_run:
        sleeping.check(stack, state.parse(team.stacks.state(stack)))
        _tell_plan(team, stack, "would sleep", as_json)
        return
    agree(f"Put {stack} to sleep? Nobody reaches it until it wakes.", yes)
    with Stages() as stages:
        done = sleeping.sleep(team, stack, stages, dump=not no_dump, folder=dump_to)
        (row,) = survey.look(team, [stack])
    costs = {"cost_a_day": row.cost_a_day, "saved_a_day": row.saved_a_day, "expires": row.expires}
    if as_json:
        terminal.print_json({**done, **costs, "currency": row.currency})
        return
    saved = f", and saves {row.saved_a_day:.2f} {row.currency} a day" if row.saved_a_day else ""
    terminal.say(f"{stack} sleeps{saved}. Next: flow demo wake {branch}")
    if done["dump"]:
        terminal.say(f"its data: {done['dump']}")


@app.command()
def wake(branch: Branch, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Bring the demo of BRANCH back from its sleep: release, URL, password and data as they were.

    One that is awake stays as it is.
    """
    team, stack = project.find(), demos.stack_for(branch)
    if dry_run:
        _tell_plan(team, stack, "would wake; one that is awake stays as it is", as_json)
        return
    with Stages() as stages:
        done = sleeping.wake(team, stack, stages)
    tell(done, as_json)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every demo: version, URL, health now, end and cost a day."""
    rows = demos.rows(project.find())
    if as_json:
        terminal.print_json([each.output() for each in rows])
        return
    terminal.data.print(table(rows, time.time()))
    if not rows:
        terminal.say("there are no demos. Next: flow demo up feature-demo/NAME")


@app.command()
def reap(dump_to: DumpTo = None, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Announce what ends within a day, end what is over, remove what states have lost.

    A demo that was deployed within a day, or has a date to come, is never touched, nor is what
    is no demo. Exit code 1 when one could not be ended. FLOW_WEBHOOK_URL is told of what was done.
    """
    with Stages() as stages:
        done = reaping.reap(
            project.find(), stages, dry_run=dry_run, dumps=demos.Dumps(folder=dump_to)
        )
    # A rehearsal is nothing to tell the team of.
    if not dry_run and (said := webhook.tell(done, os.environ)):
        terminal.say(said)
    if as_json:
        terminal.print_json([each.output() for each in done])
    else:
        made = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("demo", "what", "why"):
            made.add_column(name, overflow="fold")
        for each in done:
            dump = f"; its data: {each.dump}" if each.dump else ""
            made.add_row(each.environment, each.action, f"{each.why}{dump}".replace("[", r"\["))
        terminal.data.print(made)
    failed = [each.environment for each in done if each.action == "failed"]
    if failed and dry_run:
        raise FlowError(f"not to be judged: {', '.join(failed)}", "the reason of each is above")
    if failed:
        raise FlowError(f"not ended: {', '.join(failed)}", "flow demo reap --dry-run says why")


def _would(team: project.Project, stack: str) -> dict[str, object]:
    """What a run would act on, for --dry-run."""
    exists = stack in team.stacks.names((backends.group_of(stack),))
    rows = survey.look(team, [stack]) if exists else []
    return {"environment": stack, "exists": exists, "now": [each.output() for each in rows]}


def _tell_plan(team: project.Project, stack: str, plan: str, as_json: bool, **more: object) -> None:
    """Say what a run would do to a demo, for --dry-run."""
    would = _would(team, stack)
    told = f"{stack} {plan}" if would["exists"] else f"there is no {stack}: nothing would be done"
    planned(told, {**would, **more}, as_json)


@app.command()
def script() -> None:
    """Print feature-demo.sh, for a demo on a server that exists: flow demo script > FILE."""
    sys.stdout.write(feature_demo_script.render())
