"""The sandbox's project folder, as values: what goes into its files."""

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flow import sandbox_project
from flow.errors import FlowError
from flow.sandbox_project import SandboxProject
from flow.sandbox_settings import merge, stack_settings

PASSWORD = 'it\'s "quoted" $(and) `odd`'


@pytest.fixture
def credentials(tmp_path: Path) -> dict[str, Any]:
    """As the sandbox makes them; its two certificates lie in `tmp_path`."""
    (tmp_path / "ca.pem").write_text("OWN AUTHORITY\n")
    (tmp_path / "trust.pem").write_text("OWN AUTHORITY AND PEBBLE\n")
    return {
        "endpoint": "http://127.0.0.1:7080/v1",
        "projects": {name: {"token": name * 8} for name in ("prod", "nonprod", "demo")},
        "registry": {
            "server": "registry.sandbox.test",
            "push": {"username": "push", "password": "push-word"},
            "pull": {"username": "pull", "password": PASSWORD},
        },
        "acme": {"directory": "https://acme.sandbox.test:14000/dir"},
        "objects": {
            "endpoint": "https://127.0.0.1:7095",
            "region": "eu-central",
            "access_key": "SANDBOX1",
            "secret_key": "hush",
        },
        "ca": str(tmp_path / "ca.pem"),
        "trust": str(tmp_path / "trust.pem"),
        "passphrase": PASSWORD,
        "passphrases": {each: f"{PASSWORD} of {each}" for each in ("prod", "nonprod", "demo")},
        "github": {
            "url": "http://127.0.0.1:7090",
            "api": "http://127.0.0.1:7090/api/v3",
            "users": {"maintainer": {"token": "ghp_test"}},
        },
    }


class FakeStacks:
    """Stands for the engine: keeps names, and writes what `config set --secret` would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: list[str] = []

    def names(self) -> list[str]:
        return []

    def create(self, name: str) -> None:
        self.calls.append(f"create {name}")
        self._change(name, lambda content: content.update(encryptionsalt="v1:salt"))
        own = "prod" if name == "prod" else "nonprod"
        state = self.folder.parent / f"state/{own}/.pulumi/stacks/deployment-flow"
        state.mkdir(parents=True, exist_ok=True)
        (state / f"{name}.json").write_text("{}")

    def unselect(self) -> None:
        self.calls.append("unselect")

    def set_secret(self, name: str, key: str, value: str) -> None:
        self.calls.append(f"secret {name} {key} {value}")
        self._change(name, lambda content: content["config"].update({key: {"secure": "v1:x"}}))

    def _change(self, name: str, change: Any) -> None:
        file = self.folder / f"Pulumi.{name}.yaml"
        content = yaml.safe_load(file.read_text())
        change(content)
        file.write_text(yaml.safe_dump(content))


@pytest.fixture
def project(
    tmp_path: Path, credentials: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> SandboxProject:
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "Pulumi.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "deployment-flow",
                "runtime": {"name": "python", "options": {"virtualenv": ".venv"}},
                "config": {"zone": {"type": "string", "default": "", "description": "a zone"}},
            }
        )
    )
    for stack in ("dev", "staging", "prod"):
        (root / f"Pulumi.{stack}.yaml").write_text("config: {deployment-flow:serverType: cx33}\n")
    made = SandboxProject(root, root / ".sandbox", credentials)
    fake = FakeStacks(made.folder)
    monkeypatch.setattr(SandboxProject, "stacks", property(lambda _: fake))
    return made


def _read(project: SandboxProject, name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((project.folder / name).read_text())
    return content


def _calls(project: SandboxProject) -> list[str]:
    calls: list[str] = project.stacks.calls  # type: ignore[attr-defined]
    return calls


def test_the_folder_points_back_at_the_program_and_its_environment(project: SandboxProject) -> None:
    project.write()
    written = _read(project, "Pulumi.yaml")
    assert written["name"] == "deployment-flow"
    assert (project.folder / written["main"]).resolve() == project.root
    assert written["runtime"]["options"]["virtualenv"] == "../../.venv"


def test_the_sandboxs_values_are_defaults_so_that_a_new_demo_needs_no_setting(
    project: SandboxProject,
) -> None:
    project.write()
    config = _read(project, "Pulumi.yaml")["config"]
    assert config["zone"] == {
        "type": "string",
        "default": "example-demo.test",
        "description": "a zone",
    }
    assert config["deployment-flow:images"]["default"] == "registry.sandbox.test/example"
    assert config["deployment-flow:acmeRoot"]["default"] == "OWN AUTHORITY\n"
    assert config["hcloud:endpoint"] == {"value": "http://127.0.0.1:7080/v1"}


def test_each_stage_gets_the_token_of_its_own_hetzner_project(project: SandboxProject) -> None:
    project.write()
    assert _calls(project) == [
        "create dev",
        f"secret dev hcloud:token {'nonprod' * 8}",
        "create staging",
        f"secret staging hcloud:token {'nonprod' * 8}",
        "create prod",
        f"secret prod hcloud:token {'prod' * 8}",
        "unselect",
    ]
    assert _read(project, "Pulumi.prod.yaml")["config"]["deployment-flow:zone"] == "example.test"


def test_writing_again_calls_the_engine_for_nothing_and_changes_no_file(
    project: SandboxProject,
) -> None:
    project.write()
    before = {p: p.stat().st_mtime_ns for p in project.folder.rglob("*") if p.name != "taken.json"}
    calls = list(_calls(project))
    project.write()
    assert _calls(project) == calls
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_change_of_the_committed_settings_arrives_and_a_persons_own_stays(
    project: SandboxProject,
) -> None:
    project.write()
    file = project.folder / "Pulumi.staging.yaml"
    own = yaml.safe_load(file.read_text())
    own["config"]["deployment-flow:hsts"] = True
    file.write_text(yaml.safe_dump(own))
    (project.root / "Pulumi.staging.yaml").write_text(
        "config: {deployment-flow:serverType: cx43}\n"
    )
    project.write()
    config = _read(project, "Pulumi.staging.yaml")["config"]
    assert config["deployment-flow:serverType"] == "cx43"
    assert config["deployment-flow:hsts"] is True
    assert config["hcloud:token"] == {"secure": "v1:x"}


def test_a_stack_whose_state_is_gone_is_made_again(project: SandboxProject) -> None:
    project.write()
    (project.directory / "state/nonprod/.pulumi/stacks/deployment-flow/dev.json").unlink()
    project.write()
    assert _calls(project)[-3:-1] == ["create dev", f"secret dev hcloud:token {'nonprod' * 8}"]


def test_only_the_owner_can_read_what_holds_secrets(project: SandboxProject) -> None:
    project.write()
    modes = {
        name: stat.S_IMODE((project.folder / name).stat().st_mode)
        for name in ("docker/config.json", "Pulumi.yaml", "certificates.pem")
    }
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(project.folder.stat().st_mode) == 0o700


def test_the_committed_files_stay_as_they_are(project: SandboxProject) -> None:
    before = {p: p.read_bytes() for p in project.root.glob("Pulumi*")}
    project.write()
    assert {p: p.read_bytes() for p in project.root.glob("Pulumi*")} == before


def test_a_checkout_without_the_program_is_named(project: SandboxProject) -> None:
    (project.root / "Pulumi.yaml").unlink()
    with pytest.raises(FlowError, match=r"Pulumi\.yaml is missing"):
        project.write()


def test_a_shell_reads_back_every_value_whatever_is_in_it(project: SandboxProject) -> None:
    script = project.exports() + "\nenv -0"
    shown = subprocess.run(
        ["/bin/sh", "-c", script],
        env={"PATH": "/usr/bin:/bin", "PULUMI_ACCESS_TOKEN": "real", "HCLOUD_CONTEXT": "real"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    seen = dict(line.split("=", 1) for line in shown.split("\0") if line)
    wanted = project.environment()
    assert {key: seen[key] for key in wanted if key != "PATH"} == {
        key: value for key, value in wanted.items() if key != "PATH"
    }
    assert seen["REGISTRY_PASSWORD"] == PASSWORD
    assert not {"PULUMI_ACCESS_TOKEN", "HCLOUD_CONTEXT"} & set(seen)


def test_production_s_and_the_demos_states_have_a_place_and_a_passphrase_of_their_own(
    project: SandboxProject, credentials: dict[str, Any]
) -> None:
    project.write()
    wanted = project.environment()
    for group in ("nonprod", "prod", "demo"):
        folder = wanted[f"PULUMI_BACKEND_URL_{group.upper()}"].removeprefix("file://")
        assert Path(folder) == project.directory / "state" / group
        assert Path(folder).is_dir()
        assert wanted[f"PULUMI_CONFIG_PASSPHRASE_{group.upper()}"] == f"{PASSWORD} of {group}"
    # Plain `pulumi` has those of dev and staging.
    assert wanted["PULUMI_BACKEND_URL"] == wanted["PULUMI_BACKEND_URL_NONPROD"]
    del credentials["passphrases"]
    one = SandboxProject(project.root, project.directory, credentials).environment()
    assert one["PULUMI_BACKEND_URL_PROD"] == one["PULUMI_BACKEND_URL_DEMO"]
    assert one["PULUMI_CONFIG_PASSPHRASE_DEMO"] == PASSWORD


def test_a_sandbox_of_an_older_version_keeps_the_one_state_it_has(project: SandboxProject) -> None:
    (project.directory / "state/.pulumi").mkdir(parents=True)
    wanted = project.environment()
    assert wanted["PULUMI_BACKEND_URL_PROD"] == f"file://{project.directory / 'state'}"
    assert wanted["PULUMI_CONFIG_PASSPHRASE_PROD"] == PASSWORD


def test_evaluating_the_environment_twice_does_not_lengthen_the_path(
    project: SandboxProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = project.environment()["PATH"]
    monkeypatch.setenv("PATH", once)
    assert project.environment()["PATH"] == once
    assert once.split(os.pathsep)[:3] == [
        str(project.folder / "bin"),
        str(project.root / ".venv/bin"),
        str(project.root / ".toolchain/bin"),
    ]


def test_docker_is_logged_in_to_the_sandboxs_registry_and_no_other(
    project: SandboxProject, credentials: dict[str, Any]
) -> None:
    project.write()
    config = json.loads((project.folder / "docker/config.json").read_text())
    assert list(config["auths"]) == ["registry.sandbox.test"]
    assert sandbox_project.docker_config(credentials) == config


def test_secrets_and_the_world_outside_do_not_reach_the_sandbox() -> None:
    committed = {
        "encryptionsalt": "v1:real",
        "config": {
            "deployment-flow:zone": "fieldwork.example",
            "deployment-flow:images": "ghcr.io/example-org/fieldwork",
            "deployment-flow:serverType": "cx33",
            "deployment-flow:secrets": {"secure": "v1:x"},
            "deployment-flow:registryPassword": {"secure": "v1:x"},
            "hcloud:token": {"secure": "v1:x"},
            "github:owner": "example-org",
        },
    }
    assert stack_settings(committed, "deployment-flow", "example.test") == {
        "deployment-flow:serverType": "cx33",
        "deployment-flow:zone": "example.test",
    }


_settings = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3))


@given(own=_settings, taken=_settings, wanted=_settings)
def test_merging_takes_over_exactly_what_changed(
    own: dict[str, int], taken: dict[str, int], wanted: dict[str, int]
) -> None:
    merged = merge(own, taken, wanted)
    for key in "abcd":
        changed = taken.get(key) != wanted.get(key)
        assert merged.get(key) == (wanted if changed else own).get(key)
