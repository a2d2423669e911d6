"""What the example's build script would build, and the shape of its Compose file."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from components import bundle

EXAMPLE = Path(__file__).parents[2] / "example"


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("example_build", EXAMPLE / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up by name
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((EXAMPLE / "compose.yaml").read_text("utf-8"))
    return loaded


def test_an_image_is_tagged_with_its_version_and_its_branch(build: ModuleType) -> None:
    images = {each.name: each for each in build.plan("r.test/x", "1.2.0", "staging", "c0", "base")}
    assert images["api"].references == ("r.test/x/api:1.2.0", "r.test/x/api:staging")
    assert images["web"].references == ("r.test/x/web:1.2.0", "r.test/x/web:staging")


def test_the_branch_tag_is_the_one_a_stage_looks_for(build: ModuleType) -> None:
    images = build.plan("r.test/x", "1.2.0", "feature-demo/wells", "c0", "base")
    assert images[1].references[1] == "r.test/x/api:feature-demo-wells"


def test_a_new_version_leaves_the_database_as_it_is(build: ModuleType) -> None:
    first = build.plan("r.test/x", "1.2.0", "staging", "c0", "base")[0]
    second = build.plan("r.test/x", "1.3.0", "main", "c1", "base")[0]
    assert first == second
    assert first.references == ("r.test/x/db:17",)


def test_version_commit_base_and_fault_reach_the_build(build: ModuleType) -> None:
    api = build.plan("r.test/x", "1.2.0", "staging", "c0", "base:1", "health")[1]
    command = api.build_command()
    for argument in ("BASE_IMAGE=base:1", "VERSION=1.2.0", "COMMIT=c0", "FAULT=health"):
        assert f"--build-arg={argument}" in command


@pytest.mark.parametrize("version", ["", "-1", "1.0/2", "$(id)", "1 0", "a" * 129])
def test_a_version_that_is_no_tag_is_refused(
    build: ModuleType, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        build.parse([f"--version={version}", "--branch=staging"])
    assert stopped.value.code == 2
    assert "--version" in capsys.readouterr().err


def test_the_build_script_and_the_application_know_the_same_faults(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE / "api"))
    faults = importlib.import_module("fieldwork.faults")
    assert build.FAULTS == faults.NAMES


def test_every_image_of_the_compose_file_is_built_by_the_script(
    build: ModuleType, compose: dict[str, Any]
) -> None:
    images = build.plan("${IMAGES:-fieldwork}", "0", "main", "c0", "base")
    built = {image.references[0].replace(":0", ":${VERSION:-local}") for image in images}
    assert {service["image"] for service in compose["services"].values()} == built


def test_only_the_page_is_published_and_only_to_this_machine(compose: dict[str, Any]) -> None:
    published = {
        name: service["ports"]
        for name, service in compose["services"].items()
        if "ports" in service
    }
    assert published == {"web": ["127.0.0.1:${PORT:-8080}:8080"]}


def test_every_service_runs_without_privileges_on_a_read_only_file_system(
    compose: dict[str, Any],
) -> None:
    for service in compose["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_database_lives_on_the_data_volume(compose: dict[str, Any]) -> None:
    assert compose["services"]["db"]["volumes"] == ["db:/var/lib/postgresql"]
    assert compose["volumes"]["db"]["labels"] == {"deployment-flow.data": "true"}


def test_no_image_runs_as_root_and_every_image_checks_its_health() -> None:
    for folder in ("web", "api", "db"):
        text = (EXAMPLE / folder / "Dockerfile").read_text("utf-8")
        users = [line.split()[1] for line in text.splitlines() if line.startswith("USER ")]
        assert users[-1:] not in ([], ["root"]), folder
        assert "HEALTHCHECK" in text, folder
        assert "ARG BASE_IMAGE=debian:trixie-slim" in text, folder


def test_the_compose_file_may_be_deployed_and_says_what_is_public(compose: dict[str, Any]) -> None:
    assert bundle.check(compose) == []
    pinned = dict.fromkeys(compose["services"], f"r.test/x@sha256:{'0' * 64}")
    rendered = bundle.render(
        bundle.Release(compose, "1.2.0", pinned, "r.test/x"),
        bundle.Public("staging.example.test"),
        bundle.Variables(secret_names=["POSTGRES_PASSWORD"]),
    )
    assert rendered["jobs"] == ["migrate"]
    assert rendered["data"] == ["db"]
    assert [(each["service"], each["path"]) for each in rendered["targets"]] == [
        ("api", "/api/heartbeat"),
        ("web", "/__lbheartbeat__"),
    ]
