"""Stacks through Pulumi's Automation API; the only module that imports it.

The engine runs in a process group of its own and is told to stop by exactly one
SIGINT: the SDK's own runner would leave it running at a signal to us, and a
terminal's Ctrl-C would reach it twice, which makes it quit without tidying.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import IO, Any

from pulumi import automation

from flow.errors import FlowError

# After a first SIGINT the engine finishes the step it is in; a server's creation
# can take minutes, and cutting it off there is what leaves things behind.
STOP_SECONDS = 300.0

OnLine = Callable[[str], Any]


class Engine(automation.PulumiCommand):
    """The Pulumi CLI, run so that stopping us stops it cleanly."""

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: OnLine | None = None,
        on_error: OnLine | None = None,
    ) -> automation.CommandResult:
        """As the SDK's: a non-zero exit raises automation.CommandError."""
        return self.run_with_input(args, cwd, additional_env, None, on_output, on_error)

    def run_with_input(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        given: str | None,
        on_output: OnLine | None = None,
        on_error: OnLine | None = None,
    ) -> automation.CommandResult:
        """`given` goes to standard input, as secrets must: `ps` shows arguments."""
        environment = {**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"}
        process = subprocess.Popen(
            [self.command, "--non-interactive", *args],
            stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=environment,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        outputs: list[str] = []
        errors: list[str] = []
        readers = [
            _reader(process.stdout, outputs, on_output),
            _reader(process.stderr, errors, on_error),
        ]
        try:
            if given is not None and process.stdin:
                process.stdin.write(given)
                process.stdin.close()
            for reader in readers:
                reader.join()
            code = process.wait()
        except BaseException:
            _stop(process)
            for reader in readers:
                reader.join(5)
            raise
        result = automation.CommandResult("\n".join(outputs), "\n".join(errors), code)
        if code != 0:
            raise automation.errors.create_command_error(result)
        return result


def _reader(stream: IO[str] | None, lines: list[str], callback: OnLine | None) -> threading.Thread:
    def read() -> None:
        with stream or StringIO() as stream_:
            for line in stream_:
                lines.append(line.rstrip())
                if callback:
                    callback(lines[-1])

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _stop(process: subprocess.Popen[str]) -> None:
    """Ask the engine to stop; end its whole group when it does not in STOP_SECONDS."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        # A second Ctrl-C means now.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@dataclass(frozen=True)
class Result:
    """What an operation did: counts by kind of step ("create", "same", …)."""

    changes: Mapping[str, int]
    output: str

    @property
    def changed(self) -> int:
        """Steps that were not `same` or a read."""
        return sum(n for kind, n in self.changes.items() if kind not in ("same", "read"))


class Stacks:
    """The stacks of one project folder.

    folder       the folder with Pulumi.yaml and the stacks' files
    environment  what the engine gets on top of ours: backend, passphrase, tokens, PATH
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], pulumi: Path) -> None:
        if not pulumi.exists():
            raise FlowError(f"no Pulumi engine at {pulumi}", "make setup")
        # The toolchain has pinned or checked the version.
        self._engine = Engine(root=str(pulumi.parent.parent), skip_version_check=True)
        self._workspace = automation.LocalWorkspace(
            work_dir=str(folder), env_vars=dict(environment), pulumi_command=self._engine
        )

    def names(self) -> list[str]:
        """Every stack of the project on its backend."""
        return [summary.name for summary in self._workspace.list_stacks()]

    def create(self, name: str) -> None:
        """Make the stack when it does not exist."""
        if name not in self.names():
            self._workspace.create_stack(name)

    def unselect(self) -> None:
        """Leave no stack selected, so that a command without `-s` asks instead of guessing."""
        self._engine.run(["stack", "unselect"], self._workspace.work_dir, self._workspace.env_vars)

    def set_secret(self, stack: str, key: str, value: str) -> None:
        """Put `value` encrypted into the stack's file; it passes on standard input."""
        try:
            self._engine.run_with_input(
                ["config", "set", "--secret", "--stack", stack, key],
                self._workspace.work_dir,
                self._workspace.env_vars,
                value,
            )
        except automation.CommandError as error:
            raise FlowError(f"cannot set {key} of {stack}: {error}") from error

    def up(self, name: str, on_line: OnLine | None = None, version: str | None = None) -> Result:
        """Create or update what the stack describes.

        version  the application's version to deploy. Given for this run only, as a release
                 does it: the stack's file does not pin it, so the next `up` without one keeps
                 what runs.
        """
        stack = self._select(name)
        if version is not None:
            stack.set_config("version", automation.ConfigValue(version))
        try:
            return self._operation(
                name, lambda: stack.up(on_output=on_line, show_secrets=False, color="never")
            )
        finally:
            if version is not None:
                stack.remove_config("version")

    def preview(self, name: str) -> Result:
        """Say what an `up` would do."""
        stack = self._select(name)
        try:
            result = stack.preview(color="never")
        except automation.CommandError as error:
            raise FlowError(_cause(error), f"pulumi preview -s {name} --diff") from error
        return Result(_counts(result.change_summary), result.stdout)

    def refresh(self, name: str, on_line: OnLine | None = None) -> Result:
        """Bring the state up to what is there: what was changed by hand counts as a change."""
        stack = self._select(name)
        return self._operation(
            name, lambda: stack.refresh(on_output=on_line, show_secrets=False, color="never")
        )

    def destroy(self, name: str, on_line: OnLine | None = None) -> Result:
        """Remove all the stack made; the stack itself and its settings stay.

        Previewed first, as the CLI does: with something protected in it, a destroy without
        a preview removes the rest before it is refused.
        """
        stack = self._select(name)

        def destroy() -> automation.DestroyResult:
            stack.preview_destroy(color="never")
            return stack.destroy(on_output=on_line, show_secrets=False, color="never")

        return self._operation(name, destroy)

    def remove(self, name: str) -> None:
        """Forget an empty stack, with its history and its settings file."""
        self._workspace.remove_stack(name)

    def outputs(self, name: str) -> dict[str, Any]:
        """The stack's outputs. Secrets among them are in clear: print none of it whole."""
        return {key: output.value for key, output in self._select(name).outputs().items()}

    def _select(self, name: str) -> automation.Stack:
        try:
            return automation.Stack.select(name, self._workspace)
        except automation.StackNotFoundError as error:
            raise FlowError(f"there is no stack {name}", f"pulumi stack init {name}") from error

    def _operation(
        self,
        name: str,
        operate: Callable[
            [], automation.UpResult | automation.RefreshResult | automation.DestroyResult
        ],
    ) -> Result:
        try:
            result = operate()
        except automation.ConcurrentUpdateError as error:
            raise FlowError(
                f"another update of {name} is running, or one was killed: {_cause(error)}",
                f"wait for it; when nothing runs any more: pulumi cancel -s {name}",
            ) from error
        except automation.CommandError as error:
            raise FlowError(
                f"the update of {name} failed: {_cause(error)}",
                f"put the cause right and run pulumi up -s {name} again: it goes on from here",
            ) from error
        return Result(_counts(result.summary.resource_changes or {}), result.stdout)


def _counts(changes: Mapping[Any, int]) -> dict[str, int]:
    # The SDK's keys are an enumeration's members or their values, by operation.
    return {str(getattr(kind, "value", kind)): count for kind, count in changes.items()}


# Of a failed command's diagnostics: headings, and what says only that it failed.
_NOISE = re.compile(
    r"\S+ \(\S+\):|(update|preview|refresh|destroy|resource) (operation )?failed"
    r"|an unhandled error occurred: .*"
)


def _cause(error: automation.CommandError) -> str:
    """What a failed command says went wrong: the lines of its diagnostics, else its errors.

    At most 20 lines, none twice.
    """
    text = str(error)
    if "\nDiagnostics:" in text:
        text = re.split(
            r"\n *(?:Outputs|Resources|Duration|Policies):", text.rpartition("\nDiagnostics:")[2]
        )[0]
        lines = text.splitlines()
    else:
        lines = [line for line in text.splitlines() if "error:" in line] or text.splitlines()[-20:]
    told: list[str] = []
    for line in lines:
        bare = line.strip().removeprefix("stderr:").strip().removeprefix("error:").strip()
        if bare and bare not in told and not _NOISE.fullmatch(bare):
            told.append(bare)
    return "\n".join(told[:20])
