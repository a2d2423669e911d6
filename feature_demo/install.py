"""Makes the server ready: tools of the script's own, then provision.sh as a stack's deploy does."""

import importlib.util
import io
import os
import shlex
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from feature_demo import script
from feature_demo.words import DemoError, Say, here
from remote import shipment
from remote.server.agent.commands import Commands

COMMAND: Final = Path("/usr/local/sbin/feature-demo.sh")
_RESULT: Final = "deployment-flow: result "
_APT: Final = (
    *("apt-get", "-qq", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=240"),
    *("-o", "Acquire::Retries=3"),
)


def tools(commands: Commands, say: Say, *, git: bool) -> None:
    """PyYAML, to read Compose files, and git, for a branch. Raises DemoError."""
    missing = [] if importlib.util.find_spec("yaml") else ["python3-yaml"]
    if git:
        found = commands.run(["git", "--version"], seconds=20) if _on_path("git") else None
        missing += [] if found is not None and found.ok else ["git"]
    if not missing:
        return
    say(f"installing {' and '.join(missing)}")
    environment = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    for words in (["update"], ["install", *missing]):
        ended = commands.run([*_APT, *words], seconds=900, environment=environment)
        if not ended.ok:
            raise DemoError(
                f"{' and '.join(missing)} could not be installed: {ended.last()[:300]}",
                "look at `apt-get update` on this server, then run the command again",
            )
    importlib.invalidate_caches()


def _on_path(name: str) -> bool:
    return any((Path(folder) / name).exists() for folder in os.get_exec_path())


def provision(say: Say) -> bool:
    """Run provision.sh; whether it changed anything. Raises DemoError.

    Without a deploy key: nobody deploys here over SSH, so sshd and root's keys stay as they are.
    """
    parameters = {
        "ADMIN_KEYS": "",
        "DEPLOY_KEY": "",
        "HOST_KEY_TYPES": "",
        "SSH_PORT": ssh_port(),
        "VOLUME_DEVICE": "",
        "VOLUME_SIZE": "0",
    }
    with tempfile.TemporaryDirectory(prefix="feature-demo-") as folder:
        with tarfile.open(fileobj=io.BytesIO(shipment.pack(parameters))) as archive:
            archive.extractall(folder, filter="data")
        return _run(["sh", f"{folder}/provision.sh"], say)


def ssh_port() -> str:
    """The port this person came by; sshd's own are let in besides."""
    words = os.environ.get("SSH_CONNECTION", "").split()
    return words[3] if len(words) == 4 and words[3].isdigit() else "22"


def _run(command: list[str], say: Say) -> bool:
    changed: bool | None = None
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        for line in process.stdout or ():
            if line.startswith(_RESULT):
                changed = '"changed": true' in line
            elif line.strip() != "still at work":
                say(f"    {here(line.rstrip())}")
        status = process.wait()
    finally:
        # Ctrl-C: what apt had begun is ended in good order by the next run.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)
        if process.stdout:
            process.stdout.close()
    if status or changed is None:
        raise DemoError(
            f"the installation failed (status {status}): see above",
            "the whole log is /var/log/deployment-flow/provision.log; correct the cause and run "
            "the command again, or take everything back with `remove`",
        )
    return changed


def put_on_path(say: Callable[[str], None]) -> None:
    """This very script as /usr/local/sbin/feature-demo.sh, for updates and the end."""
    text = script.render()
    if COMMAND.exists() and COMMAND.read_text("utf-8") == text:
        return
    new = COMMAND.with_suffix(".new")
    new.write_text(text, "utf-8")
    new.chmod(0o755)
    new.rename(COMMAND)
    say(f"this script is on PATH now: {shlex.quote(COMMAND.name)}")
