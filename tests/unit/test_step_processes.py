"""A job that is cancelled: which of a step's processes hear of it, as on GitHub."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.github.actions import step_processes
from sandbox.github.actions.step_processes import MARK, StepProcesses

# What act does: a session of its own for each step, of which it is the parent.
ACT = """
import signal, subprocess, sys
signal.signal(signal.SIGINT, lambda *_: sys.exit(1))
subprocess.run(["bash", "-e", sys.argv[1]], start_new_session=True)
"""
WORKER = """
import pathlib, sys, time
heard = pathlib.Path(sys.argv[1])
try:
    heard.write_text("it runs")
    time.sleep(60)
except KeyboardInterrupt:
    heard.write_text("heard")
"""

Cancelled = Callable[[str], str]


@pytest.fixture
def cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cancelled]:
    """Start a step that runs the worker so, cancel it; what the worker says at the end."""
    monkeypatch.setattr(step_processes, "_INTERRUPT_SECONDS", 1.0)
    monkeypatch.setattr(step_processes, "_TERMINATE_SECONDS", 0.5)
    mark = step_processes.new_mark()

    def cancel(before: str) -> str:
        heard, step = tmp_path / "heard", tmp_path / "step"
        (tmp_path / "worker.py").write_text(WORKER)
        step.write_text(f"{before} {sys.executable} {tmp_path}/worker.py {heard}\n")
        act = subprocess.Popen([sys.executable, "-c", ACT, str(step)], env={MARK: mark})
        until = time.monotonic() + 20
        while not heard.exists() or heard.read_text() != "it runs":
            assert time.monotonic() < until, "the worker never began"
            time.sleep(0.02)
        processes = StepProcesses(act, mark)
        while act.poll() is None:
            assert time.monotonic() < until, "it never ended"
            processes.stop()
            time.sleep(0.05)
        return heard.read_text()

    yield cancel
    step_processes.sweep(mark)


def test_what_runs_in_the_shells_place_hears_that_a_run_was_cancelled(
    cancelled: Cancelled,
) -> None:
    assert cancelled("exec") == "heard"


def test_what_a_shell_waits_for_hears_nothing(cancelled: Cancelled) -> None:
    assert cancelled("env") == "it runs"
