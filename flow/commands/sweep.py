"""`flow sweep`: what no stack owns, shown and removed."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from components import naming
from flow import project, survey, sweeping, terminal
from flow.commands.asking import DryRun, Json, Yes, agree
from flow.commands.environments import complete
from flow.errors import FlowError
from flow.stages import Stages


def sweep(
    stack: Annotated[
        list[str] | None,
        typer.Option(
            "--stack",
            metavar="ENV",
            help="Only what is labelled with it; repeatable.",
            autocompletion=complete,
        ),
    ] = None,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Volumes and snapshots, too, and the data on them.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Find what carries the project's labels and is in no stack's state; show and remove it.

    At GitHub: environments and rulesets the program made, whose stack does not exist.

    What was made within the hour, what is a stage's, and what belongs to a stack that lives is
    removed only when --stack names it. Never removed: what a state holds, what an update may be
    making, what is protected. Exit code 1 when something is left.
    """
    team = project.find()
    names = [project.stack_of(each) for each in stack or []]
    wish = sweeping.Wish(frozenset(map(naming.label_value, names)), volumes)
    planned = _planned(team, wish)
    if planned.to("remove") and not dry_run:
        console = terminal.progress
        console.print(table(planned), width=None if console.is_terminal else 200)
        if not yes:
            planned = _agreed(team, wish, planned)
        with Stages() as stages:
            planned = sweeping.sweep(planned, stages)
    if as_json:
        terminal.print_json(
            {
                "things": [each.output(planned.now, planned.prices) for each in planned.findings],
                "problems": list(planned.problems),
                "unasked": planned.unasked,
            }
        )
    elif planned.findings:
        terminal.data.print(table(planned))
    if planned.unasked:
        terminal.say(f"{planned.unasked}. Next: export GITHUB_TOKEN, an administrator's")
    _end(planned, names, dry_run=dry_run)


def _planned(team: project.Project, wish: sweeping.Wish) -> sweeping.Plan:
    with Stages() as stages, stages.stage("sweep: what no stack owns") as stage:
        planned = sweeping.plan(team, wish)
        stage.result = f"{len(planned.findings)} thing(s)"
    return planned


def _agreed(team: project.Project, wish: sweeping.Wish, shown: sweeping.Plan) -> sweeping.Plan:
    """The plan once a person agrees, looked at again: an update may have begun meanwhile.

    Raises FlowError when they do not.
    """
    due = shown.to("remove")
    data = ", and the data on them," if any(each.holds_data for each in due) else ""
    agree(f"Remove {len(due)} thing(s){data} for good?", yes=False, word="remove")
    return sweeping.only(_planned(team, wish), due)


def table(planned: sweeping.Plan) -> Table:
    """As a person reads it: by stack, each with its branch."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("thing", "age", "cost a month", "what"):
        made.add_column(name, overflow="fold", justify="right" if "cost" in name else "left")
    currency = planned.prices.currency if planned.prices else ""
    total, stack = 0.0, ""
    for each in sorted(planned.findings, key=lambda each: each.found.stack):
        found, cost = each.found, sweeping.month(each.found, planned.prices)
        total += cost or 0.0
        if found.stack != stack:
            stack, branch = found.stack, found.labels.get("branch", "")
            made.add_row(f"[bold]{stack}[/]" + (f", branch {branch}" if branch else ""))
        age = None if found.created is None else planned.now - found.created
        made.add_row(
            escape(f"  {found}"),
            "" if age is None else survey.span(age),
            "unknown" if cost is None else f"{cost:.2f} {currency}".strip() if cost else "",
            escape(f"{each.action}: {each.why}".removesuffix(": ")),
        )
    if total:
        made.add_row("total", "", f"{total:.2f} {currency}", "net, without traffic")
    return made


def _end(planned: sweeping.Plan, names: list[str], *, dry_run: bool) -> None:
    """Say how it ended; raises FlowError when something is left, or could not be looked for."""
    if planned.problems:
        raise FlowError(
            f"not everywhere could be looked: {'; '.join(planned.problems)}",
            "check the token and the network, then run it again",
        )
    left = [each for each in planned.findings if each.left]
    busy = [each for each in planned.findings if each.settled]
    if busy:
        terminal.say(f"{len(busy)} thing(s) are left to an update that may be at work on them")
    if dry_run:
        left += planned.to("remove")
    if not left:
        removed = len(planned.to("removed"))
        done = f"{removed} thing(s) removed; " if removed else ""
        of = f" of {', '.join(names)}" if names else ""
        nothing = "nothing else" if busy else "nothing"
        terminal.say(f"{done}{nothing}{of} is left that no stack owns")
        return
    told = ", ".join(str(each.found) for each in left[:10])
    more = f" and {len(left) - 10} more" if len(left) > 10 else ""
    raise FlowError(
        f"{len(left)} thing(s) that no stack owns are left: {told}{more}",
        "flow sweep removes what it may" if dry_run else "the reason of each says what to do",
    )
