"""A server is a real host: it boots, runs its user data, and is where its addresses say."""

import time
from collections.abc import Callable
from typing import Any, cast

import pytest
from hcloud.servers import BoundServer, ServerCreatePublicNetwork

from sandbox.hosts import network
from sandbox.lifecycle import Sandbox
from tests.sandbox.conftest import Cloud, ipv4, ipv6


def test_a_server_boots_runs_its_user_data_and_lets_its_key_in(
    cloud: Cloud, server: BoundServer
) -> None:
    address = ipv4(server)
    assert cloud.run(address, "cloud-init status --wait") == "status: done"
    assert cloud.run(address, "cat /root/user-data") == "applied"
    assert cloud.run(address, "systemctl is-system-running --wait") == "running"
    assert cloud.run(address, "hostname") == "shared"
    assert cloud.run(address, "docker info -f '{{.Driver}}'") == "overlay2"


def test_a_server_is_reached_within_seconds(
    cloud: Cloud, make_server: Callable[..., BoundServer]
) -> None:
    began = time.monotonic()
    cloud.wait(ipv4(make_server("quick")))
    assert time.monotonic() - began < 20


def test_a_server_is_reached_over_both_families_from_here_and_from_another_server(
    cloud: Cloud, server: BoundServer, make_server: Callable[..., BoundServer]
) -> None:
    other = make_server("other")
    cloud.wait(ipv4(server))
    assert cloud.run(ipv6(server), "hostname") == "shared"
    knock = f"timeout 3 bash -c 'head -c 3 < /dev/tcp/{ipv4(server)}/22'"
    assert cloud.run(ipv4(other), knock) == "SSH"
    assert cloud.run(ipv4(other), knock.replace(ipv4(server), ipv6(server))) == "SSH"
    seen = cloud.run(ipv6(other), "echo $SSH_CLIENT | cut -d' ' -f1")
    assert seen == network.GATEWAY6


def test_a_server_that_wants_no_ipv4_address_has_none(
    cloud: Cloud, make_server: Callable[..., BoundServer]
) -> None:
    made = make_server("six", public_net=ServerCreatePublicNetwork(enable_ipv4=False))
    assert cast(Any, made.public_net).ipv4 is None
    assert cloud.run(ipv6(made), "ip -4 -o addr show dev eth0") == ""


def test_a_server_reads_its_metadata(cloud: Cloud, server: BoundServer) -> None:
    base = "curl -sf http://169.254.169.254/hetzner/v1"
    address = ipv4(server)
    assert cloud.run(address, f"{base}/metadata/hostname") == "shared"
    assert cloud.run(address, f"{base}/metadata/instance-id") == str(server.id)
    assert cloud.run(address, f"{base}/metadata/public-ipv4") == address
    assert f"region: {cast(Any, server.location).network_zone}" in cloud.run(
        address, f"{base}/metadata"
    )
    assert cloud.run(address, f"{base}/userdata").startswith("#cloud-config")


def test_packages_can_be_installed_on_a_server(cloud: Cloud, server: BoundServer) -> None:
    assert cloud.run(ipv4(server), "apt-get update -q >/dev/null && apt-cache show hello | head -1")


def test_a_bare_server_has_no_docker(cloud: Cloud, make_server: Callable[..., BoundServer]) -> None:
    bare = make_server("bare", image="debian-13-bare")
    assert cloud.run(ipv4(bare), "command -v docker caddy || echo none") == "none"


@pytest.mark.slow
def test_ten_servers_run_at_once(cloud: Cloud, make_server: Callable[..., BoundServer]) -> None:
    servers = [make_server(f"many-{number}") for number in range(10)]
    for one in servers:
        assert cloud.run(ipv4(one), "hostname") == one.name


def test_status_names_every_server(sandbox: Sandbox, server: BoundServer) -> None:
    status = sandbox.status()
    assert status["running"]
    shown = {entry["id"]: entry for entry in status["servers"]}
    assert shown[server.id]["state"] == "running"
    assert shown[server.id]["ipv4"] == ipv4(server)
