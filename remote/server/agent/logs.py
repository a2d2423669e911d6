"""The application's log as it is written, for as long as somebody listens."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO, cast

from .lines import Blot, cut_lines

SECONDS = 4 * 3600
BEAT_SECONDS = 10

Send = Callable[[Mapping[str, object]], None]


def follow(
    arguments: list[str],
    environment: Mapping[str, str],
    blot: Blot,
    send: Send,
    is_gone: Callable[[], bool],
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Run a command that goes on writing and send its lines; whether it ended by itself.

    Ends it when the listener has gone, or after SECONDS.
    """
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment),
    )
    talking = threading.Lock()  # a line is never in another's middle

    def read() -> None:
        for line in cut_lines(cast(IO[bytes], process.stdout), 2048):
            with talking:
                send({"log": blot(line)})

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    until, beat = time.monotonic() + SECONDS, time.monotonic()
    try:
        while process.poll() is None and not is_gone() and time.monotonic() < until:
            if time.monotonic() - beat >= BEAT_SECONDS:
                beat = time.monotonic()
                with talking:
                    send({"beat": round(beat)})
            sleep(0.5)
        return process.poll() is not None
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join(timeout=5)
        cast(IO[bytes], process.stdout).close()
