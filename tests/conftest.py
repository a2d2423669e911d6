"""The sandbox that every test needing real servers shares."""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from sandbox.lifecycle import VALIDATE, Sandbox

ROOT = Path(__file__).resolve().parents[1]
# They restart what others use, end all faults, or move the sandbox's clock.
ALONE = frozenset({
    "tests/flow/test_docs_commands.py", "tests/flow/test_rehearsal.py",
    "tests/sandbox/test_services_cycle.py", "tests/sandbox/test_services_lifecycle.py",
})  # fmt: skip

# Two processes share the machine with servers: how long an example takes says nothing.
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")

# A shell starts a job in the background with SIGINT ignored, and what the job starts inherits
# that: tests that interrupt something would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def sandbox(shared_folder: Path) -> Iterator[Sandbox]:
    """A sandbox that is up: one that runs already is used, one started here is stopped again.

    One started here compares every answer it gives with the API's description; none may differ.
    """
    os.environ[VALIDATE] = "1"
    directory = Path(os.environ.get("FLOW_SANDBOX_DIR") or ROOT / ".sandbox")
    shared = Sandbox(directory)
    log = directory / "logs" / "violations.log"
    known = violations(log)
    users = shared_folder / "sandbox-users"
    own = users / str(os.getpid())
    with held(shared_folder / "sandbox-users.lock", fcntl.LOCK_EX):
        if not users.exists():
            users.mkdir()
            if shared.status()["running"]:
                (users / "ran-before").touch()
        own.touch()
    shared.up(print)
    yield shared
    with held(shared_folder / "sandbox-users.lock", fcntl.LOCK_EX):
        own.unlink()
        if not list(users.iterdir()):
            shared.down()
            users.rmdir()
    now = violations(log)
    assert (now[len(known) :] if now[: len(known)] == known else now) == []


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run, for all its processes."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="module", autouse=True)
def turn(request: pytest.FixtureRequest, shared_folder: Path) -> Iterator[None]:
    """Modules of ALONE have the sandbox for themselves; the others share it."""
    module = request.node.nodeid
    if not stream(module):
        yield
        return
    how = fcntl.LOCK_EX if module in ALONE else fcntl.LOCK_SH
    with ExitStack() as mine:
        # Who waits to be alone is not overtaken.
        with held(shared_folder / "sandbox-queue.lock", fcntl.LOCK_EX):
            mine.enter_context(held(shared_folder / "sandbox.lock", how))
        yield


@contextmanager
def held(file: Path, how: int) -> Iterator[None]:
    """Hold a lock that other processes of this run wait for."""
    with file.open("a") as lock:
        fcntl.flock(lock, how)
        yield


def violations(log: Path) -> list[str]:
    """Answers of a sandbox's API that differed from its description."""
    return log.read_text().splitlines() if log.exists() else []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses the sandbox is marked so: `-m "not sandbox"` needs neither root nor Docker."""
    for item in items:
        if "sandbox" in getattr(item, "fixturenames", ()):
            item.add_marker("sandbox")
            if not stream(item.nodeid):
                raise pytest.UsageError(f"{item.nodeid} uses the sandbox: it has to be with those")


def stream(test: str) -> str:
    """Which tests of the sandbox one belongs to, by where it is; empty for those that use none.

    Divided so that both take about as long.
    """
    folder, _, file = test.partition("::")[0].rpartition("/")
    # The sandbox's GitHub is started by these tests themselves, each for itself.
    if file.startswith("test_github_") or not folder.startswith(("tests/flow", "tests/sandbox")):
        return ""
    if folder == "tests/flow" and not file.startswith(("test_faults_", "test_flow_")):
        return "engine"
    return "servers"


class TwoStreams(LoadScopeScheduling):  # type: ignore[misc]  # of a package without types
    """There is one sandbox a machine: tests of one kind use it one after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return stream(nodeid) or nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TwoStreams:
    """`make test` has two processes; the rest runs in the one that is done first."""
    return TwoStreams(config, log)
