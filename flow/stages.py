"""Stages of a long run, timed and shown while they happen.

On a terminal: one live line a stage, with the last line of what it runs. Anywhere
else (CI, a pipe): plain lines, one at a stage's start and one at its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from flow import terminal

MARKS = {"done": "[green]✓[/]", "failed": "[red]✗[/]", "stopped": "[yellow]–[/]"}


@dataclass
class Stage:
    """One stage; `seconds` is the time it took, or has taken so far."""

    name: str
    state: Literal["running", "done", "failed", "stopped"] = "running"
    seconds: float = 0.0
    result: str = ""
    line: str = ""

    def note(self, line: str) -> None:
        """The last line of what the stage runs, shown while it runs."""
        if line.strip():
            self.line = line.strip()


class Stages:
    """Stages in order. Use as a context manager; `with stages.stage("…") as stage:` inside it."""

    def __init__(
        self, console: Console = terminal.progress, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.all: list[Stage] = []
        self._console = console
        self._clock = clock
        self._started = 0.0
        self._spinner = Spinner("dots")
        self._live = (
            Live(get_renderable=self._render, console=console, refresh_per_second=8, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> Stages:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Time what happens inside; its last `stage.result` is shown beside the seconds."""
        stage = Stage(name)
        self.all.append(stage)
        self._started = self._clock()
        if not self._live:
            self._print(f"… {name}")
        try:
            yield stage
        except Exception:
            self._end(stage, "failed")
            raise
        except BaseException:
            self._end(stage, "stopped")
            raise
        self._end(stage, "done")

    def table(self) -> Table:
        """Every stage so far with its seconds, and their sum."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("")
        table.add_column("stage")
        table.add_column("seconds", justify="right")
        table.add_column("result", overflow="fold")
        for stage in self.all:
            table.add_row(
                MARKS.get(stage.state, ""),
                Text(stage.name),
                f"{stage.seconds:.1f}",
                Text(stage.result),
            )
        table.add_row("", "total", f"{sum(stage.seconds for stage in self.all):.1f}", "")
        return table

    def output(self) -> list[dict[str, Any]]:
        """Every stage so far, as JSON has it: {"stage", "state", "seconds", "result"}."""
        return [
            {
                "stage": each.name,
                "state": each.state,
                "seconds": round(each.seconds, 1),
                "result": each.result,
            }
            for each in self.all
        ]

    def _end(self, stage: Stage, state: Literal["done", "failed", "stopped"]) -> None:
        stage.state = state
        stage.seconds = self._clock() - self._started
        mark = {"done": "✓", "failed": "✗", "stopped": "–"}[state]
        told = f" {stage.result}" if stage.result else ""
        self._print(f"{mark} {stage.name} ({stage.seconds:.1f} s){told}")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _render(self) -> RenderableType:
        running = self.all[-1] if self.all and self.all[-1].state == "running" else None
        if running is None:
            return Text("")
        told = f"{running.name} {self._clock() - self._started:.0f} s  "
        # One line, whatever the program said: a folded one would jump about.
        room = max(self._console.width - len(told) - 3, 0)
        self._spinner.update(text=Text.assemble((told, "bold"), (running.line[:room], "dim")))
        return Group(self._spinner)
