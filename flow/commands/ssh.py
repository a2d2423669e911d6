"""`flow ssh`: a shell on an environment's server, with a key of one's own."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from flow import backends, project, server, state, terminal
from flow.commands.asking import DryRun
from flow.commands.environments import Environment
from flow.errors import FlowError


def ssh(
    environment: Environment,
    command: Annotated[
        list[str] | None, typer.Argument(help="What to run there, after --; else a shell.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Open a shell on ENV's server, or run a command there, with the host key pinned.

    Needs a key of your own among the setting adminKeys. Ends with the command's exit code.
    """
    team = project.find()
    stack = project.stack_of(environment)
    found = state.parse(team.stacks.state(stack))
    if not found.outputs.get("ssh"):
        raise FlowError(f"{stack} has no server", f"flow deploy {stack}")
    server.check_awake(stack, found)
    user, host, port = server.login(found)
    if shutil.which("ssh") is None:
        raise FlowError("there is no `ssh` on PATH", "install OpenSSH's client")
    line = arguments(user, host, port, _pins(stack, str(found.outputs["known_hosts"])), command)
    if dry_run:
        terminal.data.print(shlex.join(line), markup=False, soft_wrap=True)
        return
    code = subprocess.run(line, env=dict(os.environ), check=False).returncode
    if code == 255:
        raise FlowError(
            f"no connection to {stack}",
            "put your public key into the settings: "
            + backends.command(stack, "config set --path 'adminKeys[0]' 'ssh-ed25519 AAAA… you'")
            + f", then flow deploy {stack}",
            code=255,
        )
    raise SystemExit(code)


def _pins(stack: str, keys: str) -> Path:
    """A file of known hosts with the stack's keys, which are public, in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "deployment-flow/known_hosts"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / stack
    file.write_text(pinned(keys))
    return file


def pinned(keys: str) -> str:
    """Lines of known_hosts under the one name the client is told, whatever they are noted under."""
    lines = []
    for line in keys.splitlines():
        words = line.split()
        at = next((i for i, word in enumerate(words) if word.startswith(("ssh-", "ecdsa-"))), None)
        if at is not None and len(words) > at + 1:
            lines.append(f"{ALIAS} {words[at]} {words[at + 1]}\n")
    return "".join(lines)


ALIAS = "deployment-flow-host"


def arguments(user: str, host: str, port: int, pins: Path, command: list[str] | None) -> list[str]:
    """The command line of ssh; an unknown or changed host key is refused, never asked about."""
    options = {
        "HostKeyAlias": ALIAS,
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(pins),
        "GlobalKnownHostsFile": "/dev/null",
        "UpdateHostKeys": "no",
        "ServerAliveInterval": "15",
    }
    flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    return ["ssh", *flags, "-p", str(port), "-l", user, "--", host, *(command or [])]
