"""A service's own command, in its container, reads the data that comes back."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

from .errors import DeployError
from .lines import Blot, cut_lines

LABEL = "deployment-flow.restore"
SECONDS = 1800

Say = Callable[[str], None]


def feed(service: str, container: str, command: str, file: Path, say: Say, blot: Blot) -> None:
    """Run the command in the container with the file on its standard input. Raises DeployError."""
    with file.open("rb") as content:
        process = subprocess.Popen(
            ["docker", "exec", "--interactive", container, "sh", "-c", command],
            stdin=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    said: list[str] = []

    def listen() -> None:
        for line in cut_lines(cast(IO[bytes], process.stdout), 500):
            said.append(line)
            del said[:-20]

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        status: int | None = process.wait(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        status = None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        listener.join(timeout=5)
        if not listener.is_alive():
            cast(IO[bytes], process.stdout).close()
    if status != 0:
        for line in said:
            say(f"  {blot(line)}")
        how = f"not over in {SECONDS} s" if status is None else f"status {status}"
        why = said[-1] if said else how
        raise DeployError(
            f"service {service} did not take its data back ({how}): {why}",
            f"correct its label {LABEL}; it has to take all or nothing (docs/compose.md)",
        )
