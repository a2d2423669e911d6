"""Runs one job with act, in a folder and with a home of its own, and says how it went."""

import json
import os
import secrets
import selectors
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from sandbox.github.actions import act_files
from sandbox.github.actions.act_files import Work
from sandbox.github.actions.act_log import JobLog, StepRecord
from sandbox.github.actions.masking import Masker
from sandbox.github.actions.step_processes import MARK, StepProcesses

ACT = Path(__file__).resolve().parents[3] / ".toolchain" / "bin" / "act"
_LOOK_SECONDS = 0.1
_CHUNK = 65536
# What a job may use of the machine's own; all else of the person's environment stays out.
_INHERITED = ("PATH", "LANG", "TZ")


# act gives every step a terminal; GitHub gives none, and programs behave differently without: they
# draw nothing and ask nobody. Where there is no device to make one from, act goes on with pipes.
_WITHOUT_TERMINAL = (
    *("unshare", "--mount", "--propagation", "slave"),
    *("sh", "-c", 'mount --bind /dev/null /dev/ptmx && exec "$@"', "sh"),
)


@cache
def _without_terminal() -> tuple[str, ...]:
    """What to put before act; nothing where this user may not mount."""
    try:
        done = subprocess.run(
            [*_WITHOUT_TERMINAL, "true"], capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return () if done.returncode else _WITHOUT_TERMINAL


@dataclass(frozen=True)
class Result:
    """How a job ended: success, failure or cancelled. `address` is its environment's."""

    conclusion: str
    outputs: Mapping[str, str] = field(default_factory=dict)
    address: str = ""


@dataclass
class Stop:
    """How a running job is told to end; `force` leaves nothing the time to say goodbye."""

    asked: threading.Event = field(default_factory=threading.Event)
    force: bool = False


def settings(directory: Path) -> dict[str, str]:
    """The runner's environment from `runner.json` beside the repositories; {} without one.

    It is read for each job, so that a change needs no restart.
    """
    try:
        known = json.loads((directory / "runner.json").read_text())
    except FileNotFoundError:
        return {}
    return {str(name): str(value) for name, value in known.get("environment", {}).items()}


class Runner:
    """Runs jobs on this machine, as a self-hosted runner does.

    scratch      where each job has its folder while it runs
    environment  what this runner has for every job (certificates, image names), read at its start
    now          the time as the API writes it
    """

    def __init__(
        self,
        scratch: Path,
        environment: Callable[[], Mapping[str, str]],
        now: Callable[[], str],
        act: Path = ACT,
    ) -> None:
        self._scratch = scratch
        self._environment = environment
        self._now = now
        self._act = act
        # What an earlier process left behind when it was killed.
        shutil.rmtree(scratch, ignore_errors=True)

    def run(
        self,
        work: Work,
        log: Path,
        mark: str,
        stop: Stop,
        steps: Callable[[list[StepRecord]], None] = lambda _steps: None,
        minutes: float = 360.0,
    ) -> Result:
        """Run it to its end; lines are appended to `log` as they come.

        mark   finds the job's processes (step_processes.py)
        steps  is told of the steps whenever one begins or ends
        """
        folder = self._scratch / secrets.token_hex(8)
        folder.mkdir(parents=True, mode=0o700)
        log.parent.mkdir(parents=True, exist_ok=True)
        masker = Masker(work.secrets.values())
        try:
            with log.open("a", encoding="utf-8", errors="replace", buffering=1) as lines:
                journal = JobLog(
                    work.job.steps,
                    masker,
                    lambda line: print(line, file=lines),
                    self._now,
                    lambda: steps(journal.steps),
                )
                journal.follow(work.name)
                conclusion = self._run(work, folder, journal, mark, stop, minutes)
                outputs = act_files.read_outputs(folder)
                address = outputs.pop(act_files.ADDRESS, "")
                told = {name: value for name, value in outputs.items() if not masker.hides(value)}
                for name in outputs.keys() - told.keys():
                    journal.line(f"##[warning]Skip output '{name}' since it may contain secret.")
                journal.finish(conclusion)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return Result(conclusion, told, address)

    def _run(
        self, work: Work, folder: Path, journal: JobLog, mark: str, stop: Stop, minutes: float
    ) -> str:
        if not self._act.exists():
            journal.line(f"##[error]{self._act} is missing; `make toolchain` builds it")
            return "failure"
        own = {**self._own(folder), **self._environment(), MARK: mark}
        marked = {**work.environment, MARK: mark, "ACTIONS_CACHE_URL": ""}
        arguments = act_files.write(replace(work, environment=marked), folder)
        if stop.asked.is_set():
            return "cancelled"
        process = subprocess.Popen(
            [*_without_terminal(), self._act, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=own,
            cwd=folder / "work",
            start_new_session=True,
        )
        processes = StepProcesses(process, mark)
        try:
            timed_out = self._follow(process, processes, journal, stop, minutes)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            processes.sweep()
        if timed_out:
            journal.line(
                f"##[error]The job has exceeded the maximum execution time of {minutes:g} minutes."
            )
        if stop.asked.is_set() or timed_out:
            journal.line("##[error]The operation was canceled.")
            return "cancelled"
        succeeded = journal.result == "success" and process.returncode is not None
        return "success" if succeeded else "failure"

    def _follow(
        self,
        process: "subprocess.Popen[bytes]",
        processes: StepProcesses,
        journal: JobLog,
        stop: Stop,
        minutes: float,
    ) -> bool:
        """Read until act has ended; whether its time ran out."""
        assert process.stdout  # noqa: S101 - it is a pipe  # nosec B101
        give_up = time.monotonic() + minutes * 60
        rest, timed_out, has_ended = b"", False, False
        os.set_blocking(process.stdout.fileno(), False)
        with process.stdout, selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                if selector.select(_LOOK_SECONDS):
                    chunk = process.stdout.read(_CHUNK)
                    if chunk == b"":
                        break
                    *lines, rest = (rest + (chunk or b"")).split(b"\n")
                    for line in lines:
                        journal.take(line.decode(errors="replace"))
                elif has_ended:
                    break  # a process that was left behind still holds the pipe
                # Looked at again once it has ended: its last words may have come in between.
                has_ended = process.poll() is not None
                timed_out = timed_out or time.monotonic() > give_up
                if stop.force and stop.asked.is_set():
                    processes.kill()
                elif stop.asked.is_set() or timed_out:
                    processes.stop()
        if rest:
            journal.take(rest.decode(errors="replace"))
        return timed_out

    @staticmethod
    def _own(folder: Path) -> dict[str, Any]:
        """A home for this job alone, with the machine's caches, or every job would start cold."""
        home = folder / "home"
        home.mkdir(mode=0o700)
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return {
            **{name: os.environ[name] for name in _INHERITED if name in os.environ},
            "HOME": str(home),
            "XDG_CACHE_HOME": cache,
            "XDG_CONFIG_HOME": str(home / ".config"),
            "ACT_DISABLE_VERSION_CHECK": "1",
        }
