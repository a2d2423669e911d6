"""The real engine in a directory of its own, with one plugin cache or another."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from flow.backups.bucket import Place
from sandbox.services.authority import Authority
from sandbox.services.object_store import ObjectStore
from tests.contract.object_keys import KEYS
from toolchain.install import PROJECT, Installation

PROGRAMS = Path(__file__).parent


@dataclass(frozen=True)
class Run:
    """One `pulumi up` or `destroy`: exit status, what it said, and errors by resource name."""

    status: int
    said: str
    errors: dict[str, str]
    #: What was done to each resource, by its name: create, update, replace, same, delete.
    operations: dict[str, str]


@dataclass(frozen=True)
class Engine:
    """A stack of one of the programs beside this file, on a file backend below `directory`."""

    directory: Path
    home: Path
    program: str = "commands"
    stack: str = "contract"

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a pulumi command and return it finished, whatever its exit status."""
        installation = Installation()
        path = [str(Path(sys.executable).parent), str(installation.bin), os.environ["PATH"]]
        return subprocess.run(
            ["pulumi", *arguments, "--non-interactive", "--cwd", str(self.directory)],
            env={
                **os.environ,
                "PATH": os.pathsep.join(path),
                "PULUMI_HOME": str(self.home),
                "PULUMI_BACKEND_URL": (self.directory / "state").as_uri(),
                "PULUMI_CONFIG_PASSPHRASE": "contract",
                "PULUMI_SKIP_UPDATE_CHECK": "1",
                "COMMANDS": str(self.directory / "commands.json"),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def prepare(self) -> None:
        """Copy the program and make its stack, once."""
        if not (self.directory / "Pulumi.yaml").exists():
            shutil.copytree(PROGRAMS / self.program, self.directory, dirs_exist_ok=True)
            (self.directory / "state").mkdir()
            self.call("stack", "init", self.stack)

    def up(self, commands: dict[str, dict[str, Any]]) -> Run:
        """Bring the stack to these commands: resource name → properties."""
        self.prepare()
        (self.directory / "commands.json").write_text(json.dumps(commands))
        return self._change("up", "--skip-preview", "--continue-on-error")

    def destroy(self) -> Run:
        """Destroy all resources of the stack."""
        return self._change("destroy", "--skip-preview")

    def _change(self, *arguments: str) -> Run:
        done = self.call(*arguments, "--yes", "--json", "--stack", self.stack)
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        errors: dict[str, str] = {}
        operations: dict[str, str] = {}
        for event in events:
            diagnostic = event.get("diagnosticEvent")
            if diagnostic and diagnostic["severity"] == "error":
                name = diagnostic.get("urn", "").rpartition("::")[2]
                errors[name] = errors.get(name, "") + diagnostic["message"]
            if step := event.get("resourcePreEvent", {}).get("metadata"):
                operations.setdefault(step["urn"].rpartition("::")[2], step["op"])
        return Run(done.returncode, done.stdout + done.stderr, errors, operations)

    def state(self) -> dict[str, dict[str, Any]]:
        """Return the stored outputs of every command, by resource name; secrets stay encrypted."""
        exported = self.call("stack", "export", "--stack", self.stack)
        resources = json.loads(exported.stdout)["deployment"].get("resources", [])
        return {
            resource["urn"].rpartition("::")[2]: resource["outputs"]
            for resource in resources
            if resource["type"] == "command:local:Command"
        }


def plugin_caches() -> dict[str, Path]:
    """Return the plugin caches that hold the command plugin, by what to call it.

    The cache of this checkout has the stand-in or the official plugin, whichever could
    be had; a developer who uses Pulumi has the official one in the home directory.
    """
    installation = Installation()
    ours = installation.plugin_directory("command")
    found = {"of this checkout": installation.home}
    personal = Path.home() / ".pulumi"
    if (personal / "plugins" / ours.name).is_dir():
        found["official, of the user"] = personal
    return found


@pytest.fixture(scope="session", params=plugin_caches())
def plugin_home(request: pytest.FixtureRequest) -> Path:
    """A PULUMI_HOME with a command plugin of the version the SDK asks for."""
    home = plugin_caches()[request.param]
    version = Installation().plugin_directory("command").name
    if not (home / "plugins" / version / "pulumi-resource-command").exists():
        pytest.fail("the toolchain is not installed: python3 -m toolchain.install")
    return home


@pytest.fixture(scope="session")
def objects_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sandbox that has an object storage only."""
    made = tmp_path_factory.mktemp("sandbox")
    for part in ("logs", "run", "objects"):
        (made / part).mkdir()
    Authority(made / "ca").ensure()
    return made


@pytest.fixture(scope="session")
def object_store_here(objects_folder: Path) -> Iterator[ObjectStore]:
    """A gateway that runs, on a port of its own."""
    made = ObjectStore(PROJECT, objects_folder, Authority(objects_folder / "ca"), _free_port())
    made.start(KEYS)
    made.wait()
    yield made
    made.stop()


@pytest.fixture
def without_delete(object_store_here: ObjectStore, tmp_path: Path) -> Iterator[Place]:
    """A private bucket, and a key that reads, writes and lists it but deletes nothing there.

    The gateway is another: its own key may do anything, and one that knows more keys finds them in
    a folder.
    """
    key = {"access": "WRITER", "secret": "may-not-delete", "role": "user"}
    for part in ("keys", "buckets/backups", "about"):
        (tmp_path / part).mkdir(parents=True)
    keys = tmp_path / "keys/users.json"
    keys.write_text(json.dumps({"accessAccounts": {key["access"]: key}}))
    address = f"127.0.0.1:{_free_port()}"
    command = [
        str(object_store_here.program()), "--port", address, "--quiet",
        "--iam-dir", str(keys.parent),
        "posix", "--sidecar", str(tmp_path / "about"), str(tmp_path / "buckets"),
    ]  # fmt: skip
    environment = {
        "ROOT_ACCESS_KEY": KEYS["access_key"],
        "ROOT_SECRET_KEY": KEYS["secret_key"],
        "PATH": os.environ["PATH"],
    }
    log = tmp_path / "gateway.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        _wait(f"http://{address}/backups", log)
        _permit(f"http://{address}", key["access"])
        yield Place("backups", f"http://{address}", "us-east-1", key["access"], key["secret"])
    finally:
        process.kill()
        process.wait()


def _wait(address: str, log: Path) -> None:
    """Until somebody without a key is refused there."""
    give_up = time.monotonic() + 15
    while time.monotonic() < give_up:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(address, trust_env=False).status_code == 403:
                return
        time.sleep(0.1)
    raise AssertionError(f"the gateway does not answer: {log.read_text()}")


def _permit(endpoint: str, user: str) -> None:
    """Let a key read, write and list the bucket."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key=KEYS["secret_key"],
    )
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": [user]},
        "Action": ["s3:ListBucket", "s3:GetObject", "s3:PutObject"],
        "Resource": ["arn:aws:s3:::backups", "arn:aws:s3:::backups/*"],
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    client.put_bucket_policy(Bucket="backups", Policy=json.dumps(policy))


def _free_port() -> int:
    """A port that stays free while nobody listens: the kernel gives none below 32768 away.

    The gateway is stopped and started again, and somebody's connection may not take its port then.
    """
    for port in random.sample(range(21000, 29000), 100):
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port of a hundred is free")
