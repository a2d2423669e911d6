"""What a failed deploy says of the service that failed. Commands and health are faked."""

from pathlib import Path

import pytest

from remote.server.agent.errors import DeployError
from tests.unit import agent_bench
from tests.unit.agent_bench import Bench, request


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return agent_bench.make(tmp_path)


def test_memory_is_named_when_a_container_was_killed_for_it(bench: Bench) -> None:
    bench.commands.containers = [
        {"Service": "web", "Name": "app-web-1", "State": "exited", "ExitCode": 137}
    ]
    bench.commands.failing = {" up --detach": ["exited (137)"], "docker inspect": ["true 4"]}
    with pytest.raises(DeployError, match="killed: out of memory"):
        bench.deploy(request())


def test_memory_is_named_when_docker_has_started_the_container_again(bench: Bench) -> None:
    bench.commands.containers = [
        {"Service": "web", "Name": "app-web-1", "State": "running", "Health": "starting"}
    ]
    seen = "false 3 2031-05-31T09:00:00.123456789Z"
    bench.commands.failing = {" up --detach": ["unhealthy"], "docker inspect": [seen]}
    with pytest.raises(DeployError, match=r"web is starting, started again 3 times$"):
        bench.deploy(request())
    events = "docker events --since 2031-05-31T09:00:00.123456789Z"
    bench.commands.failing[events] = ["oom", "oom"]
    with pytest.raises(DeployError, match=r"again 3 times \(killed: out of memory\)"):
        bench.deploy(request())


def test_memory_is_named_though_docker_has_forgotten_its_events(bench: Bench) -> None:
    bench.commands.containers = [
        {"Service": "web", "Name": "app-web-1", "State": "running", "Health": "starting"}
    ]
    bench.commands.failing = {" up --detach": ["unhealthy"], "docker inspect": ["false 1 2031"]}
    bench.commands.killed = ["app-web-1"]
    with pytest.raises(DeployError, match=r"started again once \(killed: out of memory\)"):
        bench.deploy(request())


@pytest.mark.parametrize("fault", ["answers badly", "crashes", "public route"])
def test_a_failure_shows_the_last_lines_of_the_service_that_failed(
    bench: Bench, fault: str
) -> None:
    bench.deploy(request(1))
    bench.commands.logged = {"web": ["Traceback: no such table"], "db": ["ready"]}
    targets = [{"service": "web", "port": 20002, "path": "/healthz"}]
    if fault == "answers badly":
        bench.probe.sick.add(20002)
    elif fault == "public route":
        bench.probe.public_status = 502
    else:
        crashed = {"Service": "web", "Name": "app-web-1", "State": "restarting", "ExitCode": 3}
        bench.commands.containers = [crashed]
        bench.commands.failing = {f"{bench.release(request(2, targets=targets)).name}/green/"
                                  "compose.yaml up": ["unhealthy"]}  # fmt: skip
    with pytest.raises(DeployError):
        bench.deploy(request(2, targets=targets))
    shown = bench.said.index("--- last lines of web ---")
    assert bench.said[shown + 1] == "  Traceback: no such table"
    assert "  ready" not in bench.said


def test_only_the_last_lines_of_a_failure_are_shown(bench: Bench) -> None:
    bench.commands.logged = {"web": [f"line {number}" for number in range(50)]}
    bench.probe.sick.add(20001)
    with pytest.raises(DeployError):
        bench.deploy(request())
    assert [line for line in bench.said if line.startswith("  line")] == [
        f"  line {number}" for number in range(30, 50)
    ]


def test_a_service_that_crashes_once_it_is_up_is_named_with_its_exit_code(bench: Bench) -> None:
    bench.commands.containers = [
        {"Service": "web", "Name": "app-web-1", "State": "restarting", "ExitCode": 3}
    ]
    bench.probe.sick.add(20001)
    with pytest.raises(DeployError, match=r"gave status 503; service web is restarting, exit code"):
        bench.deploy(request())


def test_a_fault_of_the_agent_itself_leaves_the_old_version_with_the_traffic(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.deploy(request(1))

    def fault(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(bench.probe, "public", fault)
    with pytest.raises(RuntimeError):
        bench.deploy(request(2))
    assert (bench.machine.caddy / "Caddyfile").read_text() == "# 1\n"
    assert bench.said[-1] == "the agent itself failed; version 1.0.0 serves again"


def test_what_could_not_be_removed_after_a_deploy_is_warned_of(bench: Bench) -> None:
    bench.commands.all_containers = ["c1 old"]
    bench.commands.failing = {"docker rm --force c1": ["device busy"]}
    assert bench.deploy(request(1))["ok"] is True
    (warning,) = [line for line in bench.said if line.startswith("warning")]
    assert "may still be there: device busy" in warning
