"""`flow workflow …`: what the jobs of a workflow file call; people have other commands."""

from __future__ import annotations

import os

import typer

from flow.runs import jobs, run

app = typer.Typer(help="The jobs of a workflow run (action/action.yml).", no_args_is_help=True)


@app.command()
def build() -> None:
    """Build and push the images of the event's commit."""
    jobs.build(run.read(os.environ))


@app.command()
def deploy() -> None:
    """Deploy the event's version to the stack that follows its branch."""
    jobs.deploy(run.read(os.environ))


@app.command()
def end() -> None:
    """End the demo of the branch that was deleted."""
    jobs.end(run.read(os.environ))
