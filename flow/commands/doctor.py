"""`flow doctor`: what is missing for a deploy, and the command that mends it."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from flow import project, terminal
from flow.commands.asking import Json
from flow.engine import stop_running
from flow.onboarding import checking, doctor, github_doctor
from flow.onboarding.checking import Check

_MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "missing": "[red]✗[/]"}


def doctor_command(
    repository: Annotated[
        str,
        typer.Option(help="The application's repository, as OWNER/NAME; else the settings'."),
    ] = "",
    as_json: Json = False,
) -> int:
    """What is missing for a deploy, and the command that mends it. It changes nothing.

    Exit code 1 when something is missing; a warning alone is 0.
    """
    here = doctor.Here(project.find())
    configured = here.plain("dev", "githubRepository")
    name = repository or configured or os.environ.get("GITHUB_REPOSITORY", "")
    parts = [*doctor.looks(here), *github_doctor.looks(name, bool(configured), os.environ)]
    with terminal.progress.status("looking …") as status:
        done: list[str] = []

        def report(each: str) -> None:
            done.append(each)
            status.update(f"looked at {each} ({len(done)} of {len(parts)})")

        try:
            found = checking.run(parts, report)
        finally:
            # Whoever stops us, and whatever hangs: no engine is left behind.
            stop_running()
    if as_json:
        terminal.print_json({"checks": [each.output() for each in found]})
    else:
        _print(found)
    return 1 if any(each.state == "missing" for each in found) else 0


def _print(found: list[Check]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in found:
        table.add_row(_MARKS[each.state], Text(each.name), Text(each.seen))
        if each.state != "ok" and each.mend:
            table.add_row("", Text("next:", style="dim"), Text(each.mend))
    terminal.data.print(table)
    lacking = sum(each.state == "missing" for each in found)
    warned = sum(each.state == "warning" for each in found)
    terminal.say(f"{len(found)} checks: {lacking} missing, {warned} warnings")
