"""Starting, stopping and starting again loses nothing."""

import json
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hcloud.servers import BoundServer

from sandbox import alone, lifecycle, processes
from sandbox.hosts import docker_daemon
from sandbox.lifecycle import Sandbox, SandboxError
from tests.sandbox.conftest import Cloud, ipv4

# It waits for what others are at.
pytestmark = pytest.mark.timeout(1800)


def test_a_new_start_of_the_api_keeps_records_and_running_servers(
    sandbox: Sandbox, cloud: Cloud, server: BoundServer
) -> None:
    before = cloud.boot_id(ipv4(server))
    sandbox.restart()
    assert cloud.now(server).status == "running"
    assert cloud.boot_id(ipv4(server)) == before


def test_up_notices_a_dead_process_and_starts_it_again(sandbox: Sandbox) -> None:
    first = sandbox.status()["api"]["pid"]
    os.kill(first, 9)
    said: list[str] = []
    sandbox.up(said.append)
    status = sandbox.status()
    assert status["running"]
    assert status["api"]["pid"] != first


def test_two_ups_at_once_start_one_of_each(sandbox: Sandbox) -> None:
    os.kill(sandbox.status()["api"]["pid"], 9)
    command = [sys.executable, "-m", "sandbox.lifecycle", "up", "--dir", str(sandbox.directory)]
    with ThreadPoolExecutor(2) as pool:
        runs = pool.map(
            lambda _: subprocess.run(
                command, cwd=lifecycle.ROOT, capture_output=True, timeout=60, check=False
            ),
            range(2),
        )
        assert [run.returncode for run in runs] == [0, 0]
    assert sandbox.status()["running"]


def test_up_on_a_running_sandbox_takes_a_moment_and_says_nothing(sandbox: Sandbox) -> None:
    said: list[str] = []
    sandbox.up(said.append)
    assert said == []


def test_credentials_are_for_the_owner_only(sandbox: Sandbox) -> None:
    file = sandbox.directory / "credentials.json"
    assert file.stat().st_mode & 0o077 == 0
    content = json.loads(file.read_text())
    assert set(content["projects"]) == {"prod", "nonprod", "demo"}
    assert all(len(project["token"]) == 64 for project in content["projects"].values())


def test_a_sandbox_elsewhere_is_refused_while_this_one_has_servers(
    sandbox: Sandbox, server: BoundServer, tmp_path: Path
) -> None:
    with pytest.raises(SandboxError, match="another sandbox") as refusal:
        Sandbox(tmp_path).up()
    assert str(sandbox.directory) in str(refusal.value)
    assert sandbox.status()["running"]


def test_without_root_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(docker_daemon.DockerUnavailableError, match="sudo"):
        docker_daemon.ensure_tools(print)


def test_asking_for_credentials_before_a_first_up_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="flow sandbox up"):
        Sandbox(tmp_path).credentials()


def test_a_pid_that_was_given_to_another_program_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "api.pid").write_text(str(os.getpid()))
    assert processes.Detached("api", "not our command line", tmp_path).pid() is None


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SandboxError, match=f"port {port} of 127.0.0.1 is taken"):
            alone.refuse_taken_ports([("127.0.0.1", port, socket.SOCK_STREAM)])


def test_a_command_that_has_to_wait_for_another_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    waits = threading.Event()

    def tell(line: str) -> None:
        said.append(line)
        waits.set()

    def second() -> None:
        with alone.lock(tmp_path, tell):
            said.append("mine")

    with alone.lock(tmp_path, said.append):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(5)
    thread.join(5)
    assert said == ["waiting for another command that starts or stops the sandbox", "mine"]
