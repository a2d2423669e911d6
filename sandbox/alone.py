"""One sandbox on a machine, and one command at a time that changes it."""

import fcntl
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import docker

from sandbox.hosts import container as description

Report = Callable[[str], None]
Port = tuple[str, int, socket.SocketKind]

_LOCK_SECONDS = 900.0  # a first `up` builds images


class SandboxError(RuntimeError):
    """The sandbox cannot do what was asked; the message says what to do next."""


@contextmanager
def lock(directory: Path, report: Report) -> Iterator[None]:
    """Hold the sandbox in `directory`; others wait, saying so. Raises `SandboxError`."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as file:
        give_up, told = time.monotonic() + _LOCK_SECONDS, False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    report("waiting for another command that starts or stops the sandbox")
                    told = True
                if time.monotonic() > give_up:
                    raise SandboxError(
                        f"another command has held {file.name} for {_LOCK_SECONDS / 60:.0f} "
                        "minutes. Find it with `fuser`, end it and try again."
                    ) from None
                time.sleep(0.2)
        yield


def refuse_another(client: docker.DockerClient, directory: Path) -> None:
    """Raise `SandboxError` when a sandbox elsewhere has servers: their addresses are ours.

    Servers of one whose directory is gone are nobody's, and removed.
    """
    for found in client.containers.list(all=True, filters={"label": description.LABEL}):
        owner = Path(found.labels.get(description.OWNER_LABEL, str(directory)))
        if owner == directory:
            continue
        if owner.exists():
            raise SandboxError(
                f"another sandbox has servers on this machine: {owner}. One can be here at a "
                f"time. Run `FLOW_SANDBOX_DIR={owner} flow sandbox reset`, then try again."
            )
        found.remove(force=True, v=True)


def refuse_taken_ports(ports: Iterable[Port]) -> None:
    """Raise `SandboxError` naming the first port that another program has."""
    for address, port, kind in ports:
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                raise SandboxError(
                    f"port {port} of {address} is taken ({error.strerror}), and the sandbox "
                    f"needs it. See who has it with `ss -lntup 'sport = {port}'`, end that "
                    "program and try again."
                ) from error
