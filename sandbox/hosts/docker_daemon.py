"""A Docker daemon to run the servers on: found, or installed and started.

A daemon that runs already is used and never stopped. Where there is none and no
service system to ask, this starts `dockerd` itself, detached, with its log in the
sandbox's directory, and stops that one again on request.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import docker
from docker.errors import DockerException

from sandbox.processes import Detached

PACKAGES = {
    "dockerd": "docker.io",
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


def ensure_tools(report: Report) -> None:
    """Install from the distribution whatever the sandbox needs and lacks.

    Raises `DockerUnavailableError` when it may not install or apt cannot.
    """
    if os.geteuid() != 0:
        raise DockerUnavailableError(
            "the sandbox makes network devices and volumes, which needs root. "
            "Run the command again with sudo, or as root."
        )
    missing = sorted({pkg for tool, pkg in PACKAGES.items() if shutil.which(tool) is None})
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise DockerUnavailableError(
            f"missing here: {', '.join(missing)}, and there is no apt to install them with. "
            "Install them with this system's package manager and run the command again."
        )
    report(f"installing {', '.join(missing)} with apt (about 20 s)")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-q"], ["install", "-qy", "--no-install-recommends", *missing]):
        done = subprocess.run(
            ["apt-get", *command], env=environment, capture_output=True, text=True, timeout=900
        )
        if done.returncode != 0:
            raise DockerUnavailableError(
                f"apt-get {command[0]} failed:\n{done.stderr.strip()[-800:]}\n"
                f"Install {', '.join(missing)} by hand and run the command again."
            )


def ensure_running(directory: Path, report: Report) -> docker.DockerClient:
    """A client of a daemon that answers, started here if need be."""
    if client := connect():
        return client
    daemon = process(directory)
    if Path("/run/systemd/system").is_dir():
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
        time.sleep(0.2)
    raise DockerUnavailableError(
        f"dockerd did not answer within {_START_DEADLINE:.0f} s. What it says: {hint}\n"
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
    if stale.exists() and not Path(f"/proc/{stale.read_text().strip() or 0}").exists():
        stale.unlink()
