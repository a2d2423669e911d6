"""The agent's deploy: order, going back, and what is left alone. Commands and health are faked."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from components import compose
from remote.server.agent import releases
from remote.server.agent.commands import Commands
from remote.server.agent.errors import DeployError
from remote.server.agent.releases import Store, check_request
from tests.unit import agent_bench
from tests.unit.agent_bench import Bench, request


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return agent_bench.make(tmp_path)


def test_jobs_come_before_services_and_the_web_server_last(bench: Bench) -> None:
    result = bench.deploy(request())
    assert [step.split()[0] for step in bench.commands.steps()] == ["job", "up", "caddy"]
    assert result["changed"] is True
    assert result["version"] == "1.0.0"
    assert result["tls"] == "issued"


def test_a_release_is_immutable_complete_and_private(bench: Bench) -> None:
    asked = request()
    bench.deploy(asked)
    folder = bench.release(asked)
    assert {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()} == {
        "Caddyfile", "compose.yaml", "environment.json", "manifest.json",
        "blue/compose.yaml", "green/compose.yaml",
    }  # fmt: skip
    assert (folder / "environment.json").stat().st_mode & 0o777 == 0o600
    manifest = (folder / "manifest.json").read_text()
    assert "s3cret" not in manifest
    assert json.loads(manifest)["who"] == "ada@laptop"
    assert (bench.machine.state / "current").resolve() == folder / "blue"


def test_secrets_reach_compose_in_its_environment_and_never_a_command_line(bench: Bench) -> None:
    bench.deploy(request())
    assert not any("s3cret" in line for line in [*bench.commands.ran, *bench.said])
    assert any(each.get("TOKEN") == "s3cret-token" for each in bench.commands.environments)


def test_the_same_release_again_does_nothing(bench: Bench) -> None:
    bench.deploy(request())
    bench.commands.ran.clear()
    result = bench.deploy(request())
    assert result["changed"] is False
    assert bench.commands.steps() == []


def test_the_same_release_again_has_a_missing_certificate_asked_for_at_once(bench: Bench) -> None:
    bench.deploy(request())
    bench.commands.ran.clear()
    bench.probe.has_certificate = False
    assert bench.deploy(request())["tls"] == "pending"
    assert bench.commands.steps() == ["caddy"]


def test_the_next_version_has_a_missing_certificate_asked_for_at_once(bench: Bench) -> None:
    first, second = request(1), request(2)
    second["bundle"]["files"]["Caddyfile"] = first["bundle"]["files"]["Caddyfile"]
    bench.deploy(first)
    bench.commands.ran.clear()
    bench.probe.has_certificate = False
    bench.deploy(second)
    assert [line for line in bench.commands.ran if "caddy" in line and "reload" in line] == [
        "systemctl reload caddy"
    ]


def test_a_deploy_says_that_a_server_waits_for_a_reboot(bench: Bench) -> None:
    bench.deploy(request(1))
    assert not [line for line in bench.said if "reboot" in line]
    bench.machine.reboot_required.parent.mkdir(parents=True)
    bench.machine.reboot_required.touch()
    bench.deploy(request(2))
    assert [line for line in bench.said if line.startswith("warning: upgrades of this server wait")]


def test_the_same_release_is_started_again_when_it_is_not_well(bench: Bench) -> None:
    bench.deploy(request())
    bench.commands.ran.clear()
    bench.probe.sick.add(20001)
    with pytest.raises(DeployError):
        bench.deploy(request())
    assert "up" in [step.split()[0] for step in bench.commands.steps()]


def test_another_secret_is_another_release(bench: Bench) -> None:
    first, second = request(), request()
    second["secrets"] = {"TOKEN": "another"}
    assert bench.deploy(first)["release"] != bench.deploy(second)["release"]


def test_an_id_tells_nothing_about_a_weak_secret(bench: Bench, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    (tmp_path / "other").mkdir()
    assert other.release_id(request()) != bench.store().release_id(request())


def test_a_failing_job_stops_before_any_service_is_replaced(bench: Bench) -> None:
    bench.deploy(request(1))
    bench.commands.ran.clear()
    bench.commands.failing[" run --rm"] = ["migration 7 failed"]
    with pytest.raises(DeployError, match=r"job migrate failed .*version 1.0.0 still serves"):
        bench.deploy(request(2))
    ups = [line for line in bench.commands.ran if " up --detach" in line]
    assert all("r-000001" in line for line in ups)
    # Once for what an earlier deploy may have left, once because a job can outlive its command.
    assert bench.commands.ran.count("docker rm --force app-job-migrate") == 2
    assert (bench.machine.state / "current").resolve() == bench.release(request(1)) / "blue"


def test_a_release_that_does_not_start_gives_way_to_the_one_before(bench: Bench) -> None:
    bench.deploy(request(1))
    bench.commands.containers = [
        {"Service": "web", "Name": "app-web-1", "State": "restarting", "ExitCode": 3}
    ]
    failing = f"{bench.release(request(2)).name}/green/compose.yaml up"
    bench.commands.failing = {failing: ["unhealthy"]}
    with pytest.raises(DeployError, match="service web is restarting, exit code 3"):
        bench.deploy(request(2))
    assert "r-000001" in [line for line in bench.commands.ran if " up --detach" in line][-1]
    assert (bench.machine.state / "current").resolve() == bench.release(request(1)) / "blue"


def test_what_is_watched_is_read_meanwhile_and_ends_with_the_block() -> None:
    started = time.monotonic()
    with Commands().watch(["sh", "-c", "echo one; exec sleep 600"]) as said:
        while not said and time.monotonic() < started + 20:
            time.sleep(0.01)
        assert list(said) == ["one"]
    assert time.monotonic() < started + 60


def test_a_sick_service_gives_way_and_the_old_routes_come_back(bench: Bench) -> None:
    bench.deploy(request(1))
    bench.probe.sick.add(20002)
    sick = request(2, targets=[{"service": "web", "port": 20002, "path": "/healthz"}])
    with pytest.raises(DeployError, match="web is not well: /healthz gave status 503"):
        bench.deploy(sick)
    assert (bench.machine.caddy / "Caddyfile").read_text() == "# 1\n"


def test_a_service_that_is_not_well_in_time_is_told_how_to_have_more(bench: Bench) -> None:
    bench.probe.sick.add(20001)
    with pytest.raises(DeployError) as error:
        bench.deploy(request())
    assert "longer than 5 s to start is waited for with a healthcheck" in error.value.remedy


def test_a_route_that_answers_wrongly_gives_way(bench: Bench) -> None:
    bench.deploy(request(1))
    bench.probe.public_status = 502
    with pytest.raises(DeployError, match="through the web server"):
        bench.deploy(request(2))
    assert (bench.machine.caddy / "Caddyfile").read_text() == "# 1\n"


def test_a_certificate_that_is_late_stops_nothing(bench: Bench) -> None:
    bench.probe.has_certificate = False
    result = bench.deploy(request())
    assert result["tls"] == "pending"
    assert any("no certificate yet" in line for line in bench.said)


def test_the_last_answer_of_the_certificate_authority_is_told(bench: Bench) -> None:
    bench.probe.has_certificate = False
    ours, others = {"identifier": "app.example.org"}, {"identifier": "old.example.org"}
    bench.commands.caddy_said = [
        json.dumps({**ours, "error": "HTTP 400 an earlier one"}),
        json.dumps({**ours, "error": "HTTP 429 rateLimited -\n too many"}),
        json.dumps({**others, "error": "HTTP 500"}),
        json.dumps({**ours, "msg": "obtaining"}),
        "[1, 2]",
        "no JSON",
    ]
    bench.deploy(request())
    (warning,) = [line for line in bench.said if "no certificate yet" in line]
    assert "The last answer: HTTP 429 rateLimited - too many. Does the DNS record" in warning


def test_an_image_that_cannot_be_had_changes_nothing(bench: Bench) -> None:
    bench.deploy(request(1))
    bench.commands.ran.clear()
    bench.commands.failing = {
        "image inspect": ["no such image"],
        "docker pull": ["denied: access forbidden"],
    }
    with pytest.raises(DeployError, match="what ran before was not touched") as error:
        bench.deploy(request(2))
    assert "registryPassword" in error.value.remedy
    assert bench.commands.steps() == ["pull"]


def test_a_passing_fault_of_a_registry_is_tried_again(bench: Bench) -> None:
    bench.commands.failing = {"image inspect": ["none"], "docker pull": ["i/o timeout"]}
    with pytest.raises(DeployError):
        bench.deploy(request())
    assert bench.commands.steps() == ["pull", "pull", "pull"]


def test_a_full_disk_is_refused_before_anything_changes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(bench.machine.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1024**2))
    with pytest.raises(DeployError, match="only 1 MiB are free"):
        bench.deploy(request())
    assert bench.commands.ran == []


@pytest.mark.parametrize(("here", "fits"), [(["[]"], False), (['["sha256:big"]'], True)])
def test_a_release_that_would_fill_the_disk_is_refused_and_what_is_there_counts_not(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, here: list[str], fits: bool
) -> None:
    usage = shutil.disk_usage(bench.machine.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3 * 1024**3))
    bench.commands.local_layers = here
    asked = request(layers={"sha256:big": 1024**3, "sha256:small": 1024})
    if fits:
        assert bench.deploy(asked)["changed"] is True
        return
    with pytest.raises(DeployError, match=r"3072 MiB are free .* needs 5120; nothing was changed"):
        bench.deploy(asked)
    assert bench.commands.steps() == []


def test_a_missing_data_volume_stops_a_deploy(bench: Bench) -> None:
    facts = bench.machine.root / "etc/deployment-flow/server.conf"
    facts.parent.mkdir(parents=True)
    facts.write_text("VOLUME=/dev/disk/by-id/x\nFINGERPRINT=cafe\n")
    with pytest.raises(DeployError, match="not mounted at /data; nothing was changed"):
        bench.deploy(request())
    assert not (bench.machine.data / "db").exists()


def test_folders_for_data_are_made_and_kept(bench: Bench) -> None:
    (bench.machine.data / "db").mkdir(parents=True)
    (bench.machine.data / "db/file").write_text("kept")
    bench.deploy(request())
    assert (bench.machine.data / "db/file").read_text() == "kept"


def test_the_password_is_hashed_once_a_release_and_read_from_stdin(bench: Bench) -> None:
    asked = request(files={**request()["bundle"]["files"], "Caddyfile": "demo @PASSWORD_HASH@\n"})
    asked["auth"] = {"password": "open sesame"}
    bench.deploy(asked)
    bench.deploy(asked)
    assert bench.commands.stdin == ["open sesame\n"]
    routes = (bench.machine.caddy / "Caddyfile").read_text()
    assert routes.startswith("demo $2b$08$")
    assert routes.endswith("hash\n")


def test_a_registry_credential_is_kept_for_later_pulls(bench: Bench) -> None:
    asked = request()
    asked["registry"] = {"server": "ghcr.io", "username": "u", "password": "p4ssword"}
    bench.deploy(asked)
    config = bench.machine.docker_config / "config.json"
    assert json.loads(config.read_text()) == {"auths": {"ghcr.io": {"auth": "dTpwNHNzd29yZA=="}}}
    assert config.stat().st_mode & 0o777 == 0o600
    assert not any("p4ssword" in line for line in bench.commands.ran)


def test_a_boot_brings_up_the_current_release_whatever_was_half_done(bench: Bench) -> None:
    bench.deploy(request(1))
    (bench.machine.caddy / "Caddyfile").write_text("# half of 2\n")
    bench.commands.ran.clear()
    bench.deployer().boot()
    assert (bench.machine.caddy / "Caddyfile").read_text() == "# 1\n"
    assert "r-000001" in next(line for line in bench.commands.ran if " up --detach" in line)


def test_a_boot_before_the_first_release_does_nothing(bench: Bench) -> None:
    bench.deployer().boot()
    assert bench.commands.ran == []


TAKES_THE_SERVER: list[dict[str, Any]] = [
    {"privileged": True},
    {"privileged": "${YES}"},
    {"network_mode": "host"},
    {"pid": "host"},
    {"volumes": ["/:/host"]},
    {"volumes": ["${ROOT}:/host"]},
    {"volumes": ["/etc${COLON}/host"]},
    {"volumes": [{"type": "bind", "source": "/", "target": "/host"}]},
    {"volumes": ["elsewhere:/x"]},
    {"devices": ["/dev/sda"]},
    {"cap_add": ["SYS_ADMIN"]},
    {"security_opt": ["apparmor:unconfined"]},
    {"ports": ["5432:5432"]},
    {"image": "anything:latest"},
    {"env_file": "/etc/shadow"},
    {"extends": {"file": "/etc/x"}},
    {"build": "."},
]


@pytest.mark.parametrize("extra", TAKES_THE_SERVER, ids=str)
def test_a_stolen_deploy_key_cannot_take_the_server(bench: Bench, extra: dict[str, Any]) -> None:
    compose = {"services": {"web": {"image": agent_bench.PINNED.format(1), **extra}}}
    with pytest.raises(DeployError, match="asks for what none may have"):
        bench.deploy(request(files={"compose.yaml": json.dumps(compose), "Caddyfile": ""}))
    assert bench.commands.steps() == []


@pytest.mark.parametrize(
    "extra",
    [
        {"include": ["x"]},
        {"volumes": {"v": {"driver_opts": {"type": "none", "o": "bind", "device": "/"}}}},
        {"volumes": {"v": {"external": True}}},
        {"networks": {"n": {"driver": "host"}}},
        {"configs": {"c": {"file": "/etc/shadow"}}},
        {"secrets": {"c": {"file": "/etc/shadow"}}},
    ],
    ids=str,
)
def test_nor_by_what_stands_beside_the_services(bench: Bench, extra: dict[str, Any]) -> None:
    compose = {"services": {"web": {"image": agent_bench.PINNED.format(1)}}, **extra}
    with pytest.raises(DeployError, match="asks for what none may have"):
        bench.deploy(request(files={"compose.yaml": json.dumps(compose), "Caddyfile": ""}))


def test_docker_reads_what_was_checked(bench: Bench) -> None:
    once = json.dumps({"services": {"web": {"image": agent_bench.PINNED.format(1)}}})
    twice = once.replace('"services"', '"services": {}, "services"')
    asked = request(files={"compose.yaml": twice, "Caddyfile": ""})
    bench.deploy(asked)
    assert (bench.release(asked) / "compose.yaml").read_text().count("services") == 1


@pytest.mark.parametrize(
    "bundle",
    [
        {"id": "../../etc"},
        {"files": {"compose.yaml": "", "Caddyfile": "", "../x": ""}},
        {"files": {"compose.yaml": ""}},
        {"data": ["../db"]},
        {"jobs": ["--help"]},
        {"environment": {"LD_PRELOAD": "/data/x.so"}},
        {"environment": {"BASH_FUNC_x%%": "() { id; }"}},
    ],
)
def test_names_that_reach_outside_are_refused(bundle: dict[str, Any]) -> None:
    with pytest.raises(DeployError):
        check_request(request(**bundle))


def test_a_secret_that_steers_docker_is_refused() -> None:
    with pytest.raises(DeployError, match="DOCKER_HOST"):
        check_request({**request(), "secrets": {"DOCKER_HOST": "tcp://elsewhere"}})
    assert releases.STEERS.pattern == compose.RESERVED.pattern


def test_another_protocol_is_refused_with_the_remedy() -> None:
    with pytest.raises(DeployError) as error:
        check_request({**request(), "protocol": 2})
    assert "pulumi up" in error.value.remedy
