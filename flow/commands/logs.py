"""`flow logs`: what the application on an environment writes."""

from __future__ import annotations

from typing import Annotated

import typer

from flow import project, server, state, terminal
from flow.commands.asking import Json
from flow.commands.environments import Environment


def logs(
    environment: Environment,
    service: Annotated[str | None, typer.Argument(help="One service; else all.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it is written.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=1000, help="How many.")] = 100,
    as_json: Json = False,
) -> None:
    """The last lines of the application's log on ENV, without secrets of its settings."""
    team = project.find()
    stack = project.stack_of(environment)
    found = state.parse(team.stacks.state(stack))
    said: list[str] = []

    def show(line: str) -> None:
        if as_json:
            said.append(line)
        else:
            terminal.data.print(line, markup=False, soft_wrap=True)

    server.logs(stack, found, service, lines, show, follow=follow and not as_json)
    if as_json:
        terminal.print_json({"environment": stack, "service": service, "lines": said})
