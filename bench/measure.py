"""Seconds and CPU of one command, and when a URL first shows a version."""

from __future__ import annotations

import os
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import docker
import httpx

LONGEST_SECONDS = 600.0
POLL_SECONDS = 0.1
CONTROL_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Measured:
    """One command.

    seconds      until the command ended
    live         until the URL showed the awaited version; None where nothing was awaited
    cpu          of the command and all it started, here
    server_cpu   of the server in that time; None where there is none at its start or end
    """

    seconds: float
    live: float | None
    cpu: float
    server_cpu: float | None


class MeasureError(RuntimeError):
    """A measured command failed; its output is the message."""


class Watch:
    """Waits in a thread of its own until the URL's API names a version."""

    def __init__(self, url: str, version: str, trust: Path, password: str) -> None:
        self.at: float | None = None
        self._stop = threading.Event()
        self._url = f"{url}/api/version"
        self._version = version
        self._context = ssl.create_default_context(cafile=str(trust))
        self._auth = httpx.BasicAuth("demo", password) if password else None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self, patience: float = 60.0) -> float | None:
        """The time it was seen, on time.monotonic's clock; waits `patience` seconds at most."""
        self._thread.join(patience)
        self._stop.set()
        self._thread.join(10)
        return self.at

    def _run(self) -> None:
        with httpx.Client(verify=self._context, auth=self._auth, timeout=5, trust_env=False) as web:
            while not self._stop.wait(POLL_SECONDS):
                try:
                    answer = web.get(self._url)
                    if answer.status_code == 200 and answer.json()["version"] == self._version:
                        self.at = time.monotonic()
                        return
                except (httpx.TransportError, ValueError, KeyError):
                    continue


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    watch: Callable[[], Watch] | None = None,
    look_after: bool = False,
    server: str | None = None,
    given: str = "",
) -> Measured:
    """Run a command and measure it; raises MeasureError where it fails.

    watch       starts watching a URL, just before the command starts
    look_after  starts it when the command has ended instead: for a URL that is not known before
    server      name of the container that is the server, whose CPU is counted
    given       the command's standard input
    """
    before = cpu_of(server)
    watching = watch() if watch and not look_after else None
    started = time.monotonic()
    process = subprocess.Popen(
        list(command),
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    said = ""
    timer = threading.Timer(LONGEST_SECONDS, process.terminate)
    timer.start()
    try:
        if process.stdin and process.stdout:
            process.stdin.write(given)
            process.stdin.close()
            said = process.stdout.read()
        # wait4 rather than wait: it counts the plugins the engine started, too.
        _, status, usage = os.wait4(process.pid, 0)
    finally:
        timer.cancel()
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise MeasureError(f"{' '.join(command)}\n{said}")
    if watch and look_after:
        watching = watch()
    seen = watching.end() if watching else None
    if watching and seen is None:
        raise MeasureError(f"{' '.join(command)}: the new version never showed\n{said}")
    after = cpu_of(server)
    return Measured(
        seconds=seconds,
        live=None if seen is None else seen - started,
        cpu=usage.ru_utime + usage.ru_stime,
        server_cpu=None if before is None or after is None else after - before,
    )


def cpu_of(container: str | None) -> float | None:
    """CPU seconds a container has used since it started; None where there is none."""
    if container is None:
        return None
    client = docker.from_env()
    try:
        found = client.containers.get(container)
    except docker.errors.NotFound:
        return None
    finally:
        client.close()
    # Docker's own statistics are zero on a machine with both versions of control groups.
    old = CONTROL_GROUPS / "cpuacct/docker" / str(found.id) / "cpuacct.usage"
    if old.exists():
        return int(old.read_text()) / 1e9
    for new in CONTROL_GROUPS.glob(f"**/*{found.id}*/cpu.stat"):
        used = dict(line.split() for line in new.read_text().splitlines())
        return int(used["usage_usec"]) / 1e6
    return None
