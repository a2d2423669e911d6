"""`flow sandbox …`: a Hetzner Cloud and a GitHub on this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from flow import publishing, terminal
from flow.commands.asking import Json, Yes, agree
from flow.sandbox_project import APPLICATION, DEPLOYMENT, SandboxProject
from flow.sandbox_team import SandboxTeam
from sandbox.lifecycle import Sandbox

app = typer.Typer(
    help="A Hetzner Cloud and a GitHub on this machine, with servers, DNS and a registry.",
    no_args_is_help=True,
)

ROOT = Path(__file__).resolve().parents[2]


def directory() -> Path:
    """The sandbox's folder: .sandbox in the checkout, or FLOW_SANDBOX_DIR."""
    return Path(os.environ.get("FLOW_SANDBOX_DIR") or ROOT / ".sandbox").resolve()


def project() -> SandboxProject:
    """The project folder of the sandbox; starts the sandbox, and writes what is missing.

    So that `eval "$(flow sandbox env)"` works at any time, after a restart too.
    """
    sandbox = Sandbox(directory())
    sandbox.up(terminal.say)
    found = SandboxProject(ROOT, directory(), sandbox.credentials())
    found.write()
    return found


@app.command()
def up(as_json: Json = False) -> None:
    """Start the sandbox, building its images the first time. Safe to repeat."""
    project()
    if as_json:
        terminal.print_json(Sandbox(directory()).status())
    else:
        terminal.say('The sandbox is up. Next: eval "$(.venv/bin/flow sandbox env)"')


@app.command()
def down(as_json: Json = False) -> None:
    """Stop the sandbox and its servers; its state and volumes stay for the next `up`."""
    sandbox = Sandbox(directory())
    sandbox.down()
    if as_json:
        terminal.print_json(sandbox.status())
    else:
        terminal.say("The sandbox is down. Its state is kept: flow sandbox up goes on from there")


@app.command()
def status(as_json: Json = False) -> None:
    """What runs, and where."""
    state = Sandbox(directory()).status()
    if as_json:
        terminal.print_json(state)
        return
    terminal.data.print(_table(state))


@app.command()
def env() -> None:
    """Print what a shell needs: eval "$(flow sandbox env)". Starts the sandbox if need be."""
    print(project().exports())


@app.command()
def shell() -> None:
    """Start $SHELL in which pulumi, flow and every client of either use the sandbox."""
    environment = project().surroundings()
    program = os.environ.get("SHELL") or "/bin/sh"
    terminal.say(f"{program} for the sandbox; leave it with exit")
    arguments, prompt = _prompt(Path(program).name)
    whole = {**environment, **prompt}
    # Replaces us; no shell is between.
    os.execvpe(program, [program, *arguments], whole)  # noqa: S606  # nosec B606


@app.command()
def publish(
    version: Annotated[str, typer.Argument(help="The version, which is also an image tag.")],
    branch: Annotated[str, typer.Option(help="The branch it is built from.")] = "staging",
    fault: Annotated[
        str, typer.Option(help="Bake in a fault: migration, crash, health or memory.")
    ] = "",
) -> None:
    """Build the example's images as VERSION and push them to the sandbox's registry."""
    built = publishing.publish(project(), version, branch, terminal.say, fault=fault)
    terminal.print_json(built)


@app.command()
def team(as_json: Json = False) -> None:
    """Make the team's two repositories on the sandbox's GitHub, or bring them up to date."""
    made = SandboxTeam(project(), terminal.say)
    made.seed()
    application = f"{made.url}/{APPLICATION}"
    if as_json:
        terminal.print_json({"application": application, "deployment": f"{made.url}/{DEPLOYMENT}"})
    else:
        terminal.say(f"the application is at {application}. Next: flow doctor")


@app.command()
def reset(yes: Yes = False, as_json: Json = False) -> None:
    """Stop the sandbox and forget everything in it: servers, volumes, stacks, tokens."""
    agree("Remove every server, volume and stack of the sandbox?", yes)
    sandbox = Sandbox(directory())
    sandbox.reset()
    for part in ("project", "state"):
        shutil.rmtree(directory() / part, ignore_errors=True)
    if as_json:
        terminal.print_json({"removed": str(directory())})
    else:
        terminal.say("The sandbox is gone. flow sandbox up makes a new one")


def _prompt(shell: str) -> tuple[list[str], dict[str, str]]:
    """Arguments and variables that mark the prompt of a shell we know."""
    if shell == "bash":
        # bash's own start-up file sets PS1 after us, so the mark is put before each prompt.
        return [], {
            "PROMPT_COMMAND": 'case "$PS1" in "(sandbox) "*) ;; *) PS1="(sandbox) $PS1" ;; esac'
        }
    if shell in ("sh", "dash", "ash"):
        return [], {"PS1": "(sandbox) $ "}
    return [], {}


def _table(state: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for key, value in state.items():
        if isinstance(value, dict):
            for name, part in value.items():
                table.add_row(f"{key} {name}", _cell(part))
        elif isinstance(value, list):
            table.add_row(key, str(len(value)))
            for part in value:
                table.add_row("", _cell(part))
        else:
            table.add_row(key, _cell(value))
    return table


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "  ".join(f"{k} {_cell(v)}" for k, v in value.items())
    return "" if value is None else str(value)
