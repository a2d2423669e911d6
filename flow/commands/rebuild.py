"""`flow rebuild`: another server for an environment that keeps all the rest."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from components import naming
from flow import project, rebuilding, terminal
from flow.commands.asking import DryRun, Json, Yes, agree
from flow.commands.environments import Environment
from flow.errors import FlowError
from flow.rebuild_plan import Plan
from flow.stages import Stages


def rebuild(
    environment: Environment,
    confirm: Annotated[
        str, typer.Option(help="For a protected server: the word that names it, instead of typing.")
    ] = "",
    lose_data: Annotated[
        bool, typer.Option("--lose-data", help="Data on the server's own disk may go with it.")
    ] = False,
    anew: Annotated[
        bool,
        typer.Option("--anew", help="Replace even the server that an earlier rebuild has made."),
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Replace ENV's server; its addresses, names, data volume and release come back on the new one.

    Everything that can be checked is, before anything is touched. A protected server (prod) is
    asked for twice, and protected again afterwards. Stopped half-way, the same command goes on.
    """
    team = project.find()
    stack = project.stack_of(environment)
    with Stages() as stages:
        ahead = rebuilding.prospect(team, stack, stages, lose_data=lose_data, anew=anew)
    plan = ahead.plan
    if dry_run and as_json:
        terminal.print_json(
            {
                "environment": stack,
                "server": plan.server or None,
                "steps": [each.text for each in plan.steps],
                "confirm": plan.word if plan.by_word else None,
                "changes": dict(ahead.changes),
            }
        )
        return
    told = terminal.data.print if dry_run else terminal.progress.print
    for number, step in enumerate(plan.steps, 1):
        told(f"{number}. {step.text}", markup=False, highlight=False, soft_wrap=True)
    if dry_run:
        return
    _agree(plan, yes, confirm)
    with Stages() as stages:
        done = rebuilding.rebuild(team, ahead, stages)
    if as_json:
        terminal.print_json(done)
    else:
        terminal.say(
            f"{done['url']} runs {done['version']} on server {done['server']['after']}, "
            f"after {done['down_seconds']:.0f} s"
        )


def _agree(plan: Plan, yes: bool, confirm: str) -> None:
    """Raises FlowError unless a person agrees: to the steps, and by its word to a protected one."""
    is_prod = naming.stage_of_stack(plan.stack) == "prod"
    agree(f"Rebuild {plan.stack} in these steps?", yes, word=plan.stack if is_prod else "")
    if not plan.by_word or confirm == plan.word:
        return
    question = f"Delete server {plan.server}, which is protected?"
    if confirm or yes or sys.stdin is None or not sys.stdin.isatty():
        raise FlowError(
            f"{question} It needs its own word, besides --yes. Nothing was changed",
            f"add --confirm {plan.word}",
            code=2,
        )
    agree(question, False, word=plan.word)
