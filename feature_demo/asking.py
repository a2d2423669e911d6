"""Questions on the person's terminal, whatever stdin is: `curl … | sh` has it taken."""

import getpass
from typing import Final, TextIO

from feature_demo.words import NAME, DemoError

TERMINAL: Final = "/dev/tty"


class Terminal:
    """Asks one question at a time. `unattended` never asks."""

    def __init__(self, unattended: bool) -> None:
        self._unattended = unattended
        self._in: TextIO | None = None
        self._out: TextIO | None = None
        if not unattended:
            try:
                self._in, self._out = open(TERMINAL), open(TERMINAL, "w")  # noqa: PTH123, SIM115
            except OSError:
                self._in = self._out = None

    @property
    def can_ask(self) -> bool:
        """Whether there is somebody to ask."""
        return self._in is not None

    def text(self, question: str, flag: str, default: str | None = None) -> str:
        """A line; Enter takes the default. None as default: an answer is needed."""
        if not self.can_ask:
            if default is not None:
                return default
            raise DemoError(f"{flag} is missing", f"give {flag}, or see {NAME} --help")
        shown = f" [{default}]" if default else ""
        while True:
            answer = self._line(f"{question}{shown}: ")
            if answer or default is not None:
                return answer or default or ""

    def secret(self, question: str, flag: str) -> str:
        """A line that is not shown while it is typed."""
        if not self.can_ask:
            raise DemoError(f"{flag} is missing", f"give {flag} with a file that holds it")
        return getpass.getpass(f"{question} (is not shown): ")

    def agrees(self, question: str) -> bool:
        """Whether the answer begins with y; unattended, who gave --yes agreed."""
        if self._unattended:
            return True
        if not self.can_ask:
            raise DemoError(
                "there is no terminal to ask on", "give --yes to go on without questions"
            )
        return self._line(f"{question} [y/N] ").lower().startswith("y")

    def _line(self, prompt: str) -> str:
        if self._in is None or self._out is None:
            return ""
        self._out.write(prompt)
        self._out.flush()
        line = self._in.readline()
        if not line:
            raise DemoError("the terminal was closed before the answer", f"run {NAME} again")
        return line.strip()
