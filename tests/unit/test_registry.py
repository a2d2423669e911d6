"""The sandbox's registry: one that an older version made is no registry, and is made anew."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker.errors
import httpx
import pytest

from sandbox.hosts import container, images, network
from sandbox.services import registry, registry_tokens
from sandbox.services.authority import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "ca")
    made.ensure()
    return made


class Containers:
    """Docker, as far as the registry asks it: at most one container."""

    def __init__(self) -> None:
        self.there: SimpleNamespace | None = None
        self.log: list[str] = []

    def get(self, name: str) -> SimpleNamespace:
        assert name == registry.CONTAINER
        if self.there is None:
            raise docker.errors.NotFound("no such container")
        return self.there

    def put(self, labels: dict[str, str], image: str = "image-1") -> None:
        def remove(**_: object) -> None:
            self.log.append("removed")
            self.there = None

        self.there = SimpleNamespace(
            labels=labels,
            attrs={"Image": image},
            status="running",
            remove=remove,
            start=lambda: None,
        )


@pytest.fixture
def containers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Containers:
    found = Containers()

    def make(_client: object, _name: str, config: dict[str, Any]) -> None:
        found.log.append("made")
        found.put(config["Labels"])

    monkeypatch.setattr(container, "make", make)
    monkeypatch.setattr(registry, "_DOCKER_TRUST", tmp_path / "certs.d/ca.crt")
    return found


def ensure(containers: Containers, authority: Authority) -> list[str]:
    """What was done to the container."""
    containers.log.clear()
    client: Any = SimpleNamespace(
        containers=containers,
        images=SimpleNamespace(get=lambda name: {images.FULL: SimpleNamespace(id="image-1")}[name]),
        api=SimpleNamespace(put_archive=lambda *_: None),
    )
    registry.ensure(client, authority)
    return containers.log


def test_a_registry_is_made_once(containers: Containers, authority: Authority) -> None:
    assert ensure(containers, authority) == ["made"]
    assert ensure(containers, authority) == []
    assert registry._DOCKER_TRUST.read_bytes() == authority.certificate.read_bytes()


def test_one_of_another_version_authority_or_image_is_made_anew(
    containers: Containers, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    containers.put({"deployment-flow.registry": "of passwords"})
    assert ensure(containers, authority) == ["removed", "made"]
    other = Authority(tmp_path / "other")
    other.ensure()
    assert ensure(containers, other) == ["removed", "made"]
    assert containers.there is not None
    containers.there.attrs["Image"] = "image-0"
    assert ensure(containers, other) == ["removed", "made"]
    monkeypatch.setattr(registry_tokens, "REALM", "https://elsewhere.test/token")
    assert ensure(containers, other) == ["removed", "made"]


@pytest.mark.parametrize(
    ("status", "challenge", "answers"),
    [
        (401, f'Bearer realm="{registry_tokens.REALM}",service="x"', True),
        (401, 'Basic realm="registry.sandbox.test"', False),
        (401, "", False),
        (200, "", False),
        (502, f'Bearer realm="{registry_tokens.REALM}"', False),
    ],
)
def test_only_a_registry_that_asks_for_tokens_answers(
    status: int,
    challenge: str,
    answers: bool,
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reply = httpx.Response(status, headers={"www-authenticate": challenge})
    monkeypatch.setattr(network, "exists", lambda: True)
    monkeypatch.setattr(httpx, "get", lambda *_args, **_kwargs: reply)
    assert registry.answers(authority) is answers
