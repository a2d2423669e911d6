"""A project of their own for tests of hosts and services, and a way onto its servers."""

import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import docker
import httpx
import pytest
from hcloud import Client
from hcloud.images import Image
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer
from hcloud.ssh_keys import BoundSSHKey

from sandbox.hosts import images
from sandbox.lifecycle import Sandbox

SSH_OPTIONS = (
    *("-F", "/dev/null", "-o", "BatchMode=yes", "-o", "ConnectTimeout=3", "-o", "LogLevel=ERROR"),
    *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
)


BOOT_ID = "cat /proc/1/stat | cut -d' ' -f22"


@dataclass(frozen=True)
class Cloud:
    """A client of a project made for these tests, with a key its servers let in."""

    client: Client
    project: str
    key: BoundSSHKey
    key_file: Path

    def create(self, name: str, *, image: str = "debian-13", **more: Any) -> BoundServer:
        """A server that lets the key in, on its way up."""
        made = self.client.servers.create(
            name=name,
            server_type=ServerType(name="cx23"),
            image=Image(name=image),
            ssh_keys=[self.key],
            **more,
        )
        for action in [made.action, *made.next_actions]:
            action.wait_until_finished()
        return self.now(made.server)

    def now(self, server: BoundServer) -> BoundServer:
        """The server as the API has it at this moment."""
        return self.client.servers.get_by_id(cast(int, server.id))

    def ssh(
        self, address: str, command: str, *, seconds: float = 60, text: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run one command as root; the caller looks at the exit code."""
        return subprocess.run(
            ["ssh", *SSH_OPTIONS, "-i", str(self.key_file), f"root@{address}", command],
            capture_output=True, text=True, input=text, timeout=seconds, check=False,
        )  # fmt: skip

    def run(self, address: str, command: str, *, seconds: float = 60) -> str:
        """Run one command as root, once the server lets us in; its output."""
        self.wait(address)
        done = self.ssh(address, command, seconds=seconds)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def wait(self, address: str, *, seconds: float = 40) -> None:
        """Until SSH answers."""
        give_up = time.monotonic() + seconds
        while (done := self.ssh(address, "true", seconds=10)).returncode:
            assert time.monotonic() < give_up, f"no SSH at {address}: {done.stderr}"
            time.sleep(0.2)

    def boot_id(self, address: str) -> str:
        """Another one after every boot."""
        return self.run(address, BOOT_ID)

    def wait_for_boot(self, address: str, before: str, *, seconds: float = 120) -> None:
        """Until another boot than `before` answers; between the two SSH comes and goes."""
        give_up = time.monotonic() + seconds
        while (done := self.ssh(address, BOOT_ID)).returncode or done.stdout.strip() == before:
            assert time.monotonic() < give_up, f"no boot of {address}: {done.stderr}"
            time.sleep(0.5)


@pytest.fixture(scope="session")
def cloud(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A fresh project; whatever is left in it is deleted in the end."""
    endpoint = sandbox.credentials()["endpoint"]
    project = f"tests-{secrets.token_hex(3)}"
    made = httpx.post(
        endpoint.removesuffix("/v1") + "/_sandbox/projects", json={"name": project}, timeout=10
    ).raise_for_status()
    client = Client(token=made.json()["project"]["token"], api_endpoint=endpoint, poll_interval=0.1)
    key_file = tmp_path_factory.mktemp("key") / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key_file)], check=True, timeout=10
    )
    key = client.ssh_keys.create("tests", key_file.with_suffix(".pub").read_text().strip())
    yield Cloud(client, project, key, key_file)
    for server in client.servers.get_all():
        server.delete().wait_until_finished()
    for volume in client.volumes.get_all():
        if volume.server:
            volume.detach().wait_until_finished()
        volume.delete()
    for address in client.primary_ips.get_all():
        address.delete()
    for firewall in client.firewalls.get_all():
        firewall.delete()
    key.delete()


@pytest.fixture(scope="session")
def server(cloud: Cloud) -> BoundServer:
    """A server for tests that leave it as it was."""
    user_data = "#cloud-config\nruncmd:\n- echo applied > /root/user-data\n"
    found = cloud.create("shared", user_data=user_data)
    cloud.wait(ipv4(found))
    return found


@pytest.fixture
def make_server(cloud: Cloud) -> Iterator[Callable[..., BoundServer]]:
    """Makes servers that end with the test."""
    made: list[BoundServer] = []

    def create(name: str, **more: Any) -> BoundServer:
        made.append(cloud.create(name, **more))
        return made[-1]

    yield create
    for server in made:
        found = cloud.client.servers.get_by_name(str(server.name))
        if found is not None:
            found.delete().wait_until_finished()


def ipv4(server: BoundServer) -> str:
    """Its public IPv4 address."""
    return str(cast(Any, server.public_net).ipv4.ip)


def ipv6(server: BoundServer) -> str:
    """The address it takes in its /64."""
    return str(cast(Any, server.public_net).ipv6.ip).removesuffix("/64") + "1"


@pytest.fixture(scope="session")
def base_image(sandbox: Sandbox) -> str:
    """A Debian image in the sandbox's registry, pushed by this machine's Docker."""
    registry = sandbox.credentials()["registry"]
    name = f"{registry['server']}/tests/base"
    with closing(docker.from_env()) as client:
        client.images.get(images.BASE).tag(name, "1")
        sent = client.images.push(
            name, "1", auth_config=dict(registry["push"]), stream=True, decode=True
        )
        assert not [line for line in sent if "error" in line]
    return f"{name}:1"
