"""Two slots: what a release looks like in each, and how the traffic goes from one to the other."""

import json
from pathlib import Path
from typing import Any

import pytest

from components import bundle, caddyfile, compose
from remote.server.agent import caddy, main, slots
from remote.server.agent.commands import Commands
from remote.server.agent.errors import DeployError
from remote.server.agent.switching import DRAIN_SECONDS, connections
from tests.unit import agent_bench
from tests.unit.agent_bench import PINNED, Bench, request

SERVICES: dict[str, Any] = {
    "web": {
        "image": PINNED.format(1),
        "ports": ["127.0.0.1:20001:8080"],
        "links": ["api", "db:store"],
        "networks": {"front": None, "back": {"aliases": ["site"]}},
    },
    "api": {
        "image": PINNED.format(1),
        "depends_on": {"db": {"condition": "service_healthy"}},
    },
    "schedule": {
        "image": PINNED.format(1),
        "labels": {"deployment-flow.single": "true"},
        "depends_on": {"api": {"condition": "service_started"}},
    },
    "db": {"image": PINNED.format(2), "labels": ["deployment-flow.single=true"]},
    "migrate": {
        "image": PINNED.format(1),
        "profiles": ["job"],
        "depends_on": {"db": {}, "api": {}},
    },
}
DOUBLED = ["api", "web"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = agent_bench.make(tmp_path)
    made.commands.doubled.update(DOUBLED)
    return made


def asked(number: int, **more: Any) -> dict[str, Any]:
    files = {
        "compose.yaml": json.dumps({"services": SERVICES}),
        "Caddyfile": "# the same routes\n",
    }
    return request(number, files=files, doubled=DOUBLED, **more)


def test_the_slots_take_turns(bench: Bench) -> None:
    for number, slot in ((1, "blue"), (2, "green"), (3, "blue")):
        bench.deploy(asked(number))
        current = (bench.machine.state / "current").resolve()
        assert (current.parent, current.name) == (bench.release(asked(number)), slot)


def test_the_new_version_starts_beside_the_old_and_takes_over_once_it_is_well(
    bench: Bench,
) -> None:
    bench.deploy(asked(1))
    bench.commands.ran.clear()
    bench.commands.all_containers = ["c1 web", "c2 api", "c3 db", "c4 web.green"]
    bench.deploy(asked(2))
    assert [step.split()[0] for step in bench.commands.steps()] == [
        "job", "up", "stop", "up", "stop", "remove",
    ]  # fmt: skip
    beside, whole = (line for line in bench.commands.ran if " up --detach" in line)
    assert beside.endswith(" api.green db web.green")
    assert "/green/compose.yaml" in beside
    assert whole.endswith(" --wait-timeout 60")
    stopped = next(line for line in bench.commands.ran if " stop " in line)
    assert "/blue/compose.yaml stop api web" in stopped
    assert bench.commands.ran[-1] == "docker rm --force c1 c2"


def test_the_old_version_is_not_stopped_while_it_still_answers(bench: Bench) -> None:
    bench.deploy(asked(1))
    bench.open_connections.extend([3, 1, 0])
    bench.said.clear()
    bench.deploy(asked(2))
    assert bench.said.count("counted [20001]") == 3
    bench.open_connections.extend([1] * 2 * DRAIN_SECONDS)
    bench.deploy(asked(3))
    assert f"1 connections to the old version are cut after {DRAIN_SECONDS} s" in bench.said
    assert "counted [10001]" in bench.said


def slot(bench: Bench) -> str:
    """The slot that Caddy gives the traffic."""
    return "green" if (bench.machine.caddy / "deployment-flow.green").exists() else "blue"


def test_with_the_same_routes_no_configuration_is_loaded(bench: Bench) -> None:
    seen = []
    for number in (1, 2, 3):
        bench.deploy(asked(number))
        seen.append(slot(bench))
    assert seen == ["blue", "green", "blue"]
    assert bench.commands.steps().count("caddy") == 1


def test_other_routes_are_loaded(bench: Bench) -> None:
    bench.deploy(asked(1))
    other = asked(2)
    other["bundle"]["files"]["Caddyfile"] = "# others\n"
    bench.deploy(other)
    assert (bench.machine.caddy / "Caddyfile").read_text() == "# others\n"
    assert (bench.commands.steps().count("caddy"), slot(bench)) == (2, "green")


def test_before_the_switch_a_failure_touches_nothing_that_runs(bench: Bench) -> None:
    bench.deploy(asked(1))
    bench.commands.ran.clear()
    bench.probe.sick.add(10001)
    with pytest.raises(DeployError, match=r"web is not well: .*version 1\.0\.0 still serves"):
        bench.deploy(asked(2, targets=[{"service": "web", "port": 20001, "path": "/healthz"}]))
    assert slot(bench) == "blue"
    assert not [line for line in bench.commands.ran if " stop " in line]
    assert "/blue/compose.yaml" in [line for line in bench.commands.ran if " up " in line][-1]


def test_after_the_switch_a_failure_gives_the_traffic_back(bench: Bench) -> None:
    bench.deploy(asked(1))
    bench.commands.ran.clear()
    bench.probe.public_status = 502
    with pytest.raises(DeployError, match=r"through the web server.*version 1\.0\.0 serves again"):
        bench.deploy(asked(2))
    assert slot(bench) == "blue"
    assert [step.split()[0] for step in bench.commands.steps()] == ["job", "up", "up"]


def test_what_runs_once_and_fails_gives_the_traffic_back_too(bench: Bench) -> None:
    bench.deploy(asked(1))
    bench.commands.ran.clear()
    late = f"{bench.release(asked(2)).name}/green/compose.yaml up --detach --no-build"
    bench.commands.failing = {f"{late} --pull missing --wait --wait-timeout 60": ["unhealthy"]}
    original = bench.commands.run

    def run(arguments: Any, **more: Any) -> Any:
        line = " ".join(arguments)
        beside = line.endswith("web.green")
        failing, bench.commands.failing = bench.commands.failing, {}
        bench.commands.failing = {} if beside else failing
        ended = original(arguments, **more)
        bench.commands.failing = failing
        return ended

    bench.commands.run = run  # type: ignore[method-assign]
    with pytest.raises(DeployError, match=r"did not start.*version 1\.0\.0 serves again"):
        bench.deploy(asked(2))
    steps = [step.split()[0] for step in bench.commands.steps()]
    assert (steps, slot(bench)) == (["job", "up", "stop", "up", "up"], "blue")


def test_a_release_of_before_there_were_slots_gives_way_like_any_other(bench: Bench) -> None:
    bench.deploy(asked(1))
    old = bench.release(asked(1))
    for slot in slots.SLOTS:
        for file in (old / slot).iterdir():
            file.unlink()
        (old / slot).rmdir()
    manifest = json.loads((old / "manifest.json").read_text())
    del manifest["doubled"]
    (old / "manifest.json").write_text(json.dumps(manifest))
    (bench.machine.state / "current").unlink()
    (bench.machine.state / "current").symlink_to(Path("releases") / old.name)
    bench.commands.all_containers = ["c1 web", "c2 db"]
    bench.deploy(asked(2))
    assert (bench.machine.state / "current").resolve() == bench.release(asked(2)) / "green"
    assert "docker rm --force c1" in bench.commands.ran


def test_jobs_run_once_for_a_release_on_its_data(bench: Bench) -> None:
    for number in (1, 2, 1):
        bench.deploy(asked(number))
    assert sum(step.startswith("job") for step in bench.commands.steps()) == 2
    (bench.machine.data / "db").rmdir()
    bench.deploy(asked(2))
    assert sum(step.startswith("job") for step in bench.commands.steps()) == 3


def test_data_is_dumped_before_jobs_and_the_last_dumps_stay(bench: Bench) -> None:
    bench.commands.containers.append({"Service": "db", "Name": "app-db-1", "State": "running"})
    bench.commands.dump_labels = {"app-db-1": ["pg_dump old"]}
    for number in range(1, 7):
        bench.deploy(asked(number))
    steps = [step.split()[0] for step in bench.commands.steps()]
    assert steps[steps.index("dump") + 1] == "job"
    kept = sorted((bench.machine.state / "dumps").glob("*/db.dump"))
    assert 1 <= len(kept) <= 3
    assert all(each.read_text() == "dumped" for each in kept)


def test_a_dump_that_fails_stops_before_any_job(bench: Bench) -> None:
    bench.deploy(asked(1))
    bench.commands.ran.clear()
    bench.commands.containers.append({"Service": "db", "Name": "app-db-1", "State": "running"})
    bench.commands.dump_labels = {"app-db-1": ["pg_dump old"]}
    bench.commands.failing = {"docker exec app-db-1": ["no space left"]}
    with pytest.raises(DeployError, match=r"no space left; no job has run; version 1.* still"):
        bench.deploy(asked(2))
    assert not any(step.startswith("job") for step in bench.commands.steps())
    assert list((bench.machine.state / "dumps").iterdir()) == []


def test_a_dumps_wrong_command_is_mended_by_the_release_that_corrects_it(bench: Bench) -> None:
    bench.deploy(asked(1))
    bench.commands.containers.append({"Service": "db", "Name": "app-db-1", "State": "running"})
    bench.commands.dump_labels = {"app-db-1": ["pg_dump wrong"]}
    bench.commands.configured = {"db": {"labels": {"deployment-flow.dump": "pg_dump $$RIGHT"}}}
    bench.deploy(asked(2))
    assert "docker exec app-db-1 sh -c pg_dump $RIGHT" in bench.commands.ran


def test_a_boot_gives_the_traffic_to_the_slot_that_runs(bench: Bench) -> None:
    bench.deploy(asked(1))
    bench.deploy(asked(2))
    (bench.machine.caddy / "deployment-flow.green").unlink()
    bench.deployer().boot()
    assert slot(bench) == "green"


def test_a_log_is_asked_for_by_the_name_a_service_has_in_its_slot(bench: Bench) -> None:
    asked_for = []
    for number in (1, 2):
        bench.deploy(asked(number))
        asked_for.append(main._logged(bench.machine, ["web", "db", "20"])[1][-2:])
    assert asked_for == [["db", "web"], ["db", "web.green"]]
    with pytest.raises(DeployError, match=r"no service web\.green"):
        main._logged(bench.machine, ["web.green"])


def test_a_slot_calls_its_services_by_names_of_its_own(tmp_path: Path) -> None:
    made = slots.compose_in("green", {"services": SERVICES}, DOUBLED)["services"]
    assert set(made) == {"api.green", "db", "migrate", "schedule", "web.green"}
    web = made["web.green"]
    assert web["ports"] == ["127.0.0.1:10001:8080"]
    assert web["networks"] == {"front": {"aliases": ["web"]}, "back": {"aliases": ["site", "web"]}}
    assert web["external_links"] == ["app-api.green-1:api"]
    assert web["links"] == ["api.green:api", "db:store"]
    assert made["api.green"]["networks"] == {"default": {"aliases": ["api"]}}
    assert made["migrate"]["depends_on"] == {"db": {}, "api.green": {}}


def test_what_runs_once_is_the_same_in_both_slots() -> None:
    blue, green = (
        slots.compose_in(slot, {"services": SERVICES}, DOUBLED)["services"] for slot in slots.SLOTS
    )
    for name in ("schedule", "db"):
        assert blue[name] == green[name]
    assert "depends_on" not in blue["schedule"]
    assert blue["web"]["external_links"] == ["app-api-1:api"]


def test_what_a_new_version_waits_for_is_not_late() -> None:
    assert slots.late({"services": SERVICES}, DOUBLED) == {"schedule"}


def test_what_makes_a_service_single_is_said_once() -> None:
    assert slots.SINGLE == compose.SINGLE
    assert slots.port_in("green", bundle.FIRST_PORT) == bundle.FIRST_PORT - bundle.GREEN_BELOW
    assert (caddyfile.SLOT_FILE, caddyfile.HASH_PLACE) == (caddy.SLOT_FILE, caddy.HASH_PLACE)


@pytest.mark.parametrize(
    ("service", "twice"),
    [
        ({"image": "${IMAGES}/web:${VERSION}"}, True),
        ({"image": "x/web:$VERSION"}, True),
        ({"image": "${IMAGES}/web:${VERSION:-local}", "volumes": ["/cache"]}, True),
        ({"image": "${IMAGES}/web:${VERSION}", "volumes": ["uploads:/up"]}, False),
        ({"image": "x:${VERSION}", "volumes": [{"source": "uploads", "target": "/u"}]}, False),
        ({"image": "x:${VERSION}", "volumes": [{"type": "tmpfs", "target": "/u"}]}, True),
        ({"image": "x:${VERSION}", "labels": {"deployment-flow.job": "true"}}, False),
        ({"image": "x:${VERSION}", "labels": {"deployment-flow.single": "true"}}, False),
        ({"image": "redis:7"}, False),
        ({"image": "redis:7", "labels": ["deployment-flow.single=false"]}, True),
    ],
)
def test_what_runs_twice_is_known_without_a_label(service: dict[str, Any], twice: bool) -> None:
    assert compose.runs_twice(service) is twice


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"deployment-flow.single": "maybe"}, "neither true nor false"),
        ({"deployment-flow.single": "false"}, "two copies write to kept"),
        ({"deployment-flow.single": "true", "deployment-flow.job": "true"}, "no meaning for a job"),
    ],
)
def test_a_label_that_would_hurt_is_refused(labels: dict[str, str], said: str) -> None:
    checked = {
        "services": {
            "db": {"image": "x", "labels": labels, "volumes": ["kept:/data"]},
            "web": {"image": "y", "labels": {"deployment-flow.http": "80"}},
        },
        "volumes": {"kept": {"labels": {"deployment-flow.data": "true"}}},
    }
    assert [each for each in bundle.check(checked) if said in each]


def test_open_connections_are_counted_where_they_were_opened(tmp_path: Path) -> None:
    table = tmp_path / "tcp"
    table.write_text(
        "  sl  local_address rem_address   st\n"
        "   0: 0100007F:8E1C 0100007F:4E21 01 x\n"  # to 20001
        "   1: 0100007F:4E21 0100007F:8E1C 01 x\n"  # the other end of it
        "   2: 0100007F:8E1D 0100007F:4E21 06 x\n"  # closed
        "   3: 0100007F:8E1E 0100007F:2711 01 x\n"  # to 10001
    )
    assert connections([20001], str(table)) == 1
    assert connections([20001, 10001], str(table)) == 2
    assert connections([], str(table)) == 0


def test_a_commands_output_goes_to_a_private_file_and_its_words_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "out"
    ended = Commands().save(["sh", "-c", "printf data; echo words >&2; exit 3"], file, seconds=10)
    assert (ended.status, ended.lines) == (3, ("words",))
    assert file.read_bytes() == b"data"
    assert file.stat().st_mode & 0o777 == 0o600
