"""The sandbox that every test needing real servers shares."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.lifecycle import VALIDATE, Sandbox

ROOT = Path(__file__).resolve().parents[1]

# A shell starts a job in the background with SIGINT ignored, and what the job starts inherits
# that: tests that interrupt something would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that is up: one that runs already is used, one started here is stopped again.

    One started here compares every answer it gives with the API's description; none may differ.
    """
    os.environ[VALIDATE] = "1"
    directory = Path(os.environ.get("FLOW_SANDBOX_DIR") or ROOT / ".sandbox")
    shared = Sandbox(directory)
    log = directory / "logs" / "violations.log"
    known = violations(log)
    ran_before = shared.status()["running"]
    shared.up(print)
    yield shared
    if not ran_before:
        shared.down()
    now = violations(log)
    assert (now[len(known) :] if now[: len(known)] == known else now) == []


def violations(log: Path) -> list[str]:
    """Answers of a sandbox's API that differed from its description."""
    return log.read_text().splitlines() if log.exists() else []


# First, so that what hands tests to processes sees the marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses the sandbox is marked so: `-m "not sandbox"` needs neither root nor Docker.

    Those run one after the other, in one process: there is one sandbox a machine. `make test` runs
    the others beside them.
    """
    for item in items:
        if "sandbox" in getattr(item, "fixturenames", ()):
            item.add_marker("sandbox")
        if item.get_closest_marker("sandbox"):
            item.add_marker(pytest.mark.xdist_group("sandbox"))
