"""The lock that a killed engine leaves in a bucket: the real engine, a real S3 gateway."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flow import engine, locks
from flow.errors import FlowError
from flow.lock_notes import LockNotes, Note
from flow.locks import BUSY
from flow.stacks import Stacks
from sandbox.services import object_store
from sandbox.services.object_store import ObjectStore
from tests.contract.object_keys import KEYS
from toolchain.install import PROJECT, Installation

STACK = "dev"
TYPED = ["/opt/team/.venv/bin/flow", "deploy", STACK, "--version", "1.4.0", "-c", "word=hush-hush"]
A_RUN = "https://github.com/acme/fieldwork/actions/runs/7"
PROGRAM = """import pathlib, time
pathlib.Path("running").touch()
while pathlib.Path("wait").exists():
    time.sleep(0.05)
"""


@pytest.fixture
def folder(tmp_path: Path, objects_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose `up` goes on while a file is there; what is noted is its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "noted"))
    monkeypatch.delenv("RUNNER_ENVIRONMENT", raising=False)
    monkeypatch.setattr(sys, "argv", TYPED)
    for name, value in (("REPOSITORY", "acme/fieldwork"), ("RUN_ID", "7")):
        monkeypatch.setenv(f"GITHUB_{name}", value)
    monkeypatch.delenv("GITHUB_SERVER_URL", raising=False)
    for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(objects_folder / "ca/ca.pem"))
    made = tmp_path / "small"
    made.mkdir()
    (made / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
    (made / "__main__.py").write_text(PROGRAM)
    (made / "wait").touch()
    return made


@pytest.fixture
def environment(folder: Path, object_store_here: ObjectStore) -> dict[str, str]:
    """What opens a state in the bucket."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{PROJECT / '.toolchain/bin'}:/usr/bin:/bin",
        "PULUMI_HOME": str(Installation().home),
        "PULUMI_BACKEND_URL": (
            f"s3://states/{folder.parent.name}?endpoint={object_store_here.endpoint}"
            f"&region={object_store.REGION}&s3ForcePathStyle=true"
            "&request_checksum_calculation=when_supported"
        ),
        "PULUMI_CONFIG_PASSPHRASE": "correct horse",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "AWS_ACCESS_KEY_ID": KEYS["access_key"],
        "AWS_SECRET_ACCESS_KEY": KEYS["secret_key"],
    }


@pytest.fixture
def stacks(folder: Path, environment: dict[str, str]) -> Stacks:
    """Stacks in the bucket, of which one was made."""
    made = Stacks(folder, environment, PROJECT / ".toolchain/bin/pulumi")
    made.create(STACK)
    return made


@pytest.fixture
def notes(stacks: Stacks) -> LockNotes:
    """The notes beside their state."""
    return stacks._notes(STACK)


@pytest.fixture
def killed(folder: Path, stacks: Stacks) -> Stacks:
    """Those stacks, the one locked by an engine that was killed."""

    def kill() -> None:
        _until(lambda: (folder / "running").exists())
        for process in list(engine._running):
            os.kill(process.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(FlowError, match=f"the update of {STACK} failed"):
        stacks.up(STACK)
    thread.join()
    (folder / "wait").unlink()
    return stacks


def _until(seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not seen() and time.monotonic() < deadline:
        time.sleep(0.05)


@contextmanager
def elsewhere(folder: Path) -> Iterator[None]:
    """As on another machine: of another name, and with nothing noted of this one's engines."""
    with pytest.MonkeyPatch.context() as there:
        there.setenv("XDG_STATE_HOME", str(folder / "of another machine"))
        there.setattr(socket, "gethostname", lambda: "desk")
        yield


def test_it_is_broken_on_the_machine_that_has_noted_the_engine(
    killed: Stacks, notes: LockNotes, capsys: pytest.CaptureFixture[str]
) -> None:
    killed.up(STACK)
    assert "is broken: that process is dead" in capsys.readouterr().err
    assert killed.holders(STACK) == []
    assert notes.names(STACK) == []


def test_it_stays_on_another_machine_of_that_name_and_is_told(
    killed: Stacks, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "of another machine"))
    with pytest.raises(FlowError, match="on a machine of this one's name") as raised:
        killed.up(STACK)
    assert raised.value.code == BUSY
    assert f"flow unlock {STACK}" in raised.value.remedy
    assert len(killed.holders(STACK)) == 1


def test_another_machine_is_told_the_command_and_its_run_and_no_proof_of_death(
    killed: Stacks, notes: LockNotes, folder: Path
) -> None:
    with elsewhere(folder):
        with pytest.raises(FlowError) as raised:
            killed.up(STACK)
        told = "on another machine than this: flow deploy dev --version 1.4.0 -c …"
        assert f"{told} ({A_RUN})" in raised.value.problem
        assert raised.value.code == BUSY
        (holder,) = killed.holders(STACK)
        assert not locks.is_dead(holder)
        assert len(notes.names(STACK)) == 1  # that of who was refused is gone
        killed.unlock(STACK, [holder])
    assert notes.names(STACK) == []
    assert killed.holders(STACK) == []


def test_a_note_that_a_killed_update_left_goes_with_the_next_one_and_with_the_stack(
    stacks: Stacks, notes: LockNotes, folder: Path
) -> None:
    (folder / "wait").unlink()
    left = Note(STACK, "runner", 4711, time.time() - 3600, "flow deploy dev")
    assert notes.write(left)
    assert stacks.names() == [STACK]
    copies = stacks.copies(STACK)
    assert copies is not None
    assert copies.found(STACK) == []
    stacks.up(STACK)
    assert notes.names(STACK) == []
    assert notes.write(left)
    stacks.destroy(STACK)
    assert notes.names(STACK) == []
    assert notes.write(left)
    stacks.remove(STACK)
    assert notes.names(STACK) == []


@pytest.mark.parametrize("end", [None, signal.SIGKILL])
def test_plain_pulumi_is_noted_by_flow_exec_and_its_note_goes_with_its_lock(
    end: signal.Signals | None,
    stacks: Stacks,
    notes: LockNotes,
    folder: Path,
    environment: dict[str, str],
) -> None:
    typed = "exec dev -- pulumi up -s dev --yes --skip-preview --non-interactive"
    around = {**os.environ, **environment, "PULUMI_OPTION_CWD": str(folder)}
    program = Path(sys.executable).with_name("flow")
    running = subprocess.Popen(
        [program, *typed.split()], cwd=PROJECT, env={**around, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    _until(lambda: (folder / "running").exists() and notes.names(STACK))
    with elsewhere(folder):
        (holder,) = stacks.holders(STACK)
        assert holder.pid == running.pid
        assert str(holder.note) == f"flow {typed} ({A_RUN})"
        if end:
            os.killpg(running.pid, end)
        (folder / "wait").unlink()
        assert running.wait(60) == (-end if end else 0)
        if not end:
            _until(lambda: notes.names(STACK) == [])
            assert notes.names(STACK) == []
            return
        time.sleep(2)  # its keeper has looked by then
        (holder,) = stacks.holders(STACK)
        assert holder.note is not None
        stacks.unlock(STACK, [holder])
        assert notes.names(STACK) == []
