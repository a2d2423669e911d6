"""Secrets that are looked for in everything an `up` leaves, and where they are looked for."""

import base64
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

PAUSE_SECONDS = 0.05
_SEARCH = ("-rlsF", "--exclude-dir=merged", "-f", "-")


def found_in(content: bytes, secrets: Mapping[str, str]) -> list[str]:
    """Names of those a text shows, as they are or in base64."""
    shown = []
    for name, value in secrets.items():
        # Any three bytes of it, whatever stands before: the encoding has three phases.
        encoded = (base64.b64encode(b" " * pad + value.encode())[4:-4] for pad in range(3))
        if value.encode() in content or any(each in content for each in encoded):
            shown.append(name)
    return shown


class CommandLines:
    """Watches the command lines of every process of this machine, its servers' included.

    Use as a context manager; `shown` has the secrets that were seen, each with its command.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = secrets
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.shown: set[str] = set()
        self.seen: set[bytes] = set()

    def __enter__(self) -> "CommandLines":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(PAUSE_SECONDS):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = file.read_bytes()
                except OSError:
                    continue  # it has ended
                if line in self.seen:
                    continue
                self.seen.add(line)
                for name in found_in(line, self._secrets):
                    self.shown.add(f"{name}: {line[:20]!r}…")


class Server:
    """A server of the sandbox from outside, as whoever has stolen its disk reads it."""

    def __init__(self, number: int) -> None:
        self._container = f"flow-server-{number}"

    def output(self, *command: str) -> bytes:
        """What a command prints that must succeed."""
        return subprocess.run(
            ["docker", "exec", self._container, *command],
            capture_output=True,
            timeout=60,
            check=True,
        ).stdout

    def files_with(self, secrets: Mapping[str, str], *folders: str) -> dict[str, list[str]]:
        """Files below folders that hold a secret, by its name; those with none left out."""
        found = {}
        for name, value in secrets.items():
            # The pattern on standard input, so that the search does not find itself.
            done = subprocess.run(
                ["docker", "exec", "-i", self._container, "grep", *_SEARCH, *folders],
                input=f"{value}\n",
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            if done.stdout:
                found[name] = sorted(done.stdout.splitlines())
        return found
