"""`flow rehearse`: the whole flow once, in the sandbox."""

from __future__ import annotations

from typing import Annotated

import typer

from components import naming
from flow import terminal
from flow.commands.asking import Json
from flow.commands.sandbox import ROOT, directory
from flow.rehearsal import Rehearsal
from flow.stages import Stages
from sandbox.lifecycle import Sandbox


def rehearse(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running.")] = False,
    as_json: Json = False,
) -> None:
    """Play a team's whole flow by pushes, pull requests, releases and the workflows they start.

    The sandbox is left as it was found: running where it ran, else stopped with its state
    kept. `flow sandbox reset` forgets it all.
    """
    sandbox = Sandbox(directory())
    ran = bool(sandbox.status().get("running"))
    stages = Stages()
    rehearsal = Rehearsal(ROOT, directory(), stages)
    try:
        with stages:
            rehearsal.run()
            if not (keep or ran):
                with stages.stage("sandbox: stop"):
                    sandbox.down()
    finally:
        if as_json:
            terminal.print_json(stages.output())
        else:
            terminal.data.print(stages.table())
    terminal.say(f"what waited for what: {rehearsal.report}")
    if keep or ran:
        for stack, url in rehearsal.urls.items():
            if naming.stage_of_stack(stack) != "demo":
                terminal.say(f"{stack}: {url}")
    terminal.say('Next: eval "$(.venv/bin/flow sandbox env)" && pulumi up -s staging')
