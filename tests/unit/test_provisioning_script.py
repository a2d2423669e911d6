"""Parts of provision.sh, run by a shell that finds another machine than this one."""

import re
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "remote/server/provision.sh"


def passes(function: str, world: str) -> bool:
    """Whether one of the script's functions succeeds where commands are what `world` says."""
    found = re.search(
        rf"^{function}\(\) \{{\n.*?^\}}$", SCRIPT.read_text(), re.MULTILINE | re.DOTALL
    )
    assert found
    script = f"{world}\n{found[0]}\n{function}"
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
    program = tmp_path / "systemd-detect-virt"
    program.write_text(f"#!/bin/sh\n{world['systemd-detect-virt']}\n")
    program.chmod(0o755)
    text = (
        f"PATH={tmp_path}:$PATH missing={world['missing']} DEPLOY_KEY={world['DEPLOY_KEY']}\n"
        f"cat() {{ {world['cat']}; }}\ncommand() {{ {world['command']}; }}"
    )
    assert passes("wants_apparmor", text) is wants
