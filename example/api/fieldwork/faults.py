"""Faults a version can be built with (`build.py --fault NAME`), to rehearse what a deploy does.

`migration`: its migrations fail. `crash`: the API ends right after it starts. `health`: the API
runs and answers 503 to every health check. `memory`: the API takes memory until it is killed.
"""

import os
from typing import Final

NAMES: Final = ("migration", "crash", "health", "memory")


def present(name: str) -> bool:
    """Whether this version was built with the fault `name`, one of `NAMES`."""
    return os.environ.get("FIELDWORK_FAULT") == name


def at_start() -> None:
    """Does what the faults `crash` and `memory` do when the API starts."""
    if present("crash"):
        raise SystemExit("fieldwork: this version was built to crash at its start")
    if present("memory"):
        taken: list[bytearray] = []
        while True:
            taken.append(bytearray(b"x" * 2**24))
