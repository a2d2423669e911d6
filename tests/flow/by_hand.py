"""A server that somebody made by hand: a machine that exists, for a demo to be given."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import hcloud
from hcloud.images import Image
from hcloud.server_types import ServerType

NAME = "by-hand"


@dataclass(frozen=True)
class Machine:
    """How it is reached: its address, the key that opens it as root, its own public key."""

    address: str
    key: str = field(repr=False)
    host_key: str


def key_pair(folder: Path, name: str) -> tuple[str, str]:
    """A new key pair: private and public text."""
    file = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(file)], check=True
    )
    return file.read_text(), file.with_suffix(".pub").read_text().strip()


def make(client: hcloud.Client, folder: Path) -> Machine:
    """Make one with a host key that is known beforehand; keys are written to `folder`."""
    private, public = key_pair(folder, "login")
    host_private, host_public = key_pair(folder, "host")
    indented = "\n".join(f"    {line}" for line in host_private.splitlines())
    user_data = (
        f"#cloud-config\nssh_keys:\n  ed25519_private: |\n{indented}\n"
        f"  ed25519_public: {host_public}\nssh_authorized_keys: [{public}]\ndisable_root: false\n"
    )
    made = client.servers.create(
        name=NAME,
        server_type=ServerType(name="cx23"),
        image=Image(name="debian-13"),
        ssh_keys=[client.ssh_keys.create(name=NAME, public_key=public)],
        user_data=user_data,
    )
    made.action.wait_until_finished()
    server = client.servers.get_by_name(NAME)
    assert server is not None
    assert server.public_net is not None
    assert server.public_net.ipv4 is not None
    return Machine(str(server.public_net.ipv4.ip), private, host_public)
