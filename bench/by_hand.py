"""The same redeploy without us: `docker compose pull` and `up --wait` by hand over SSH.

On the same server, with the same Compose file and images, as somebody would do it who has
both at hand. It has no lock, no health check from outside, and no way back.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

HERE = "/root/by-hand"


def key_pair(folder: Path) -> tuple[Path, str]:
    """A key for the administrator's login: the private key's file and the public key."""
    private = folder / "admin"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", str(private)],
        check=True,
    )
    return private, private.with_suffix(".pub").read_text().strip()


def ssh(address: str, key: Path, known_hosts: Path) -> list[str]:
    """The ssh command that opens a shell as root; the host key is pinned."""
    return [
        *("ssh", "-F", "/dev/null", "-i", str(key), "-o", "IdentitiesOnly=yes"),
        *("-o", f"UserKnownHostsFile={known_hosts}", "-o", "StrictHostKeyChecking=yes"),
        *("-o", "BatchMode=yes", f"root@{address}", "sh", "-eu"),
    ]


def script(version: str, images: dict[str, str], prefix: str) -> str:
    """What is typed on the server: the running release's file with the new images, then up.

    images  {"api": "sha256:…"}: digests of the new version
    """
    edits = " ".join(
        f"-e {shlex.quote(f's|{prefix}/{name}@sha256:[0-9a-f]*|{prefix}/{name}@{digest}|')}"
        for name, digest in sorted(images.items())
    )
    return f"""
mkdir -p {HERE}
cd "$(readlink -f /var/lib/deployment-flow/current)"
sed {edits} compose.yaml > {HERE}/compose.yaml
jq -r --arg new {shlex.quote(version)} '.VERSION = $new | to_entries[] | "\\(.key)=\\(.value)"' \
    ../environment.json > {HERE}/.env
export DOCKER_CONFIG=/var/lib/deployment-flow/docker
cd {HERE}
docker compose --project-name app pull --quiet
docker compose --project-name app up --detach --wait --quiet-pull
"""
