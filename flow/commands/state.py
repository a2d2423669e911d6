"""`flow state …`: copies of a stack's state, taken before each change, and one of them back."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from flow import backends, clock, project, survey, terminal
from flow.commands.asking import DryRun, Json, Yes, agree, planned
from flow.commands.environments import Environment
from flow.errors import FlowError
from flow.state_copies import Copies

app = typer.Typer(
    help="Copies of states, which `flow` takes before each change.", no_args_is_help=True
)


def copies_of(team: project.Project, stack: str) -> Copies:
    """Where the stack's copies are. Raises FlowError where the backend keeps none of ours."""
    found = team.stacks.copies(stack)
    if found is None:
        raise FlowError(
            f"no copies are kept of the state of {stack}: PULUMI_BACKEND_URL names neither a "
            "folder nor a bucket",
            f"Pulumi Cloud has a history of its own: {backends.command(stack, 'stack history')}",
        )
    return found


@app.command()
def backup(environment: Environment, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Copy the state of ENV as it is now. `flow` does so itself before each change."""
    team, stack = project.find(), project.stack_of(environment)
    copies = copies_of(team, stack)
    if dry_run:
        due = copies.is_due(stack)
        told = "would be copied" if due else "would not: nothing has changed since its newest copy"
        planned(f"{stack} {told}", {"environment": stack, "would_copy": due}, as_json)
        return
    made = copies.take(stack)
    if as_json:
        terminal.print_json({"environment": stack, "copy": made})
    else:
        terminal.say(f"copy {made} of {stack}" if made else f"there is nothing in {stack} to copy")


@app.command("list")
def list_(environment: Environment, as_json: Json = False) -> None:
    """Every copy of the state of ENV, the newest last."""
    team, stack = project.find(), project.stack_of(environment)
    found = copies_of(team, stack).found(stack)
    if as_json:
        terminal.print_json([dataclasses.asdict(each) for each in found])
        return
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("copy", "age", "resources", "engine"):
        made.add_column(name, overflow="fold")
    for each in found:
        age = survey.span(clock.now() - each.time)
        made.add_row(each.id, age, str(each.resources), each.engine)
    terminal.data.print(made)
    if not found:
        terminal.say(f"there are none. Next: flow state backup {stack}")


@app.command()
def restore(
    environment: Environment,
    wanted: Annotated[
        str | None, typer.Option("--from", help="The copy's id; else the newest.", metavar="ID")
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Put a copy in place of the state of ENV, for one that is damaged or was edited wrongly.

    Nothing at Hetzner changes. What was made after the copy is no longer in the state then:
    `pulumi up --refresh` and the labels find it.
    """
    team, stack = project.find(), project.stack_of(environment)
    copies = copies_of(team, stack)
    text = copies.text(stack, wanted)
    chosen = wanted or str(copies.newest(stack))
    if dry_run:
        told = f"copy {chosen} would take the place of the state of {stack}"
        planned(told, {"environment": stack, "would_restore": chosen}, as_json)
        return
    agree(f"Put copy {chosen} in place of the state of {stack}?", yes, word=stack)
    saved: str | None = None
    try:
        saved = copies.take(stack)
    except FlowError as error:
        terminal.say(f"what is there now is not copied: {error.problem}")
    with tempfile.TemporaryDirectory(prefix="deployment-flow-") as folder:
        file = Path(folder) / "state.json"
        file.touch(mode=0o600)
        file.write_bytes(text)
        team.stacks.put_back(stack, file)
    if as_json:
        terminal.print_json({"environment": stack, "copy": chosen, "before": saved})
    else:
        terminal.say(f"{stack} has the state of {chosen}. Next: flow deploy {stack} --dry-run")
