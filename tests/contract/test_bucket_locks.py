"""The lock that a killed engine leaves in a bucket: the real engine, a real S3 gateway."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from flow import engine
from flow.errors import FlowError
from flow.stacks import BUSY, Stacks
from sandbox.services import object_store
from sandbox.services.object_store import ObjectStore
from tests.contract.object_keys import KEYS
from toolchain.install import PROJECT, Installation

STACK = "dev"
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
    for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(objects_folder / "ca/ca.pem"))
    made = tmp_path / "small"
    made.mkdir()
    (made / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
    (made / "__main__.py").write_text(PROGRAM)
    (made / "wait").touch()
    return made


@pytest.fixture
def killed(folder: Path, object_store_here: ObjectStore) -> Stacks:
    """Stacks in a bucket, of which one is locked by an engine that was killed."""
    environment = {
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
    stacks = Stacks(folder, environment, PROJECT / ".toolchain/bin/pulumi")
    stacks.create(STACK)

    def kill() -> None:
        deadline = time.monotonic() + 60
        while not (folder / "running").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        for process in list(engine._running):
            os.kill(process.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(FlowError, match=f"the update of {STACK} failed"):
        stacks.up(STACK)
    thread.join()
    (folder / "wait").unlink()
    return stacks


def test_it_is_broken_on_the_machine_that_has_noted_the_engine(
    killed: Stacks, capsys: pytest.CaptureFixture[str]
) -> None:
    killed.up(STACK)
    assert "is broken: that process is dead" in capsys.readouterr().err
    assert killed.holders(STACK) == []


def test_it_stays_on_another_machine_of_that_name_and_is_told(
    killed: Stacks, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "of another machine"))
    with pytest.raises(FlowError, match="on a machine of this one's name") as raised:
        killed.up(STACK)
    assert raised.value.code == BUSY
    assert f"flow unlock {STACK}" in raised.value.remedy
    assert len(killed.holders(STACK)) == 1
