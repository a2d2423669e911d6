"""The sandbox that every test needing real servers shares."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses the sandbox is marked so: `-m "not sandbox"` needs neither root nor Docker."""
    for item in items:
        if "sandbox" in getattr(item, "fixturenames", ()):
            item.add_marker("sandbox")
            if not in_the_sandbox(item.nodeid):
                raise pytest.UsageError(f"{item.nodeid} uses the sandbox: it has to be with those")


def in_the_sandbox(test: str) -> bool:
    """Whether a test may use the sandbox, by where it is."""
    # The sandbox's GitHub is started by these tests themselves, each for itself.
    return test.startswith(("tests/flow/", "tests/sandbox/")) and "/test_github_" not in test


class OneSandbox(LoadScopeScheduling):  # type: ignore[misc]  # of a package without types
    """Tests that use the sandbox run one after the other: there is one a machine."""

    def _split_scope(self, nodeid: str) -> str:
        return "sandbox" if in_the_sandbox(nodeid) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneSandbox:
    """`make test` runs the others beside them."""
    return OneSandbox(config, log)
