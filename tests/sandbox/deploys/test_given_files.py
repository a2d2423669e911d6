"""Small files of the application on a real server: in its containers, and new where they change."""

import secrets
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sandbox.deploys.conftest import APPLICATION, Applications, Host, MakeHost

NOTE = "costs $5 of $HOME, ${TOKEN} and $$; the \u00fcmlaut's 'quote'\n  and an indented end\n"
SCRIPT = "#!/bin/sh\necho run as a program\n"


@pytest.fixture(scope="module")
def host(make_host: MakeHost, applications: Applications) -> Host:
    """A server on which nothing was deployed."""
    made = make_host(f"files-{secrets.token_hex(2)}")
    applications.point("files", made.address)
    applications.build("base")
    made.provision()
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The application, which mounts files beside its Compose file into two of its services."""
    compose = yaml.safe_load((APPLICATION / "compose.yaml").read_text())
    mounts = ["./note.txt:/etc/note.txt:ro", "./program:/usr/local/bin/program:ro"]
    for service in ("web", "db"):
        compose["services"][service]["volumes"] = mounts
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(compose))
    (tmp_path / "note.txt").write_text(NOTE)
    (tmp_path / "program").write_text(SCRIPT)
    (tmp_path / "program").chmod(0o755)
    return tmp_path


def note_in(host: Host, service: str) -> str:
    """The file as a container of the service has it, with its last line end."""
    listed = host.run(f"docker ps -q --filter label=com.docker.compose.service={service}")
    return host.ssh(f"docker exec {listed} cat /etc/note.txt").stdout


def test_files_are_in_containers_to_the_byte_and_changed_ones_replace_a_single_service_too(
    host: Host, applications: Applications, folder: Path
) -> None:
    def deploy(version: str) -> dict[str, Any]:
        made = applications.bundle(version, hostname="files", folder=folder)
        return host.deploy(made, registry=applications.pull)

    assert deploy("1.0.0")["changed"] is True
    assert note_in(host, "web") == note_in(host, "db") == NOTE
    assert host.run("docker exec app-db-1 program") == "run as a program"
    database = host.run("docker ps -q --no-trunc --filter name=app-db-1")
    # Another version with the same files leaves the database alone; other files do not.
    deploy("1.1.0")
    assert host.run("docker ps -q --no-trunc --filter name=app-db-1") == database
    (folder / "note.txt").write_text("another\n")
    assert deploy("1.1.0")["changed"] is True
    assert host.run("docker ps -q --no-trunc --filter name=app-db-1") != database
    assert note_in(host, "db") == "another\n"
    assert "another" in host.run(
        "docker exec $(docker ps -q --filter name=app-web) cat /etc/note.txt"
    )
