"""One stage, whole: what depends on what, and names made of addresses."""

from typing import Any

import pytest

from components import bundle
from components.environment import (
    ApplicationArgs,
    Environment,
    EnvironmentArgs,
    PublicArgs,
    address_name,
    render,
)
from tests.unit.conftest import Engine, run
from tests.unit.test_server import ARGS as SERVER

PUBLIC: PublicArgs = {
    "label": "dev",
    "hostname": "dev.example.org",
    "address_domain": "sslip.io",
    "zone": "example.org",
    "acme_server": None,
    "acme_root": None,
    "acme_email": None,
    "hidden": False,
    "hsts": False,
}
APPLICATION: ApplicationArgs = {
    "release": bundle.Release(
        compose={
            "services": {"web": {"image": "app", "labels": {"deployment-flow.http": "80"}}},
        },
        version="1.0.0",
        images={"web": "r.example/app@sha256:" + "0" * 64},
        prefix="r.example",
    ),
    "environment": {"STAGE": "dev"},
    "secrets": {},
    "secret_names": [],
    "registry": None,
}


def made(engine: Engine, **public: Any) -> Engine:
    args: EnvironmentArgs = {
        "server": SERVER,
        "public": {**PUBLIC, **public},  # type: ignore[typeddict-item]
        "application": APPLICATION,
        "kept": {"version": "1.0.0"},
        "earlier": [],
        "now": 1,
        "admin_keys": ["ssh-ed25519 AAAA ada"],
        "software": "cafe",
        "boot_deadline": 300,
    }
    return run(engine, "dev", lambda: Environment("dev", args) and None)


def test_its_parts_are_its_children(engine: Engine) -> None:
    made(engine)
    parts = [each for each in engine.registered if each.type.startswith("deployment-flow:")]
    whole, *rest = parts
    assert whole.type.endswith(":Environment")
    assert {each.type.rpartition(":")[2] for each in rest} == {
        "Server",
        "Dns",
        "Provision",
        "Deployment",
    }
    assert all(each.parent.endswith("deployment-flow:index:Environment::dev") for each in rest)


def test_a_release_waits_for_the_software_and_for_its_name(engine: Engine) -> None:
    made(engine)
    deployment = engine.one("Deployment")
    assert any("ZoneRrset::dev-a" in urn for urn in deployment.depends_on)
    (release,) = [each for each in engine.of_type("Command") if each.name == "dev-release"]
    assert any("dev-provision" in urn for urn in release.depends_on)


def test_the_release_is_recorded_for_the_next_run(engine: Engine) -> None:
    made(engine)
    recorded = engine.component_outputs["devdeployment-flow:index:Environment"]
    assert recorded["release"] == {"version": "1.0.0"}
    assert [each["release"] for each in recorded["releases"]] == [{"version": "1.0.0"}]


def test_what_is_hidden_has_a_password_made_once(engine: Engine) -> None:
    made(engine, hidden=True)
    password = engine.one("Stash", "dev-password")
    assert password.ignore_changes == ("input",)
    assert password.secret_inputs == {"input"}
    assert len(password.inputs["input"]) >= 20


def test_what_is_public_has_none(engine: Engine) -> None:
    made(engine)
    assert not [each for each in engine.of_type("Stash") if "password" in each.name]


@pytest.mark.parametrize(
    ("ipv4", "ipv6", "name"),
    [
        ("203.0.113.7", "2001:db8::1", "x.203-0-113-7.sslip.io"),
        (None, "2001:db8::1", "x.2001-db8--1.sslip.io"),
    ],
)
def test_a_name_can_be_made_of_an_address(ipv4: str | None, ipv6: str | None, name: str) -> None:
    assert address_name("x", "sslip.io", ipv4, ipv6) == name


def test_a_stage_is_rendered_alike_every_time() -> None:
    first, second = (render(APPLICATION, PUBLIC, "dev.example.org") for _ in range(2))
    assert first == second
    assert first["url"] == "https://dev.example.org"
