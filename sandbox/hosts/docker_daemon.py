"""A Docker daemon to run the servers on: found, or installed and started.

A daemon that runs already is used and never stopped. Where there is none and no
service system to ask, this starts `dockerd` itself, detached, with its log in the
sandbox's directory, and stops that one again on request.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import docker
from docker.errors import DockerException

from sandbox.processes import Detached, is_alive

PACKAGES = {
    "dockerd": "docker.io",
    "docker": "docker-cli",  # where docker.io does not bring the client
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "mkfs.ext4": "e2fsprogs",
    "nsenter": "util-linux",
    "ip": "iproute2",
    "openssl": "openssl",
}
_START_DEADLINE = 60.0  # seconds

Report = Callable[[str], None]


class DockerUnavailableError(RuntimeError):
    """There is no Docker daemon here and none can be started."""


def connect(timeout: int = 120) -> docker.DockerClient | None:
    """A client of the running daemon, or None."""
    if not _listens():
        return None
    try:
        client = docker.from_env(timeout=timeout)
    except DockerException:
        return None
    try:
        client.ping()
    except DockerException:
        client.close()
        return None
    return client


def _listens() -> bool:
    """Whether anybody is at the daemon's socket: Docker's client leaks one that is refused."""
    where = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not where.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        return probe.connect_ex(where.removeprefix("unix://")) == 0


def is_running() -> bool:
    """Whether a daemon answers."""
    client = connect(timeout=10)
    if client is not None:
        client.close()
    return client is not None


def ensure_tools(report: Report) -> None:
    """Install from the distribution whatever the sandbox needs and lacks.

    Raises `DockerUnavailableError` when it may not install or apt cannot.
    """
    if sys.platform != "linux":
        raise DockerUnavailableError(
            "the sandbox's servers share this machine's kernel, which has to be Linux. "
            "Run it in a Linux virtual machine, with the checkout in it."
        )
    if os.geteuid() != 0:
        raise DockerUnavailableError(
            "the sandbox makes network devices and volumes, which needs root. "
            "Run the command again with sudo, or as root."
        )
    missing = _missing()
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise DockerUnavailableError(
            f"missing here: {', '.join(missing)}, and there is no apt to install them with. "
            "Install them with this system's package manager and run the command again."
        )
    report(f"installing {', '.join(missing)} with apt (about 20 s)")
    _apt("update", "-q")
    known = [name for name in missing if _is_known(name)]
    _apt("install", "-qy", "--no-install-recommends", *known)
    if still := _missing():
        raise DockerUnavailableError(
            f"apt installed {', '.join(known)} and yet {', '.join(still)} is missing. "
            "Install it by hand and run the command again."
        )


def _missing() -> list[str]:
    return sorted({package for tool, package in PACKAGES.items() if shutil.which(tool) is None})


def _is_known(package: str) -> bool:
    shown = subprocess.run(
        ["apt-cache", "show", package], capture_output=True, timeout=60, check=False
    )
    return shown.returncode == 0


def _apt(*arguments: str) -> None:
    done = subprocess.run(
        ["apt-get", *arguments], env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise DockerUnavailableError(
            f"`apt-get {' '.join(arguments)}` failed:\n{done.stderr.strip()[-800:]}\n"
            "Run it by hand, see to what it says, and run the command again."
        )


def ensure_running(directory: Path, report: Report) -> docker.DockerClient:
    """A client of a daemon that answers, started here if need be."""
    if client := connect():
        return client
    daemon = process(directory)
    ours = not Path("/run/systemd/system").is_dir()
    if not ours:
        report("starting the docker service")
        subprocess.run(
            ["systemctl", "start", "docker"], capture_output=True, timeout=_START_DEADLINE
        )
        hint = "journalctl -u docker"
    else:
        report("starting dockerd")
        _forget_a_killed_daemon()
        daemon.start(["dockerd", "--label", _mark(directory)], os.environ, Path("/"))
        hint = str(daemon.log)
    give_up = time.monotonic() + _START_DEADLINE
    while time.monotonic() < give_up:
        if client := connect():
            return client
        if ours and daemon.pid() is None:
            break
        time.sleep(0.2)
    raise DockerUnavailableError(
        f"dockerd ended, or did not answer within {_START_DEADLINE:.0f} s. What it says: {hint}\n"
        f"{daemon.last_words()}"
    )


def process(directory: Path) -> Detached:
    """The daemon of ours, which may not run: another's is never stopped."""
    return Detached("dockerd", _mark(directory), directory)


def _mark(directory: Path) -> str:
    """A label that tells our daemon from those inside the servers."""
    return f"deployment-flow.sandbox={directory}"


def _forget_a_killed_daemon() -> None:
    """A daemon that was killed leaves its own pid file, which stops the next one."""
    stale = Path("/var/run/docker.pid")
    if stale.exists() and not is_alive(int(stale.read_text().strip() or 0), "dockerd"):
        stale.unlink()
