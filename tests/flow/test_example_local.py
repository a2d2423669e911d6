"""Stage one of the flow: `docker compose up` of the example on a developer's machine."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

EXAMPLE = Path(__file__).parents[2] / "example"
BASE = "deployment-flow/base:trixie"
HOST_IMAGE = "deployment-flow/host:debian-13"

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(1200)]


def docker(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the Docker client for at most two minutes."""
    return subprocess.run(
        ["docker", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@dataclass(frozen=True)
class Project:
    """The example under a name, port and images of its own."""

    command: list[str]
    environment: dict[str, str]
    url: str

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.command, *arguments],
            cwd=EXAMPLE,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def up(self) -> None:
        self.compose("up", "--detach", "--wait")

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=10)

    def services(self) -> dict[str, dict[str, Any]]:
        """What `compose ps` says of every container, running or not, by service."""
        lines = self.compose("ps", "--all", "--format", "json").stdout.splitlines()
        return {each["Service"]: each for each in map(json.loads, lines)}

    def query(self, sql: str) -> str:
        """What psql prints for a query, unadorned."""
        shell = f'psql -h "$(hostname -i)" -U fieldwork -Atc "{sql}"'
        return self.compose(
            "exec", "-e", "PGPASSWORD=fieldwork", "db", "sh", "-c", shell
        ).stdout.strip()


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Returns once `condition` holds; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def compose_command(sandbox: object, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Compose: the machine's own, else the one of the servers' image."""
    if docker("compose", "version").returncode == 0:
        return ["docker", "compose"]
    plugin = tmp_path_factory.mktemp("compose") / "docker-compose"
    container = docker("create", HOST_IMAGE, "true").stdout.strip()
    docker("cp", f"{container}:/usr/libexec/docker/cli-plugins/docker-compose", str(plugin))
    docker("rm", container)
    return [str(plugin)]


@pytest.fixture(scope="module")
def project(compose_command: list[str]) -> Iterator[Project]:
    """The example, up; removed with its volumes and images when the module ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    name = f"fieldwork-{secrets.token_hex(4)}"
    files = ["-f", "compose.yaml"]
    engine = docker("version", "--format", "{{.Server.APIVersion}}").stdout.strip()
    if tuple(map(int, engine.split("."))) < (1, 44):
        files += ["-f", "docker-24.yaml"]
    environment = {"PORT": str(port), "IMAGES": name, "BASE_IMAGE": BASE, "STATS_EVERY": "1"}
    here = Project([*compose_command, "-p", name, *files], environment, f"http://127.0.0.1:{port}")
    try:
        here.up()
        yield here
    finally:
        here.compose("down", "--volumes", "--timeout", "5", "--rmi", "all", check=False)


def test_the_page_and_the_api_answer_with_their_version_and_stage(project: Project) -> None:
    page = project.get("/")
    assert page.status_code == 200
    assert '<span class="badge" id="version">local</span>' in page.text
    assert project.get("/api/version").json() == {
        "version": "local",
        "commit": "unknown",
        "stage": "local",
    }
    assert project.get("/__lbheartbeat__").json() == {"status": "ok"}
    assert project.get("/api/heartbeat").json() == {"status": "ok"}
    assert len(project.get("/api/tasks").json()) == 24


def test_every_file_of_the_page_is_its_own_and_is_served(project: Project) -> None:
    for file in ("style.css", "page.js", "icon.svg"):
        assert project.get(f"/{file}").status_code == 200
        assert "https://" not in (EXAMPLE / "web" / "site" / file).read_text("utf-8")
    assert project.get("/").headers["Content-Security-Policy"].startswith("default-src 'self'")


def test_every_migration_is_applied_once_and_in_order(project: Project) -> None:
    again = project.compose("run", "--rm", "--no-deps", "migrate")
    assert "migrate: 0 applied, 2 in all" in again.stdout
    assert project.query("SELECT name FROM migrations ORDER BY applied_at").split() == [
        "0001_tasks.sql",
        "0002_stats.sql",
    ]


def test_the_scheduled_job_counts_a_task_that_was_changed(project: Project) -> None:
    before = project.get("/api/stats").json()["mapped"]
    changed = httpx.put(f"{project.url}/api/tasks/7", json={"status": "mapped"}, timeout=10)
    assert changed.json()["status"] == "mapped"
    wait_until(lambda: project.get("/api/stats").json()["mapped"] == before + 1, seconds=10)


def test_a_status_that_does_not_exist_is_refused(project: Project) -> None:
    refused = httpx.put(f"{project.url}/api/tasks/7", json={"status": "lost"}, timeout=10)
    assert refused.status_code == 422
    missing = httpx.put(f"{project.url}/api/tasks/999", json={"status": "open"}, timeout=10)
    assert missing.status_code == 404


def test_only_the_page_is_reachable_and_only_from_this_machine(project: Project) -> None:
    published = {
        (name, each["URL"])
        for name, service in project.services().items()
        for each in service["Publishers"] or []
        if each["PublishedPort"]
    }
    assert published == {("web", "127.0.0.1")}


def test_a_database_that_is_away_is_noticed_and_its_return_too(project: Project) -> None:
    project.compose("stop", "db")
    assert project.get("/api/heartbeat").status_code == 503
    assert project.get("/__lbheartbeat__").status_code == 200
    project.compose("start", "db")
    wait_until(lambda: project.get("/api/heartbeat").status_code == 200, seconds=20)


def test_data_survives_down_and_up(project: Project) -> None:
    httpx.put(f"{project.url}/api/tasks/11", json={"status": "validated"}, timeout=10)
    project.compose("down")
    project.up()
    tasks = {task["id"]: task["status"] for task in project.get("/api/tasks").json()}
    assert tasks[11] == "validated"


def test_every_service_stops_cleanly_and_within_seconds(project: Project) -> None:
    started = time.monotonic()
    project.compose("stop")
    assert time.monotonic() - started < 6
    assert {name: each["ExitCode"] for name, each in project.services().items()} == {
        "web": 0,
        "api": 0,
        "schedule": 0,
        "db": 0,
        "migrate": 0,
    }
    project.up()


def test_a_failing_migration_stops_the_api_from_starting_and_leaves_no_trace(
    project: Project, tmp_path: Path
) -> None:
    fault = tmp_path / "fault.yaml"
    fault.write_text(
        "services: {migrate: {environment: {FIELDWORK_FAULT: migration}}}", encoding="utf-8"
    )
    project.compose("down")
    failed = project.compose("-f", str(fault), "up", "--detach", "--wait", check=False)
    assert failed.returncode != 0
    assert 'service "migrate" didn\'t complete successfully: exit 1' in failed.stderr
    assert "0003_fault.sql failed and left no trace" in project.compose("logs", "migrate").stdout
    assert project.services()["api"]["State"] == "created"
    assert project.query("SELECT count(*) FROM migrations") == "2"
    project.compose("down")
    project.up()
    assert project.get("/api/heartbeat").status_code == 200


@pytest.mark.parametrize(("fault", "status"), [("health", "unhealthy"), ("crash", "exited")])
def test_a_version_built_with_a_fault_is_seen_to_be_broken(
    project: Project, tmp_path: Path, fault: str, status: str
) -> None:
    override = tmp_path / "fault.yaml"
    health = "{interval: 1s, start_period: 0s, retries: 2}"
    override.write_text(
        f"services: {{api: {{restart: 'no', healthcheck: {health}, "
        f"environment: {{FIELDWORK_FAULT: {fault}}}}}}}",
        encoding="utf-8",
    )
    failed = project.compose("-f", str(override), "up", "--detach", "--wait", "api", check=False)
    assert failed.returncode != 0
    api = project.services()["api"]
    assert status in (api["Health"], api["State"])
    project.up()
    assert project.get("/api/heartbeat").status_code == 200


def test_a_second_version_is_built_in_seconds_and_leaves_the_database_image_alone(
    project: Project,
) -> None:
    prefix = project.environment["IMAGES"]

    def build(version: str) -> tuple[dict[str, Any], float]:
        started = time.monotonic()
        done = subprocess.run(
            [
                *(sys.executable, str(EXAMPLE / "build.py"), "--version", version, "--base", BASE),
                *("--branch", "feature-demo/wells", "--prefix", prefix, "--commit", "c0ffee"),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), time.monotonic() - started

    def image(name: str) -> dict[str, Any]:
        (found,) = json.loads(docker("image", "inspect", f"{prefix}/{name}").stdout)
        return dict(found)

    try:
        build("0.0.1")
        database = image("db:17")["Id"]
        report, seconds = build("0.0.2")
        assert seconds < 15
        assert image("db:17")["Id"] == database
        assert report["images"]["api"]["tags"] == [
            f"{prefix}/api:0.0.2",
            f"{prefix}/api:feature-demo-wells",
        ]
        for name in ("api", "web"):
            config = image(f"{name}:feature-demo-wells")["Config"]
            assert config["Labels"]["org.opencontainers.image.version"] == "0.0.2"
            assert config["Labels"]["org.opencontainers.image.revision"] == "c0ffee"
            assert config["User"] not in ("", "0", "root")
    finally:
        tags = ("0.0.1", "0.0.2", "feature-demo-wells")
        docker("rmi", *(f"{prefix}/{name}:{tag}" for name in ("api", "web") for tag in tags))
