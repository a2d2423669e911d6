"""`flow destroy`: an environment, gone."""

from __future__ import annotations

from flow import destroying, project, state, terminal
from flow.commands.asking import DryRun, Json, Yes, agree
from flow.commands.environments import Environment
from flow.stages import Stages


def destroy(
    environment: Environment, yes: Yes = False, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Remove everything ENV made, its data included, and forget its stack.

    What is protected is refused. A demo's data is saved first by `flow demo end`, not by this.
    """
    team = project.find()
    stack = project.stack_of(environment)
    found = state.parse(team.stacks.state(stack))
    destroying.check(stack, found)
    things = sorted(
        f"{each.kind} {each.properties.get('name') or each.properties.get('id')}"
        for each in found.resources
    )
    if dry_run:
        if as_json:
            terminal.print_json({"environment": stack, "would_remove": things})
        else:
            terminal.data.print("\n".join(things) or "nothing", markup=False)
        return
    data = " with its data" if found.find("Volume") else ""
    agree(f"Remove {stack}{data} ({len(things)} things at Hetzner)?", yes, word=stack)
    with Stages() as stages:
        done = destroying.destroy(team, stack, stages)
    if as_json:
        terminal.print_json(done)
    else:
        terminal.say(f"{stack} is gone")
