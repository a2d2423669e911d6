"""The Pulumi CLI, run for the Automation API so that stopping us stops it cleanly.

The engine runs in a process group of its own and is told to stop by exactly one
SIGINT: the SDK's own runner would leave it running at a signal to us, and a
terminal's Ctrl-C would reach it twice, which makes it quit without tidying.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping
from io import StringIO
from typing import IO, Any

from pulumi import automation

# After a first SIGINT the engine finishes the step it is in; a server's creation
# can take minutes, and cutting it off there is what leaves things behind.
STOP_SECONDS = 300.0

OnLine = Callable[[str], Any]

# Every engine that runs now: one started by another thread hears of no signal to us.
_running: set[subprocess.Popen[str]] = set()


def stop_running() -> None:
    """Ask every engine that runs to stop, once; the threads that wait for them see them end."""
    for process in list(_running):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)


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
        _running.add(process)
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
        finally:
            _running.discard(process)
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
