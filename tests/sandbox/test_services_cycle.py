"""A sandbox's whole life, in a network and with a Docker of its own.

In a network namespace of its own the fixed addresses are free, and so this never
touches the shared sandbox: an `up` from nothing, a `down` and an `up` that loses
nothing, an `up` after Docker's daemon was killed, and a `reset` that leaves nothing.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.hosts import images
from sandbox.lifecycle import ROOT, Sandbox

# It waits for what others are at.
pytestmark = pytest.mark.timeout(1800)
# Run as a script's first half: nothing it mounts is seen outside.
ENTER = """\
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount --bind "$HERE/docker" /var/lib/docker
mkdir -p /etc/docker && mount --bind "$HERE/settings" /etc/docker
cp /etc/hosts "$HERE/hosts" && mount --bind "$HERE/hosts" /etc/hosts
ip link set lo up
"$@"
exit $?  # not exec: the shell is the init that collects dead processes
"""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces, which needs root")
def test_a_sandbox_comes_up_goes_down_comes_back_and_leaves_nothing(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    for part in ("docker", "settings", "sandbox"):
        (tmp_path / part).mkdir()
    saved = tmp_path / "images.tar"
    subprocess.run(
        ["docker", "save", "-o", str(saved), images.BASE, images.BARE, images.FULL],
        check=True, timeout=120,
    )  # fmt: skip
    apart = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc"]
    cycle = [sys.executable, "-m", "tests.sandbox.sandbox_cycle"]
    try:
        done = subprocess.run(
            [*apart, "sh", "-c", ENTER, "sh", *cycle, str(tmp_path / "sandbox"), str(saved)],
            cwd=ROOT, env={**os.environ, "HERE": str(tmp_path)},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
    finally:
        shutil.rmtree(tmp_path / "docker", ignore_errors=True)  # two gigabytes
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "nothing is left"
