"""Every command the agent runs, with a deadline and bounded output. Faked in unit tests."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from .lines import cut_lines

LINE_LIMIT = 2048
DATA_LIMIT = 1 << 20
"""A container as JSON is one line, which holds all its labels."""
KEPT_LINES = 2000
DATA_LINES = 100_000
"""Of what a program reads: half of it would be none."""
_LOOK_SECONDS = 0.2
"""How often a command that may be cancelled is looked at."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: `status` is None when its deadline passed or it was cancelled."""

    status: int | None
    lines: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether it exited 0."""
        return self.status == 0

    def last(self) -> str:
        """The last line that is not empty, for an error message."""
        return next((line.strip() for line in reversed(self.lines) if line.strip()), "no output")


class Commands:
    """Runs commands on this machine."""

    def run(
        self,
        arguments: Sequence[str],
        *,
        seconds: float,
        environment: Mapping[str, str] | None = None,
        stdin: str | None = None,
        on_line: Callable[[str], None] | None = None,
        line_limit: int = LINE_LIMIT,
        cancelled: threading.Event | None = None,
    ) -> Ended:
        """Run to the end or to the deadline; stdout and stderr come as one list of lines.

        line_limit  bytes of a line that are kept; what a program reads needs DATA_LIMIT
        cancelled   ends it as its deadline would, once another thread sets it
        """
        return self._run(
            arguments, seconds, environment, stdin, on_line, None, line_limit, cancelled
        )

    def save(
        self,
        arguments: Sequence[str],
        into: Path,
        *,
        seconds: float,
        environment: Mapping[str, str] | None = None,
    ) -> Ended:
        """As `run`, but stdout goes to a new file that is root's alone; stderr comes as lines."""
        return self._run(arguments, seconds, environment, None, None, into, LINE_LIMIT)

    def _run(
        self,
        arguments: Sequence[str],
        seconds: float,
        environment: Mapping[str, str] | None,
        stdin: str | None,
        on_line: Callable[[str], None] | None,
        into: Path | None,
        line_limit: int,
        cancelled: threading.Event | None = None,
    ) -> Ended:
        with _opened(into) as file:
            process = subprocess.Popen(
                list(arguments),
                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE if file is None else file,
                stderr=subprocess.STDOUT if file is None else subprocess.PIPE,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        told = cast(IO[bytes], process.stdout if file is None else process.stderr)
        kept: deque[str] = deque(maxlen=DATA_LINES if line_limit == DATA_LIMIT else KEPT_LINES)

        def read() -> None:
            for line in cut_lines(told, line_limit):
                kept.append(line)
                if on_line is not None:
                    on_line(line)

        reader = threading.Thread(target=read, daemon=True)
        try:
            reader.start()
            if stdin is not None:
                with contextlib.suppress(BrokenPipeError), cast(IO[bytes], process.stdin) as pipe:
                    pipe.write(stdin.encode())
            status = _awaited(process, seconds, cancelled)
        finally:
            # Also of an interrupt: it is in a session of its own, and would go on.
            if process.returncode is None:
                self._kill(process)
            # A grandchild may hold the pipe open; what it still says does not matter.
            reader.join(timeout=5)
            if not reader.is_alive():
                told.close()
        return Ended(status, tuple(kept))

    @contextlib.contextmanager
    def watch(
        self, arguments: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> Iterator[Sequence[str]]:
        """Run for as long as the block does; the first lines it has said so far."""
        process = subprocess.Popen(
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        said: list[str] = []

        def read() -> None:
            for line in cut_lines(cast(IO[bytes], process.stdout), LINE_LIMIT):
                if len(said) < KEPT_LINES:
                    said.append(line)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield said
        finally:
            self._kill(process)
            reader.join(timeout=5)
            if not reader.is_alive():
                cast(IO[bytes], process.stdout).close()

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        for number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=seconds)
                return


def _awaited(
    process: subprocess.Popen[bytes], seconds: float, cancelled: threading.Event | None
) -> int | None:
    """The exit status; None when the time has run out or it was cancelled."""
    until = time.monotonic() + seconds
    while cancelled is None or not cancelled.is_set():
        left = until - time.monotonic()
        try:
            return process.wait(left if cancelled is None else min(left, _LOOK_SECONDS))
        except subprocess.TimeoutExpired:
            if time.monotonic() >= until:
                break
    return None


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[IO[Any] | None]:
    if path is None:
        yield None
        return
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
