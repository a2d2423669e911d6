"""`flow`: parses the command line, and alone turns errors into exit codes.

0 done, 1 failed (the message says what to do), 2 wrong usage, 3 busy (another update of the
stack runs: worth another try), 130 interrupted, 143 ended by SIGTERM.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import typer
from rich.markup import escape
from typer.exceptions import TyperException

from flow import terminal
from flow.commands import (
    backup,
    build,
    cost,
    demo,
    deploy,
    destroy,
    doctor,
    execute,
    images,
    init,
    logs,
    promote,
    rebuild,
    rollback,
    ssh,
    state,
    status,
    sweep,
    unlock,
    workflow,
)
from flow.errors import FlowError

try:
    from flow.commands import rehearse, sandbox
except ModuleNotFoundError as missing:
    # A runner has what requirements.txt names, and that is all it needs.
    if (missing.name or "").startswith(("flow", "sandbox")):
        raise
    rehearse = sandbox = None  # type: ignore[assignment]

app = typer.Typer(
    name="flow",
    help="dev, staging, production and throwaway demos of a Compose application.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals hold tokens
)
# In the order --help shows them; a new command or group is one more line.
COMMANDS: dict[str, Callable[..., Any]] = {
    "init": init.init_command,
    "doctor": doctor.doctor_command,
    "build": build.build,
    "deploy": deploy.deploy,
    "rebuild": rebuild.rebuild,
    "rollback": rollback.rollback_command,
    "destroy": destroy.destroy,
    "status": status.status,
    "cost": cost.cost,
    "sweep": sweep.sweep,
    "logs": logs.logs,
    "ssh": ssh.ssh,
    "unlock": unlock.unlock,
    "exec": execute.execute,
    "promote": promote.promote,
    "release": promote.release,
    "back-merge": promote.back_merge,
}
GROUPS: dict[str, typer.Typer] = {
    "backup": backup.app,
    "demo": demo.app,
    "hotfix": promote.hotfix_app,
    "images": images.app,
    "state": state.app,
    "workflow": workflow.app,
}
if sandbox is not None:
    COMMANDS["rehearse"] = rehearse.rehearse
    GROUPS["sandbox"] = sandbox.app
for name, command in COMMANDS.items():
    app.command(name)(command)
for name, group in GROUPS.items():
    app.add_typer(group, name=name)


def _terminated(signum: int, _frame: FrameType | None) -> NoReturn:
    # As an exception, so that what runs is stopped and tidied on the way out.
    raise SystemExit(128 + signum)


def run(arguments: list[str] | None = None) -> int:
    """Run one command line and say how it ended. `arguments` default to sys.argv's."""
    try:
        result: Any = app(args=arguments, prog_name="flow", standalone_mode=False)
    except FlowError as error:
        terminal.progress.print(f"[bold red]error:[/] {escape(error.problem)}", soft_wrap=True)
        if error.remedy:
            terminal.progress.print(f"[bold]next:[/] {escape(error.remedy)}", soft_wrap=True)
        return error.code
    except (KeyboardInterrupt, typer.Abort):
        terminal.say("interrupted")
        return 130
    except TyperException as error:  # wrong usage
        terminal.progress.print(f"[bold red]error:[/] {escape(error.format_message())}")
        terminal.say("next: the command's --help says what it takes")
        return error.exit_code
    except RuntimeError as error:
        # The sandbox's own errors are sentences with a remedy; any other is a fault of ours.
        if not type(error).__module__.startswith("sandbox."):
            raise
        terminal.progress.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        return 1
    return result if isinstance(result, int) else 0


def listen() -> None:
    """Make SIGTERM and SIGINT stop what runs, tidily.

    A shell starts a job in the background with SIGINT ignored, and so would start the engine
    through us: deaf to the one signal that stops it.
    """
    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> None:
    """The console script."""
    listen()
    sys.exit(run())


if __name__ == "__main__":
    main()
