"""Files that are copied to servers: clean shell, units that say what they must."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SERVER = Path(__file__).parents[2] / "remote/server"
AGENT = sorted((SERVER / "agent").glob("*.py"))


def test_the_provisioning_script_is_clean_shell() -> None:
    program = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or "shellcheck"
    if shutil.which(program) is None:
        pytest.skip("no shellcheck; it is in requirements-dev.txt")
    done = subprocess.run(
        [program, str(SERVER / "provision.sh")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    subprocess.run(["sh", "-n", str(SERVER / "provision.sh")], check=True)


@pytest.mark.parametrize("path", AGENT, ids=lambda path: path.name)
def test_the_agent_needs_nothing_but_the_standard_library(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert {name.name.split(".")[0] for name in node.names} <= sys.stdlib_module_names
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert str(node.module).split(".")[0] in sys.stdlib_module_names


def test_docker_waits_for_the_firewall_and_the_release_for_the_data() -> None:
    firewall = (SERVER / "files/deployment-flow-firewall.service").read_text()
    assert "Before=network-pre.target docker.service" in firewall
    assert "RequiresMountsFor=/data" in (SERVER / "files/deployment-flow.service").read_text()


def test_the_firewall_is_there_again_after_the_distributions_own_has_flushed_all_tables() -> None:
    unit = (SERVER / "files/deployment-flow-firewall.service").read_text().splitlines()
    for line in ("After", "PartOf", "ReloadPropagatedFrom"):
        assert f"{line}=nftables.service" in unit


def test_the_deploy_user_may_run_the_agent_without_arguments_only() -> None:
    rules = [
        line for line in (SERVER / "files/sudoers").read_text().splitlines() if "NOPASSWD" in line
    ]
    assert rules == [
        'flow ALL=(root) NOPASSWD: /usr/local/lib/deployment-flow/deployment-flow-agent ""'
    ]
