"""The registry stands for a team's own: TLS, passwords, and images that stay."""

import ssl

import httpx
from hcloud.servers import BoundServer

from sandbox.lifecycle import Sandbox
from tests.sandbox.conftest import Cloud, ipv4


def test_the_registry_wants_a_password(sandbox: Sandbox) -> None:
    known = sandbox.credentials()
    registry, context = known["registry"], ssl.create_default_context(cafile=known["ca"])
    with httpx.Client(
        base_url=f"https://{registry['server']}/v2/", verify=context, trust_env=False
    ) as client:
        assert client.get("").status_code == 401
        assert client.get("", auth=("pull", "wrong")).status_code == 401
        for user in ("push", "pull"):
            auth = (registry[user]["username"], registry[user]["password"])
            assert client.get("", auth=auth).status_code == 200


def test_a_server_pulls_what_this_machine_pushed(
    sandbox: Sandbox, cloud: Cloud, server: BoundServer, base_image: str
) -> None:
    registry = sandbox.credentials()["registry"]
    pull, address = registry["pull"], ipv4(server)
    cloud.wait(address)
    refused = cloud.ssh(address, f"docker pull -q {base_image}")
    assert "no basic auth credentials" in refused.stderr
    login = f"docker login -u {pull['username']} --password-stdin {registry['server']}"
    assert cloud.ssh(address, login, text=pull["password"]).returncode == 0
    assert cloud.run(address, f"docker pull -q {base_image}", seconds=90) == base_image
    version = cloud.run(address, f"docker run --rm {base_image} cat /etc/debian_version")
    assert version.startswith("13")
    cloud.run(address, f"docker logout {registry['server']}")
