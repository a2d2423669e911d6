"""Parts of provision.sh, run by a shell that finds another machine than this one."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "remote/server/provision.sh"


def function(name: str) -> str:
    """One of the script's functions, as it is written there."""
    found = re.search(rf"^{name}\(\) \{{.*?\n.*?^\}}$", SCRIPT.read_text(), re.M | re.S)
    assert found
    return found[0]


def program(path: Path, body: str) -> None:
    """An executable of one line of shell."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def passes(name: str, world: str) -> bool:
    """Whether one of the script's functions succeeds where commands are what `world` says."""
    script = f"{world}\n{function(name)}\n{name}"
    return subprocess.run(["sh", "-c", script], capture_output=True, check=False).returncode == 0


def ready_world(folder: Path, **more: str) -> str:
    (folder / "stamp").write_text("1 2\n")
    commands = {"systemctl": "true", "nft": "true", **more}
    functions = "\n".join(f"{name}() {{ {body}; }}" for name, body in commands.items())
    return f"etc={folder} VOLUME_DEVICE=\nstamp() {{ echo 1 2; }}\n{functions}"


def test_a_server_whose_filter_somebody_flushed_is_not_ready(tmp_path: Path) -> None:
    assert passes("is_ready", ready_world(tmp_path))
    assert not passes("is_ready", ready_world(tmp_path, nft="false"))


APPARMOR = {
    "missing": "' docker.io docker-cli'",
    "DEPLOY_KEY": "ssh-ed25519",
    "cat": "echo Y",
    "command": "false",
    "systemd-detect-virt": "false",
}


@pytest.mark.parametrize(
    ("other", "wants"),
    [
        ({}, True),
        ({"missing": "' caddy'"}, False),
        ({"DEPLOY_KEY": ""}, False),
        ({"cat": "echo N"}, False),
        ({"command": "true"}, False),
        ({"systemd-detect-virt": "true"}, False),
    ],
    ids=["bare", "has Docker", "a guest", "off in the kernel", "there", "a container"],
)
def test_containers_are_confined_where_the_kernel_can_and_docker_is_ours(
    other: dict[str, str], wants: bool, tmp_path: Path
) -> None:
    world = {**APPARMOR, **other}
    # A function cannot have this one's name in every shell.
    program(tmp_path / "systemd-detect-virt", world["systemd-detect-virt"])
    text = (
        f"PATH={tmp_path}:$PATH missing={world['missing']} DEPLOY_KEY={world['DEPLOY_KEY']}\n"
        f"cat() {{ {world['cat']}; }}\ncommand() {{ {world['command']}; }}"
    )
    assert passes("wants_apparmor", text) is wants


@pytest.mark.parametrize(
    ("told", "word", "warns"),
    [
        ({"extended_status": "done"}, "done", False),
        ({"extended_status": "degraded done", "recoverable_errors": {"DEPRECATED": ["x"]}}, "done",
         False),
        ({"extended_status": "degraded done",
          "recoverable_errors": {"DEPRECATED": ["x"], "WARNING": ["no such key"]}},
         "degraded-done", True),
        ({"extended_status": "error", "errors": ["no such key"]}, "error", True),
    ],
)  # fmt: skip
def test_a_setting_that_cloud_init_only_calls_old_is_no_warning(
    told: dict[str, Any], word: str, warns: bool, tmp_path: Path
) -> None:
    (tmp_path / "told").write_text(json.dumps(told))
    program(tmp_path / "cloud-init", f"cat {tmp_path}/told")
    script = (
        f'exec 3>&1; PATH={tmp_path}:$PATH here={tmp_path}; say() {{ echo "$*"; }}\n'
        f'{function("wait_for_cloud_init")}\nwait_for_cloud_init; echo "word $cloud_init"'
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"word {word}"
    assert ("no such key" in done.stdout) is warns
    assert ("warning" in done.stdout) is warns
