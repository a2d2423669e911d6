"""The registry stands for a team's own: TLS, logins with rights, and images that stay."""

import secrets
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
from hcloud.servers import BoundServer

from planning import images
from sandbox.lifecycle import Sandbox
from sandbox.services import registry_tokens
from sandbox.services.authority import Authority
from tests.sandbox.conftest import Cloud, ipv4


class Docker:
    """The real client with a configuration folder of its own, as on a new machine."""

    def __init__(self, folder: Path, registry: dict[str, Any]) -> None:
        self._folder = folder
        self._registry = registry

    def __call__(
        self, *command: str, text: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """One command; the caller looks at the exit code."""
        return subprocess.run(
            ["docker", "--config", str(self._folder), *command],
            input=text, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip

    def login(self, user: str, password: str) -> "subprocess.CompletedProcess[str]":
        """Log in; the password goes where `ps` does not show it."""
        server = str(self._registry["server"])
        return self("login", "-u", user, "--password-stdin", server, text=password)


@pytest.fixture
def registry(sandbox: Sandbox) -> dict[str, Any]:
    """Its address and users, as credentials.json has them."""
    known: dict[str, Any] = sandbox.credentials()["registry"]
    return known


@pytest.fixture
def engine(tmp_path: Path, registry: dict[str, Any]) -> Docker:
    """Docker, logged in nowhere."""
    return Docker(tmp_path, registry)


@pytest.fixture
def web(sandbox: Sandbox, registry: dict[str, Any]) -> Iterator[httpx.Client]:
    """Any client that speaks the registry's protocol by hand."""
    context = ssl.create_default_context(cafile=sandbox.credentials()["ca"])
    with httpx.Client(
        base_url=f"https://{registry['server']}/v2/", verify=context, trust_env=False
    ) as client:
        yield client


def bearer(web: httpx.Client, user: dict[str, str], scope: str) -> dict[str, str]:
    """The header a user gets for a scope."""
    answer = web.get(
        registry_tokens.REALM,
        params={"service": "registry.sandbox.test", "scope": scope},
        auth=(user["username"], user["password"]),
    )
    return {"Authorization": f"Bearer {answer.raise_for_status().json()['token']}"}


def test_the_registry_sends_who_has_no_token_to_the_one_who_signs_them(
    web: httpx.Client, registry: dict[str, Any]
) -> None:
    push = registry["push"]
    for auth in (None, (push["username"], push["password"])):
        answer = web.get("", auth=auth)
        assert answer.status_code == 401
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith(f'Bearer realm="{registry_tokens.REALM}"')
    wrong = web.get(registry_tokens.REALM, auth=(push["username"], "wrong"))
    assert wrong.status_code == 401
    assert web.get("", headers=bearer(web, push, "")).status_code == 200


def test_docker_logs_in_with_the_right_password_only(
    engine: Docker, registry: dict[str, Any]
) -> None:
    refused = engine.login("pull", "wrong")
    assert refused.returncode != 0
    assert "unauthorized" in refused.stderr
    for user in (registry["pull"], registry["push"]):
        done = engine.login(user["username"], user["password"])
        assert done.returncode == 0, done.stderr


def test_who_may_only_pull_is_refused_a_push_and_who_may_push_is_not(
    engine: Docker, registry: dict[str, Any], base_image: str, web: httpx.Client
) -> None:
    mine = f"{registry['server']}/tests/mine-{secrets.token_hex(3)}"
    pull, push = registry["pull"], registry["push"]
    try:
        assert engine("tag", base_image, f"{mine}:1").returncode == 0
        engine.login(pull["username"], pull["password"])
        refused = engine("push", f"{mine}:1")
        assert refused.returncode != 0
        assert "denied: requested access to the resource is denied" in refused.stderr
        engine.login(push["username"], push["password"])
        assert engine("push", f"{mine}:1").returncode == 0
    finally:
        engine("rmi", f"{mine}:1")
    # Nor may it take away what others pushed, by whatever it asks for.
    path = mine.partition("/")[2]
    name = f"repository:{path}"
    reading = bearer(web, pull, f"{name}:pull,push,delete")
    accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
    found = web.get(f"{path}/manifests/1", headers={**accept, **reading}).raise_for_status()
    pushed = f"{path}/manifests/{found.headers['docker-content-digest']}"
    assert web.delete(pushed, headers=reading).status_code == 401
    assert web.delete(pushed, headers=bearer(web, push, f"{name}:delete")).status_code == 202


def test_a_token_that_has_expired_is_asked_for_again(
    sandbox: Sandbox, web: httpx.Client, registry: dict[str, Any], base_image: str
) -> None:
    scope = "repository:tests/base:pull"
    certificate, key = registry_tokens.signing(Authority(sandbox.directory / "ca"))

    def token(clock: float) -> dict[str, str]:
        issuer = registry_tokens.Issuer(registry["server"], certificate, key, lambda: clock)
        account = registry_tokens.Account("pull", frozenset({"pull"}))
        return {"Authorization": f"Bearer {issuer.issue('pull', account.access([scope]))['token']}"}

    # A minute is forgiven to clocks that differ.
    life = registry_tokens.LIFE_SECONDS + 61
    manifest = "tests/base/manifests/1"
    assert web.get(manifest, headers=token(time.time())).status_code == 200
    expired = web.get(manifest, headers=token(time.time() - life))
    assert expired.status_code == 401
    assert f'scope="{scope}"' in expired.headers["www-authenticate"]
    again = web.get(manifest, headers=bearer(web, registry["pull"], scope))
    assert again.status_code == 200
    assert base_image.endswith("tests/base:1")


def test_a_token_that_another_service_of_the_sandbox_signed_is_worth_nothing(
    sandbox: Sandbox, web: httpx.Client, registry: dict[str, Any], base_image: str
) -> None:
    authority = Authority(sandbox.directory / "ca")
    own = authority.issue(registry["server"])
    access = registry_tokens.Account("x", frozenset({"pull"})).access(
        ["repository:tests/base:pull"]
    )
    forged = registry_tokens.Issuer(registry["server"], *own).issue("x", access)["token"]
    headers = {"Authorization": f"Bearer {forged}"}
    assert (
        web.get(
            base_image.partition("/")[2].replace(":", "/manifests/"), headers=headers
        ).status_code
        == 401
    )


def test_what_a_release_is_made_of_is_found_with_the_pull_users_login(
    sandbox: Sandbox, registry: dict[str, Any], base_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURL_CA_BUNDLE", sandbox.credentials()["ca"])
    compose = {"services": {"web": {"image": base_image}}}
    prefix = base_image.rpartition("/")[0]

    def resolve(password: str) -> images.Pins:
        credentials = images.Credentials(registry["pull"]["username"], password)
        return images.resolve(compose, prefix, version="1", credentials=credentials)

    pinned = resolve(registry["pull"]["password"])["images"]["web"]
    with closing(docker.from_env()) as client:
        assert pinned in client.images.get(base_image).attrs["RepoDigests"]
    with pytest.raises(images.ImageError, match="its login answered 401"):
        resolve("wrong")


def test_a_server_pulls_what_this_machine_pushed(
    registry: dict[str, Any], cloud: Cloud, server: BoundServer, base_image: str
) -> None:
    pull, address = registry["pull"], ipv4(server)
    cloud.wait(address)
    refused = cloud.ssh(address, f"docker pull -q {base_image}")
    assert "unauthorized: a login is needed" in refused.stderr
    login = f"docker login -u {pull['username']} --password-stdin {registry['server']}"
    assert cloud.ssh(address, login, text=pull["password"]).returncode == 0
    assert cloud.run(address, f"docker pull -q {base_image}", seconds=90) == base_image
    version = cloud.run(address, f"docker run --rm {base_image} cat /etc/debian_version")
    assert version.startswith("13")
    cloud.run(address, f"docker logout {registry['server']}")
