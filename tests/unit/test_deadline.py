"""Our own deadline for record sets: when it passes, and whose provider is ended."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from planning import deadline
from planning.deadline import PROVIDER, Deadline, Process, listed, providers


def watched(steps: str, seconds: float = 0.05) -> tuple[list[str], Deadline]:
    """What was late, of steps like "+a -a": begun and ended at once, then all are waited for."""
    late: list[str] = []
    timer = Deadline(seconds, late.append)

    async def run() -> None:
        for step in steps.split():
            sign, name = step[0], step[1:]
            if sign == "+":
                timer.start(name, f"step {name}")
            else:
                timer.stop(name)
        await asyncio.sleep(seconds * 3)

    asyncio.run(run())
    return late, timer


def test_a_step_that_does_not_end_is_told_of_once_however_many_there_are() -> None:
    late, timer = watched("+a +b")
    assert late == ["step a"]
    assert timer.passed


@pytest.mark.parametrize("steps", ["+a -a", "+a -a +b -b", "+a +a -a", "-a"])
def test_a_step_that_ends_in_time_is_forgotten(steps: str) -> None:
    late, timer = watched(steps)
    assert late == []
    assert not timer.passed


class Clock:
    """An event loop's timers, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, asyncio.TimerHandle]] = []

    def call_later(self, seconds: float, work: Any, *arguments: Any) -> asyncio.TimerHandle:
        """As the loop's."""
        handle = asyncio.TimerHandle(self.now + seconds, work, arguments, cast(Any, self))
        self._timers.append((self.now + seconds, handle))
        return handle

    def get_debug(self) -> bool:
        """Asked by the handles."""
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self._timers = [each for each in self._timers if each[1] is not handle]

    def passes(self, seconds: float) -> None:
        """Time goes by."""
        self.now += seconds
        for when, handle in self._timers[:]:
            if when <= self.now:
                handle._run()


def test_a_step_that_is_tried_again_has_its_whole_time_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, late = Clock(), list[str]()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    timer = Deadline(20, late.append)
    timer.start("a", "the first try")
    clock.passes(12)
    timer.start("a", "the second try")
    clock.passes(12)
    assert late == []
    clock.passes(12)
    assert late == ["the second try"]


# An engine (10) with its program (12) below its language host (11), and another one's (20).
TABLE = {
    1: Process(0, "init"),
    10: Process(1, "pulumi"),
    11: Process(10, "pulumi-language-python"),
    12: Process(11, "python3"),
    13: Process(10, PROVIDER),
    14: Process(10, "pulumi-resource-command"),
    20: Process(1, "pulumi"),
    22: Process(20, "python3"),
    23: Process(20, f"{PROVIDER}.exe"),
}


@pytest.mark.parametrize(
    ("own", "found"),
    [(12, [13]), (22, [23]), (11, [13]), (1, []), (99, [])],
)
def test_only_the_own_engines_provider_is_found(own: int, found: list[int]) -> None:
    assert providers(TABLE, own) == found


def test_without_a_provider_or_with_a_table_that_goes_in_circles_none_is_found() -> None:
    assert providers({1: Process(0, "init"), 5: Process(1, "python3")}, 5) == []
    assert providers({5: Process(6, "a"), 6: Process(5, "b")}, 5) == []


def test_the_process_table_is_read_where_there_is_no_proc() -> None:
    text = f"    1     0 /sbin/launchd\n  501     1 /Users/A Da/plugins/x/{PROVIDER}\n  502 1\n"
    assert listed(text) == {1: Process(0, "launchd"), 501: Process(1, PROVIDER)}


@pytest.fixture
def provider(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A child of ours that is called as the provider is, and takes no hint to end."""
    program = tmp_path / PROVIDER
    program.symlink_to("/bin/sh")
    running = subprocess.Popen([str(program), "-c", "trap '' TERM INT; read x"], stdin=-1)
    with running:
        yield running
        running.kill()


def test_the_provider_is_ended_from_below_its_engine(
    provider: "subprocess.Popen[bytes]",
) -> None:
    # The program's place is two below the engine, which is this test.
    code = (
        "import os, sys; sys.path.insert(0, '.'); from planning import deadline\n"
        "if os.fork() == 0: os._exit(not deadline.end_provider())\n"
        "sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))"
    )
    root = Path(deadline.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, timeout=30, check=False)
    assert done.returncode == 0
    assert provider.wait(5) == -9
