"""The Pulumi CLI, run for the Automation API so that stopping us stops it cleanly.

The engine runs in a process group of its own and is told to stop by exactly one
SIGINT: the SDK's own runner would leave it running at a signal to us, and a
terminal's Ctrl-C would reach it twice, which makes it quit without tidying.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import IO, Any, TypeVar

from pulumi import automation

from flow import lock_notes, noted_engines
from flow.errors import FlowError

# After a first SIGINT the engine finishes the step it is in; a server's creation
# can take minutes, and cutting it off there is what leaves things behind.
STOP_SECONDS = 300.0
# At a second one it leaves the step it is in, and still gives its lock back.
LEAVE_SECONDS = 20.0
# A destroy takes a minute or two; but the provider waits without end for the deletion of a
# record set that Hetzner never finishes, and no program runs then that would watch it.
DESTROY_SECONDS = 900.0

# Each is a process of a third of a second's work.
ENGINES = max(2, min(os.cpu_count() or 2, 8))

OnLine = Callable[[str], Any]
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

# Every engine that runs now: one started by another thread hears of no signal to us.
_running: set[subprocess.Popen[str]] = set()


def stop_running() -> None:
    """Ask every engine that runs to stop, once; the threads that wait for them see them end."""
    for process in list(_running):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)


def at_once(work: Callable[[_Given], _Made], given: Sequence[_Given], workers: int) -> list[_Made]:
    """`work` of each, in order, at most `workers` at a time."""
    if not given:
        return []
    with ThreadPoolExecutor(min(workers, len(given))) as pool:
        try:
            return list(pool.map(work, given))
        except BaseException:
            # A signal reaches this thread alone: what has not begun never will, and what the
            # others run is asked to stop.
            pool.shutdown(wait=False, cancel_futures=True)
            stop_running()
            raise


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
        """`given` goes to standard input, as secrets must: `ps` shows arguments.

        Raises FlowError for a destroy that is not over in DESTROY_SECONDS.
        """
        environment = {**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"}
        began = time.time()
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
        noted = noted_engines.write(process.pid, began, args, environment)
        note = lock_notes.of(process.pid, began, args, environment)
        left = None if note is None else lock_notes.Left(note, Path(cwd), environment)
        outputs: list[str] = []
        errors: list[str] = []
        readers = [
            _reader(process.stdout, outputs, on_output),
            _reader(process.stderr, errors, on_error),
        ]
        overdue = threading.Event()
        watch = threading.Timer(DESTROY_SECONDS, _give_up, [process, overdue])
        watch.daemon = True
        if args[:1] == ["destroy"]:
            watch.start()
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
            watch.cancel()
            _running.discard(process)
            _sweep(process.pid)
            if noted is not None and process.returncode is not None and process.returncode >= 0:
                # It ended by itself, and gave its lock back; one that was killed did not.
                noted.unlink(missing_ok=True)
            if left is not None:
                left.end(process.returncode)
        if overdue.is_set():
            raise FlowError(
                f"the destroy was not over in {DESTROY_SECONDS:.0f} s and was ended: something "
                "at Hetzner is never finished (https://status.hetzner.com)",
                "the same command again later: it goes on from here",
            )
        result = automation.CommandResult("\n".join(outputs), "\n".join(errors), code)
        if code != 0:
            raise automation.errors.create_command_error(result)
        return result


class Workspace(automation.LocalWorkspace):
    """A folder in which no operation leaves its stack selected: each names its own."""

    def select_stack(self, stack_name: str) -> None:
        """Nothing: an operation on a stack that does not exist says so itself."""

    def stack_outputs(self, stack_name: str) -> automation.OutputMap:  # noqa: ARG002
        """Nothing: an operation would read them twice at its end, and `Stacks.state` has them."""
        return {}


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
    """Ask the engine to stop, after STOP_SECONDS (or a second signal) to leave its step.

    A second Ctrl-C, or the SIGTERM that GitHub sends 7.5 s after its interrupt: what is not over
    2.5 s later is killed there. One that does not even then is killed, and its lock stays.
    """
    for seconds in (STOP_SECONDS, LEAVE_SECONDS):
        if process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt, SystemExit):
            process.wait(seconds)
            return
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def _sweep(session: int) -> None:
    """End what an engine that is gone has left: its language host lives on, when it is stopped
    while it starts the program. What is about to end by itself gets the time to.
    """
    for given, seconds in ((0, 1.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        left = _members(session)
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, given)
        until = time.monotonic() + seconds
        while left and time.monotonic() < until:
            time.sleep(0.05)
            left = _members(session)
        if not left:
            return


def _members(session: int) -> list[int]:
    """Processes of a session that are not zombies; none where there is no /proc to ask."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in brackets may hold anything: count from its end.
            words = stat.read_text().rpartition(")")[2].split()
        except (OSError, UnicodeDecodeError):
            continue  # it has ended
        if words[3] == str(session) and words[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def _give_up(process: subprocess.Popen[str], overdue: threading.Event) -> None:
    """End an engine that waits for what never ends; in a thread of its own."""
    overdue.set()
    for _ in range(2):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LEAVE_SECONDS)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
