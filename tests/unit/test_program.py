"""The whole program, run as the engine runs it, for every kind of stack."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from planning import access, cloud, images
from tests.unit.conftest import PROJECT, ROOT, Engine, Registered, RunProgram

BASE: Mapping[str, Any] = {"images": "registry.example/app", "hcloud:token": "t" * 64}
GIVEN: Mapping[str, Any] = {
    "images": "registry.example/app",
    "host": "198.51.100.7",
    "hostKey": "ssh-ed25519 " + "A" * 68,
    "hostSshKey": "-----BEGIN OPENSSH PRIVATE KEY-----\nhush\n-----END OPENSSH PRIVATE KEY-----",
}


@pytest.fixture(autouse=True)
def hetzner_sells_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "place", lambda **wanted: wanted["locations"][0])
    monkeypatch.setattr(cloud, "lasting", lambda **_: {})
    monkeypatch.setattr(access, "mistake", lambda *_, **__: None)


@pytest.fixture(autouse=True)
def the_registry_has_every_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(
        compose: Mapping[str, Any], prefix: str, *, version: str, **_: object
    ) -> images.Pins:
        digest = hashlib.sha256(version.encode()).hexdigest()
        return images.Pins(
            version=version,
            revision="",
            images={name: f"{prefix}/{name}@sha256:{digest}" for name in compose["services"]},
        )

    monkeypatch.setattr(images, "resolve", resolve)


def handed_over(engine: Engine, verb: str) -> dict[str, Any]:
    """What remote/hand_over.py is given on stdin."""
    (command,) = [
        each for each in engine.of_type("Command") if each.inputs["create"].endswith(verb)
    ]
    assert "stdin" in command.secret_inputs
    loaded: dict[str, Any] = json.loads(command.inputs["stdin"])
    return loaded


def recorded(engine: Engine) -> dict[str, Any]:
    """The state after a run, as the next run's engine answers it."""
    state = {}
    for at, each in enumerate(engine.registered):
        urn = f"urn:pulumi:x::{PROJECT}::{each.type}::{each.name}"
        outputs = {**each.inputs, **engine.component_outputs.get(each.name + each.type, {})}
        state[urn] = {"type": each.type, "outputs": {"id": str(at), **outputs}}
    stack = f"urn:pulumi:x::{PROJECT}::pulumi:pulumi:Stack::x"
    state[stack] = {"type": "pulumi:pulumi:Stack", "outputs": engine.outputs}
    return state


@pytest.mark.parametrize(
    ("stack", "hostname"),
    [("dev", "dev"), ("staging", "staging"), ("prod", "app"), ("feature-demo-hello", "hello")],
)
def test_every_stage_is_a_server_names_software_and_a_release(
    run_program: RunProgram, stack: str, hostname: str
) -> None:
    engine = run_program(stack, {**BASE, "zone": "example.org"})
    assert engine.outputs["url"] == f"https://{hostname}.example.org"
    assert engine.outputs["ipv4"] == "203.0.113.10"
    assert engine.outputs["ssh"] == "ssh root@203.0.113.10"
    kinds = [each.type.rpartition(":")[2] for each in engine.registered if each.custom]
    assert sorted(kinds) == sorted(
        ["PrimaryIp", "PrimaryIp", "Volume", "Firewall", "SshKey", "Server", "VolumeAttachment"]
        + ["ZoneRrset", "ZoneRrset", "Command", "Command"]
        + ["Stash"] * (4 if stack == "feature-demo-hello" else 3)
    )


def test_secrets_stay_secret(run_program: RunProgram) -> None:
    config = {
        **BASE,
        "zone": "example.org",
        "secrets": {"TOKEN": "hush-hush"},
        "registryUsername": "puller",
        "registryPassword": "hush-hush",
    }
    engine = run_program("feature-demo-x", config, {"secrets", "registryPassword"})
    assert engine.secret_outputs >= {"deploy_key", "password"}
    assert "hush" not in str(engine.outputs)
    for each in engine.registered:
        shown = {k: v for k, v in each.inputs.items() if k not in each.secret_inputs}
        assert "hush" not in str(shown), each.name
        assert "PRIVATE KEY" not in str(shown), each.name
    release = handed_over(engine, "deploy")
    assert release["secrets"] == {"TOKEN": "hush-hush"}
    assert release["registry"]["server"] == "registry.example"
    assert "hush" not in str(release["bundle"])
    for component, outputs in engine.component_outputs.items():
        shown = {
            key: value
            for key, value in outputs.items()
            if (component, key) not in engine.secret_component_outputs
        }
        assert "hush" not in str(shown), component


LOGIN = {"server": "registry.example", "username": "puller", "password": "hush-hush"}


def test_a_registry_login_of_the_environments_stays_where_there_is_none(
    run_program: RunProgram, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {**BASE, "zone": "example.org"}
    monkeypatch.setenv("REGISTRY_USERNAME", "puller")
    monkeypatch.setenv("REGISTRY_PASSWORD", "hush-hush")
    first = run_program("staging", config)
    assert handed_over(first, "deploy")["registry"] == LOGIN
    state = recorded(first)

    def again(config: Mapping[str, Any]) -> Any:
        engine.registered.clear()
        engine.state = state
        return handed_over(run_program("staging", config), "deploy")["registry"]

    monkeypatch.delenv("REGISTRY_PASSWORD")
    monkeypatch.delenv("REGISTRY_USERNAME")
    assert again(config) == LOGIN
    assert ("stagingdeployment-flow:index:Environment", "registry") in (
        engine.secret_component_outputs
    )
    # Nobody's password goes to a registry it is not of.
    assert again({**config, "images": "elsewhere.example/app"}) is None
    monkeypatch.setenv("REGISTRY_USERNAME", "another")
    monkeypatch.setenv("REGISTRY_PASSWORD", "hush")
    assert again(config) == {**LOGIN, "username": "another", "password": "hush"}


def test_a_rollback_and_every_up_until_the_next_version_are_behind(
    run_program: RunProgram, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(1_900_000_000, 2_000_000_000, 60))
    monkeypatch.setattr("time.time", lambda: float(next(clock)))

    def up(**settings: str) -> tuple[str, bool]:
        engine.registered.clear()
        run_program("staging", {**BASE, "zone": "example.org", **settings})
        engine.state = recorded(engine)
        release = handed_over(engine, "deploy")
        return release["bundle"]["version"], release.get("behind", False)

    runs = [{"version": "1.0"}, {"version": "2.0"}, {"rollback": "1.0"}, {}, {"version": "3.0"}]
    assert [up(**settings) for settings in runs] == [
        ("1.0", False), ("2.0", False), ("1.0", True), ("1.0", True), ("3.0", False),
    ]  # fmt: skip


def test_a_demo_is_small_hidden_ends_and_is_not_protected(run_program: RunProgram) -> None:
    engine = run_program("feature-demo-x", {**BASE, "zone": "example.org"})
    assert engine.one("Server", "feature-demo-x-server").inputs["serverType"] == "cx23"
    assert not any(each.protect for each in engine.registered)
    labels = engine.one("Volume").inputs["labels"]
    assert labels["branch"] == "feature-demo-x"
    assert labels["expires"] == str(int(engine.outputs["expires"]))
    release = handed_over(engine, "deploy")
    assert release["auth"]["password"] == engine.outputs["password"]
    assert "noindex" in release["bundle"]["files"]["Caddyfile"]


def test_a_stage_that_stays_is_public_and_has_no_end(run_program: RunProgram) -> None:
    engine = run_program("staging", {**BASE, "zone": "example.org"})
    assert "expires" not in engine.outputs
    assert "password" not in engine.outputs
    assert "noindex" not in handed_over(engine, "deploy")["bundle"]["files"]["Caddyfile"]


@pytest.mark.parametrize(
    ("stack", "protects"),
    [("prod", True), ("staging", False), ("dev", False), ("feature-demo-x", False)],
)
def test_only_production_is_protected_at_hetzner(
    run_program: RunProgram, stack: str, protects: bool
) -> None:
    engine = run_program(stack, {**BASE, "zone": "example.org"})
    assert engine.one("Server", f"{stack}-server").protect is protects
    kept = [each for kind in ("Server", "Volume", "PrimaryIp") for each in engine.of_type(kind)]
    assert len(kept) == 1 + 1 + 2 + 1, [each.name for each in kept]
    told = {each.name: bool(each.inputs.get("deleteProtection")) for each in kept if each.custom}
    assert set(told.values()) == {protects}, told


def test_a_demo_without_a_zone_answers_under_its_address(run_program: RunProgram) -> None:
    engine = run_program("feature-demo-x", BASE)
    assert engine.outputs["url"] == "https://x.203-0-113-10.sslip.io"
    assert engine.of_type("ZoneRrset") == []


def test_with_dns_elsewhere_the_outputs_name_the_records(run_program: RunProgram) -> None:
    engine = run_program("prod", {**BASE, "hostname": "app.example.org"})
    assert engine.of_type("ZoneRrset") == []
    assert [each["type"] for each in engine.outputs["dns_records"]] == ["A", "AAAA"]


def test_a_given_machine_needs_no_hetzner(run_program: RunProgram) -> None:
    engine = run_program("feature-demo-x", GIVEN, {"hostSshKey"})
    assert not any(each.type.startswith("hcloud:") for each in engine.registered)
    assert handed_over(engine, "provision")["connection"]["host"] == "198.51.100.7"
    assert engine.outputs["url"] == "https://x.198-51-100-7.sslip.io"


def test_names_resolve_before_a_certificate_is_asked_for(run_program: RunProgram) -> None:
    engine = run_program("dev", {**BASE, "zone": "example.org"})
    (release,) = [
        each for each in engine.of_type("Command") if each.inputs["create"].endswith("deploy")
    ]
    assert any("ZoneRrset" in urn for urn in release.depends_on) or _component_waits(engine)


def _component_waits(engine: Engine) -> bool:
    return any("ZoneRrset" in urn for urn in engine.one("Deployment").depends_on)


def test_a_second_run_asks_for_exactly_the_same(
    run_program: RunProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {**BASE, "zone": "example.org"}
    engine = run_program("feature-demo-x", config)
    first = {each.name + each.type: each for each in engine.registered}
    engine.state, expires = recorded(engine), engine.outputs["expires"]
    engine.registered = []

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a run that changes nothing asks nobody")

    monkeypatch.setattr(cloud, "place", refuse)
    monkeypatch.setattr(images, "resolve", refuse)
    monkeypatch.setattr("time.time", lambda: expires - 1000)
    run_program("feature-demo-x", config)
    assert engine.outputs["expires"] == expires
    for each in engine.registered:
        assert _comparable(each) == _comparable(first[each.name + each.type]), each.name


def _comparable(each: Registered) -> dict[str, Any]:
    """Inputs without what is new at every run and ignored where it is kept."""
    inputs = {k: v for k, v in each.inputs.items() if k not in each.ignore_changes}
    if each.type == "command:local:Command":
        return {"create": inputs["create"]}  # its connection holds this run's keys
    # Mocks answer with the key that was offered; the engine, with the kept one.
    return {key: value for key, value in inputs.items() if key != "publicKey"}


def test_a_loss_is_refused_before_anything_is_registered(run_program: RunProgram) -> None:
    config = {**BASE, "zone": "example.org"}
    engine = run_program("prod", config)
    engine.state = recorded(engine)
    engine.registered = []
    with pytest.raises(pulumi.RunError, match="image: debian-13 → debian-14"):
        run_program("prod", {**config, "image": "debian-14"})
    assert engine.registered == []


def test_mistakes_in_the_settings_end_it_before_anything_is_registered(
    run_program: RunProgram, engine: Engine
) -> None:
    with pytest.raises(pulumi.RunError, match="2 mistakes"):
        run_program("dev", {**BASE, "volumeSize": "ten"})
    assert engine.registered == []


def test_the_program_stays_a_page() -> None:
    assert len((ROOT / "__main__.py").read_text().splitlines()) <= 60
