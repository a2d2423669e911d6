"""What act says at the very moment it ends is read, though something it left holds its output."""

import os
import subprocess
from pathlib import Path
from typing import Any, cast

from sandbox.github.actions.runner import Runner, Stop


class Ending:
    """A process whose last line comes between our look at its output and our look at its end."""

    def __init__(self) -> None:
        read, self.held = os.pipe()
        self.stdout = open(read, "rb")  # noqa: PTH123, SIM115 (the runner closes it)
        self._ended = False

    def poll(self) -> int:
        """As subprocess.Popen's."""
        if not self._ended:
            self._ended = True
            os.write(self.held, b"the job succeeded\n")
        return 0


class Journal:
    """What was read."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def take(self, line: str) -> None:
        """As JobLog's."""
        self.lines.append(line)


def test_a_line_that_comes_as_the_process_ends_is_not_lost(tmp_path: Path) -> None:
    process, journal = Ending(), Journal()
    runner = Runner(tmp_path / "scratch", dict, str)
    popen = cast("subprocess.Popen[bytes]", process)
    timed_out = runner._follow(popen, cast(Any, None), cast(Any, journal), Stop(), 1)
    os.close(process.held)
    assert not timed_out
    assert journal.lines == ["the job succeeded"]
