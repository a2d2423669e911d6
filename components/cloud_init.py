"""First boot of a made server: its pinned host key, the key it is set up with, sshd hardened.

Everything else (Docker, Caddy, upgrades, the agent) is installed afterwards over SSH by
`Provision`: that way a change reaches servers that already run, which user data never does.
User data stays readable at the metadata address for the life of the server, so the only
secret in it is the host key, which must be there before the first connection.
"""

from typing import Final

import yaml

# Removals, not lists: an algorithm an older sshd does not know would keep it from starting,
# and a server nobody can log in to is worse than one with an old cipher.
SSHD_CONFIG: Final = """\
# Written by deployment-flow at first boot.
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitEmptyPasswords no
PermitRootLogin prohibit-password
HostKey /etc/ssh/ssh_host_ed25519_key
KexAlgorithms -ecdh-sha2-nistp*,diffie-hellman-group14-*,diffie-hellman-group-exchange-*
Ciphers -*-cbc,3des-*
MACs -hmac-sha1*,umac-64*,hmac-md5*,hmac-sha2-256,hmac-sha2-512,umac-128@openssh.com
AllowTcpForwarding no
AllowAgentForwarding no
AllowStreamLocalForwarding no
X11Forwarding no
MaxAuthTries 4
LoginGraceTime 30
ClientAliveInterval 30
ClientAliveCountMax 4
"""


class _Literal(str):
    """Text that the YAML shows as a block, so that a person can read it."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(
    _Literal, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
)


def render(
    *,
    host_private_key: str,
    host_public_key: str,
    maintenance_public_key: str,
) -> str:
    """The `#cloud-config` document. Keys are OpenSSH text; pure: same input, same bytes."""
    document = {
        # Only the pinned host key: clients are told which one to expect.
        "ssh_deletekeys": True,
        "ssh_keys": {
            "ed25519_private": _Literal(host_private_key),
            "ed25519_public": host_public_key,
        },
        "disable_root": False,
        "ssh_pwauth": False,
        # An expired root password would stop key logins, too.
        "chpasswd": {"expire": False},
        "users": [],
        "ssh_authorized_keys": [maintenance_public_key],
        "write_files": [
            {
                "path": "/etc/ssh/sshd_config.d/10-deployment-flow.conf",
                "owner": "root:root",
                "permissions": "0644",
                "content": _Literal(SSHD_CONFIG),
            }
        ],
        # Where sshd was up before cloud-init wrote these.
        "runcmd": [["systemctl", "try-reload-or-restart", "ssh"]],
    }
    return "#cloud-config\n" + yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True
    )
