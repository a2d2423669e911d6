"""A Docker daemon to run the servers on: found, or installed and started.

A daemon that runs already is used and never stopped. Where there is none and no
service system to ask, this starts `dockerd` itself, detached, with its log in the
sandbox's directory, and stops that one again on request.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import docker
from docker.errors import DockerException

PACKAGES = {
    "dockerd": "docker.io",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "mkfs.ext4": "e2fsprogs",
    "nsenter": "util-linux",
    "ip": "iproute2",
}
_START_DEADLINE = 60.0  # seconds
_STOP_DEADLINE = 40.0

Report = Callable[[str], None]


class DockerUnavailable(RuntimeError):
    """There is no Docker daemon here and none can be started."""


def connect(timeout: int = 120) -> docker.DockerClient | None:
    """A client of the running daemon, or None."""
    try:
        client = docker.from_env(timeout=timeout)
        client.ping()
    except DockerException:
        return None
    return client


def ensure_tools(report: Report) -> None:
    """Install from the distribution whatever the sandbox needs and lacks.

    Raises `DockerUnavailable` when it may not install or apt cannot.
    """
    if os.geteuid() != 0:
        raise DockerUnavailable(
            "the sandbox makes network devices and volumes, which needs root. "
            "Run the command again with sudo, or as root."
        )
    missing = sorted({pkg for tool, pkg in PACKAGES.items() if shutil.which(tool) is None})
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise DockerUnavailable(
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
            raise DockerUnavailable(
                f"apt-get {command[0]} failed:\n{done.stderr.strip()[-800:]}\n"
                f"Install {', '.join(missing)} by hand and run the command again."
            )


def ensure_running(run_dir: Path, logs: Path, report: Report) -> docker.DockerClient:
    """A client of a daemon that answers, started here if need be."""
    if client := connect():
        return client
    if Path("/run/systemd/system").is_dir():
        report("starting the docker service")
        subprocess.run(
            ["systemctl", "start", "docker"], capture_output=True, timeout=_START_DEADLINE
        )
        log_hint = "journalctl -u docker"
    else:
        report("starting dockerd")
        _start(run_dir / "dockerd.pid", logs / "dockerd.log")
        log_hint = str(logs / "dockerd.log")
    give_up = time.monotonic() + _START_DEADLINE
    while time.monotonic() < give_up:
        if client := connect():
            return client
        time.sleep(0.2)
    raise DockerUnavailable(
        f"dockerd did not answer within {_START_DEADLINE:.0f} s. What it says: {log_hint}"
    )


def _start(pid_file: Path, log: Path) -> None:
    # A daemon that was killed leaves its own pid file, which stops the next one.
    stale = Path("/var/run/docker.pid")
    if stale.exists() and not Path(f"/proc/{stale.read_text().strip() or 0}").exists():
        stale.unlink()
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["dockerd", "--group", "root"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
    pid_file.write_text(str(process.pid))


def stop(run_dir: Path) -> None:
    """Stop the daemon this module started; any other is left alone."""
    pid_file = run_dir / "dockerd.pid"
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text().strip() or 0)
    if is_process(pid, "dockerd"):
        os.kill(pid, signal.SIGTERM)
        give_up = time.monotonic() + _STOP_DEADLINE
        while is_process(pid, "dockerd") and time.monotonic() < give_up:
            _reap(pid)
            time.sleep(0.1)
        if is_process(pid, "dockerd"):
            raise DockerUnavailable(
                f"dockerd (process {pid}) did not stop within {_STOP_DEADLINE:.0f} s. "
                "Look at its log, end it by hand and run the command again."
            )
    pid_file.unlink(missing_ok=True)


def is_process(pid: int, name: str) -> bool:
    """Whether the process lives and runs `name`; a pid may have been given to another."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return pid > 0 and state != "Z" and name.encode() in command


def _reap(pid: int) -> None:
    """Where this very process started the daemon, its end has to be collected."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass
