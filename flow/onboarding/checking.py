"""Checks side by side, each for a bounded time, with what was seen and what mends it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from flow.errors import FlowError

SECONDS = 30.0
"""A state in a bucket is asked by the engine, which takes seconds for it on a busy machine."""
WORKERS = 8
_TICK = 0.1

State = Literal["ok", "warning", "missing"]


@dataclass(frozen=True)
class Check:
    """One thing looked at. `mend` is the command, or the step, that puts it right."""

    name: str
    state: State
    seen: str
    mend: str = ""

    def output(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


Look = Callable[[], Sequence[Check]]


def ok(name: str, seen: str) -> Check:
    """As it has to be."""
    return Check(name, "ok", seen)


def warning(name: str, seen: str, mend: str) -> Check:
    """Works, and may not stay so."""
    return Check(name, "warning", seen, mend)


def missing(name: str, seen: str, mend: str) -> Check:
    """A deploy cannot go through without it."""
    return Check(name, "missing", seen, mend)


def run(
    looks: Sequence[tuple[str, Look]],
    report: Callable[[str], object],
    *,
    seconds: float = SECONDS,
    workers: int = WORKERS,
) -> list[Check]:
    """The results of every look, in the order given; `report` is told as each ends.

    One that is not over after `seconds` is left behind and counts as missing; an error is a
    result, too.
    """
    waiting = list(enumerate(looks))
    done: queue.Queue[tuple[int, Sequence[Check]]] = queue.Queue()
    running: dict[int, float] = {}
    found: dict[int, Sequence[Check]] = {}
    while waiting or running:
        while waiting and len(running) < workers:
            number, (name, look) = waiting.pop(0)
            running[number] = time.monotonic()
            # As a daemon: one that hangs does not keep the command from ending.
            threading.Thread(target=_look, args=(done, number, name, look), daemon=True).start()
        for number, checks in _arrived(done):
            if running.pop(number, None) is not None:
                found[number] = checks
                report(looks[number][0])
        for number, started in list(running.items()):
            if time.monotonic() - started > seconds:
                del running[number]
                name = looks[number][0]
                found[number] = [
                    missing(
                        name, f"no answer in {seconds:.0f} s", "check the network, run it again"
                    )
                ]
                report(name)
    return [each for number in range(len(looks)) for each in found[number]]


def _arrived(
    done: queue.Queue[tuple[int, Sequence[Check]]],
) -> Iterator[tuple[int, Sequence[Check]]]:
    try:
        yield done.get(timeout=_TICK)
        while True:
            yield done.get_nowait()
    except queue.Empty:
        return


def _look(
    done: queue.Queue[tuple[int, Sequence[Check]]], number: int, name: str, look: Look
) -> None:
    try:
        done.put((number, list(look())))
    except FlowError as error:
        done.put((number, [missing(name, error.problem, error.remedy)]))
    except Exception as error:  # noqa: BLE001 (a check that breaks is a finding, not the end of all)
        # Its type alone: the words of a foreign error may hold what was sent.
        done.put((number, [missing(name, f"could not be looked at: {type(error).__name__}", "")]))
