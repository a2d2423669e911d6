"""The whole program, run as the engine runs it, for every kind of stack."""

import hashlib
from collections.abc import Mapping
from typing import Any

import pytest

import cloud
import images
from tests.unit.conftest import RunProgram

BASE: Mapping[str, Any] = {"images": "registry.example/app", "hcloud:token": "t" * 64}


@pytest.fixture(autouse=True)
def hetzner_sells_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "place", lambda **wanted: wanted["locations"][0])


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


def test_staging_is_a_server_with_addresses_a_volume_and_names(run_program: RunProgram) -> None:
    engine = run_program("staging", {**BASE, "zone": "example.org"})
    assert engine.outputs["url"] == "https://staging.example.org"
    assert engine.one("Server", "staging-server").protect is False
    assert engine.one("Volume").protect is True
