"""Processes that outlive the command that starts them, found again by a pid file."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Those this very process started: their end has to be collected, and Python warns of
# one that is forgotten while it runs.
_CHILDREN: dict[int, "subprocess.Popen[bytes]"] = {}


@dataclass(frozen=True)
class Detached:
    """One process of the sandbox. `mark` is a word of its command line that tells it."""

    name: str
    mark: str
    directory: Path

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.directory / "logs" / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return self.directory / "run" / f"{self.name}.pid"

    def pid(self) -> int | None:
        """Its pid while it lives; a pid file left behind by a dead one counts for nothing."""
        try:
            pid = int(self._pid_file.read_text())
        except (OSError, ValueError):
            return None
        child = _CHILDREN.get(pid)
        if child is not None:
            # Its command line is not there yet in the moment it starts.
            return pid if child.poll() is None else None
        return pid if is_alive(pid, self.mark) else None

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], directory: Path
    ) -> None:
        """Start it unless it lives; it keeps running when this process ends."""
        if self.pid() is not None:
            return
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                cwd=directory,
                start_new_session=True,
            )
        _CHILDREN[process.pid] = process
        self._pid_file.write_text(str(process.pid))

    def stop(self, seconds: float = 10.0) -> None:
        """End it, asking first; returns when it is gone."""
        pid = self.pid()
        if pid is not None:
            for sign in (signal.SIGTERM, signal.SIGKILL):
                os.kill(pid, sign)
                if _gone(pid, self.mark, seconds):
                    break
        self._pid_file.unlink(missing_ok=True)

    def last_words(self, lines: int = 8) -> str:
        """The end of its log."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def is_alive(pid: int, mark: str) -> bool:
    """Whether the process lives and is the one meant; pids are given out again."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return pid > 0 and state != "Z" and mark.encode() in command


def _gone(pid: int, mark: str, seconds: float) -> bool:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if pid in _CHILDREN:
            _CHILDREN[pid].poll()
        if not is_alive(pid, mark):
            return True
        time.sleep(0.05)
    return False
