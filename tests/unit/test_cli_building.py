"""What `flow build` would build: from a Compose file to `docker build`, as values."""

import base64
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from flow import building
from flow.errors import FlowError
from flow.foreign import FOREIGN
from flow.registry_login import signed_in
from tests.unit.variables_read import ROOT, known

EXAMPLE = ROOT / "example"
VARIABLES = {"IMAGES": "registry.test/x", "BASE_IMAGE": "base:1"}


def plan(compose: dict[str, Any], branch: str = "feature-demo/x") -> list[building.Image]:
    return building.plan(
        compose, version="1.2.0", branch=branch, commit="c0ffee", variables=VARIABLES
    )


def one(build: Any, image: str = "${IMAGES}/web:${VERSION}") -> building.Image:
    (made,) = plan({"services": {"web": {"image": image, "build": build}}})
    return made


def test_the_examples_images_are_tagged_with_version_and_branch_and_built_once() -> None:
    made = {each.service: each for each in plan(building.read(EXAMPLE / "compose.yaml"))}
    assert set(made) == {"web", "api", "db"}  # migrate and schedule are the api's image
    assert made["api"].references == (
        "registry.test/x/api:1.2.0",
        "registry.test/x/api:feature-demo-x",
    )
    assert "--build-arg=VERSION=1.2.0" in made["api"].command
    assert "--build-arg=COMMIT=c0ffee" in made["api"].command
    assert "--build-arg=BASE_IMAGE=base:1" in made["api"].command
    assert made["api"].command[-1] == "api"


def test_an_image_that_follows_no_version_is_not_made_new_by_one() -> None:
    made = {each.service: each for each in plan(building.read(EXAMPLE / "compose.yaml"))}
    assert made["db"].references == ("registry.test/x/db:17",)
    assert not [word for word in made["db"].command if "1.2.0" in word or "c0ffee" in word]


def test_every_image_of_a_version_says_version_and_commit_in_its_labels() -> None:
    command = one(".").command
    assert "--label=org.opencontainers.image.version=1.2.0" in command
    assert "--label=org.opencontainers.image.revision=c0ffee" in command


def test_a_build_in_its_long_form_keeps_dockerfile_target_and_arguments() -> None:
    command = one(
        {
            "context": "web",
            "dockerfile": "Dockerfile.web",
            "target": "site",
            "args": ["A=${VERSION}", "BASE_IMAGE", "UNSET"],
        }
    ).command
    assert "--file=web/Dockerfile.web" in command
    assert "--target=site" in command
    assert {"--build-arg=A=1.2.0", "--build-arg=BASE_IMAGE=base:1"} <= set(command)
    assert not [word for word in command if "UNSET" in word]


def test_what_docker_build_would_not_be_told_is_refused() -> None:
    with pytest.raises(FlowError, match="secrets"):
        one({"context": ".", "secrets": ["token"]})


def test_a_build_without_a_name_for_its_image_is_refused() -> None:
    with pytest.raises(FlowError, match="no `image:`"):
        one(".", image="")


def test_two_builds_of_one_image_name_are_refused() -> None:
    services = {
        name: {"image": "${IMAGES}/web:${VERSION}", "build": name} for name in ("one", "two")
    }
    with pytest.raises(FlowError, match="different images"):
        plan({"services": services})


def test_a_variable_without_a_value_is_named_with_its_place() -> None:
    with pytest.raises(FlowError, match=r"services.web.build: .*MISSING"):
        one({"context": ".", "args": {"A": "${MISSING}"}})


def test_nothing_to_build_is_an_error() -> None:
    with pytest.raises(FlowError, match="nothing to build"):
        plan({"services": {"db": {"image": "postgres"}}})


def test_the_push_credential_holds_for_the_run_alone_and_reaches_no_build(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"auths": {"other.test": {"auth": "x"}}, "credsStore": "desktop"})
    )
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("REGISTRY_PUSH_USERNAME", "pusher")
    monkeypatch.setenv("REGISTRY_PUSH_PASSWORD", "s3cret")
    with signed_in(["registry.test/x/web:1"]) as environment:
        file = Path(environment["DOCKER_CONFIG"]) / "config.json"
        config = json.loads(file.read_text())
        assert "s3cret" not in str(environment)
        assert file.stat().st_mode & 0o077 == 0
    assert base64.b64decode(config["auths"]["registry.test"]["auth"]) == b"pusher:s3cret"
    assert "other.test" in config["auths"]
    assert "credsStore" not in config
    assert not file.exists()


def test_half_a_push_credential_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_PUSH_USERNAME", "pusher")
    monkeypatch.delenv("REGISTRY_PUSH_PASSWORD", raising=False)
    with pytest.raises(FlowError, match="go together"), signed_in(["registry.test/x/web:1"]):
        pass


@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")])
def test_an_image_is_one_manifest_unless_a_team_wants_a_word_about_its_build_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$1 $BUILDX_NO_DEFAULT_ATTESTATIONS" >> {tmp_path}/said\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("BUILDX_NO_DEFAULT_ATTESTATIONS", raising=False)
    if given is not None:
        monkeypatch.setenv("BUILDX_NO_DEFAULT_ATTESTATIONS", given)
    image = building.Image("web", ("registry.test/x/web:1",), ("docker", "build", "."))
    building.build([image], tmp_path, push=False, on_line=lambda _: None)
    assert f"build {expected}" in (tmp_path / "said").read_text().splitlines()


def test_a_build_that_hangs_and_says_nothing_is_ended_at_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "BUILD_SECONDS", 0.3)
    said: list[str] = []
    script = "echo begun; echo $$ > pid; exec sleep 60"
    with pytest.raises(FlowError, match="`sh -c` was not over"):
        building._run(["sh", "-c", script], tmp_path, {"PATH": os.environ["PATH"]}, said.append)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert said == ["begun"]


def secrets() -> set[str]:
    """Every secret that this project knows by name: what is read, shut out, or kept at GitHub."""
    kept = re.findall(r"secrets\.(\w+)", (ROOT / ".github/workflows/flow.yml").read_text())
    word = re.compile(r"TOKEN|SECRET|PASSWORD|PASSPHRASE|KEY|IDENTITY|TICKET|WEBHOOK_URL|PEM")
    return {*kept, *(name for name in {*known(), *FOREIGN} if word.search(name))}


def test_the_secrets_are_found() -> None:
    assert secrets() >= {"BACKUP_TICKET", "FLOW_DUMP_IDENTITY", "FLOW_WEBHOOK_URL"}
    assert secrets() >= {"BACKUP_SECRET_ACCESS_KEY", "STATE_SECRET_ACCESS_KEY", "DEMO_SSH_KEY"}


@pytest.mark.parametrize("secret", sorted(secrets()))
def test_a_build_is_handed_no_secret(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(secret, "s3cret")
    assert secret not in building.variables({"images": "registry.test/x"})


def test_a_compose_file_that_names_a_secret_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", "s3cret")
    monkeypatch.setenv("BASE_IMAGE", "base:1")
    given = building.variables({"images": "registry.test/x"})
    assert given["BASE_IMAGE"] == "base:1"
    compose = {
        "services": {
            "web": {
                "image": "${IMAGES}/web:${VERSION}",
                "build": {"context": ".", "args": {"X": "${HCLOUD_TOKEN}"}},
            }
        }
    }
    with pytest.raises(FlowError, match="HCLOUD_TOKEN"):
        building.plan(compose, version="1", branch="main", commit="c", variables=given)
