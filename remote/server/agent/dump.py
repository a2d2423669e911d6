"""The application's data as its own command writes it: passed on in pieces, never stored here.

A service says how it is saved in its label `deployment-flow.dump`: a shell command whose standard
output is the dump. The label is read from the running container, where Compose has filled in its
variables. The caller encrypts what arrives.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any, cast

from .commands import DATA_LIMIT
from .compose import Compose
from .errors import DeployError
from .lines import Blot, cut_lines
from .releases import Release
from .slots import plain

LABEL = "deployment-flow.dump"
SECONDS = 1800
PIECE_BYTES = 4500
"""As base64 in JSON it is a line shorter than the hand-over reads (8 KiB)."""

Send = Callable[[Mapping[str, object]], None]


def dumps(compose: Compose, release: Release) -> dict[str, tuple[str, str]]:
    """Service → (container, command) of every running service that says how it is saved."""
    return labelled(compose, release, LABEL)


def labelled(compose: Compose, release: Release, label: str) -> dict[str, tuple[str, str]]:
    """Service → (container, command) of every running service with a command in this label."""
    found = {}
    for container in compose.containers(release):
        if container.get("State") != "running":
            continue
        name = str(container["Name"])
        told = compose.docker(
            *("inspect", "--format", f'{{{{index .Config.Labels "{label}"}}}}', name),
            line_limit=DATA_LIMIT,
        )
        command = "\n".join(told.lines).strip()
        if told.ok and command not in ("", "<no value>"):
            found[str(container["Service"])] = (name, command)
    return found


def commands_of(compose: Compose, release: Release) -> dict[str, str]:
    """Service → the command of its label, as a release that may not run yet has it."""
    ended = compose.compose(release, "config", "--format", "json", line_limit=DATA_LIMIT)
    try:
        services = json.loads("\n".join(ended.lines))["services"] if ended.ok else {}
    except (ValueError, KeyError):
        return {}
    labels = {plain(name): each.get("labels") or {} for name, each in services.items()}
    # Compose writes a dollar twice, so that its output can be read by it again.
    return {n: str(each[LABEL]).replace("$$", "$") for n, each in labels.items() if LABEL in each}


def send_dump(service: str, container: str, command: str, send: Send, blot: Blot) -> None:
    """Run the command in the container and send what it writes. Raises DeployError.

    blot  for what the command complains of; the dump itself is passed on as it is
    """
    process = subprocess.Popen(
        ["docker", "exec", container, "sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    complaints: list[str] = []

    def listen() -> None:
        for line in cut_lines(cast(IO[bytes], process.stderr), 500):
            complaints.append(line)
            del complaints[:-20]

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    watch = threading.Timer(SECONDS, process.kill)
    watch.start()
    digest, size = hashlib.sha256(), 0
    send({"dump": service})
    try:
        while piece := cast(IO[bytes], process.stdout).read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
            send({"data": base64.b64encode(piece).decode()})
        status = process.wait()
    finally:
        watch.cancel()
        if process.poll() is None:
            process.kill()
            process.wait()
        listener.join(timeout=5)
        for pipe in (process.stdout, process.stderr):
            cast(IO[Any], pipe).close()
    if status != 0 or size == 0:
        why = blot(complaints[-1]) if complaints else f"exit code {status}, {size} bytes"
        raise DeployError(
            f"the dump of service {service} failed: {why}",
            f"correct its label {LABEL}, or end the demo without a dump",
        )
    send({"end": service, "bytes": size, "sha256": digest.hexdigest()})
