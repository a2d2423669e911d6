"""What test_services_cycle runs in namespaces of its own; prints what it did."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import boto3
from hcloud import Client
from hcloud.images import Image
from hcloud.server_types import ServerType

from sandbox.hosts import docker_daemon, network
from sandbox.lifecycle import Sandbox
from sandbox.services import object_store

UP_SECONDS = 10.0
DOWN_SECONDS = 30.0


def timed(name: str, work: Callable[[], None], most: float) -> None:
    """Do it, say how long it took, and fail when that is too long."""
    began = time.monotonic()
    work()
    took = time.monotonic() - began
    print(f"{name}: {took:.1f} s")
    assert took < most, name


def answers(address: str, port: int) -> bool:
    """Whether a connection is taken."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def wait(address: str) -> None:
    """Until its SSH server answers."""
    give_up = time.monotonic() + 60
    while not answers(address, 22):
        assert time.monotonic() < give_up, f"no SSH at {address}"
        time.sleep(0.2)


def losetup() -> str:
    """The machine's loop devices and their files."""
    done = subprocess.run(
        ["losetup", "--list"], capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout


def inside(number: int, command: str) -> str:
    """Run a command on a server, past its network."""
    done = subprocess.run(
        ["docker", "exec", f"flow-server-{number}", "sh", "-c", command],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def bucket(known: dict[str, Any]) -> Any:
    """A client of the sandbox's object storage."""
    return boto3.client(
        "s3",
        endpoint_url=known["objects"]["endpoint"],
        region_name=known["objects"]["region"],
        aws_access_key_id=known["objects"]["access_key"],
        aws_secret_access_key=known["objects"]["secret_key"],
        verify=known["ca"],
    )


def main(directory: Path, saved: Path) -> None:
    """Up, a server with a volume, down, up, a daemon killed, up, reset."""
    sandbox = Sandbox(directory)
    for part in ("logs", "run"):
        (directory / part).mkdir()
    with closing(docker_daemon.ensure_running(directory, print)):
        subprocess.run(["docker", "load", "-q", "-i", str(saved)], check=True, timeout=200)
    saved.unlink()
    timed("up", lambda: sandbox.up(print), UP_SECONDS)
    known = sandbox.credentials()
    cloud = Client(
        token=known["projects"]["nonprod"]["token"],
        api_endpoint=known["endpoint"],
        poll_interval=0.1,
    )
    made = [
        cloud.servers.create(name, ServerType(name="cx23"), Image(name="debian-13"))
        for name in ("on", "off")
    ]
    for one in made:
        one.action.wait_until_finished()
    servers = [cloud.servers.get_by_id(cast(int, one.server.id)) for one in made]
    on, off = (cast(int, server.id) for server in servers)
    address = str(cast(Any, servers[0].public_net).ipv4.ip)
    wait(address)
    volume = cloud.volumes.create(10, "kept", server=servers[0], format="ext4")
    for action in [volume.action, *volume.next_actions]:
        action.wait_until_finished()
    device = volume.volume.linux_device
    inside(on, f"mount {device} /mnt && echo volume > /mnt/file && echo disk > /root/file")
    servers[1].power_off().wait_until_finished()
    bucket(known).put_object(Bucket=object_store.BACKUPS, Key="kept", Body=b"object")

    timed("down", sandbox.down, DOWN_SECONDS)
    status = sandbox.status()
    assert not any(
        status[part]["running"] for part in ("api", "docker", "acme", "objects", "registry")
    )
    assert "sandbox" not in Path("/etc/hosts").read_text()
    assert str(directory) not in losetup()

    timed("up again", lambda: sandbox.up(print), UP_SECONDS)
    states = {entry["id"]: entry["state"] for entry in sandbox.status()["servers"]}
    assert states == {on: "running", off: "off"}
    wait(address)
    assert inside(on, f"cat /root/file && mount {device} /mnt && cat /mnt/file") == "disk\nvolume"

    kept = bucket(known).get_object(Bucket=object_store.BACKUPS, Key="kept")
    assert kept["Body"].read() == b"object"

    os.kill(int((directory / "run" / "dockerd.pid").read_text()), signal.SIGKILL)
    time.sleep(0.5)
    assert not sandbox.status()["running"]
    timed("up after the daemon was killed", lambda: sandbox.up(print), 2 * UP_SECONDS)
    wait(address)
    assert inside(on, "cat /root/file") == "disk"

    timed("reset", sandbox.reset, DOWN_SECONDS)
    assert not network.exists()
    left = [path.name for path in directory.iterdir()]
    assert left == ["lock"], json.dumps(left)
    print("nothing is left")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
