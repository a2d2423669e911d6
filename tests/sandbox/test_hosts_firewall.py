"""A firewall is enforced from outside the server, whatever runs inside."""

import socket
import time
from collections.abc import Iterator

import pytest
from hcloud.firewalls import BoundFirewall, FirewallResource, FirewallRule
from hcloud.servers import BoundServer

from sandbox.hosts import firewall, network
from sandbox.hosts.interface import Rule
from sandbox.lifecycle import Sandbox
from tests.sandbox.conftest import Cloud, ipv4, ipv6

EVERYBODY = ["0.0.0.0/0", "::/0"]
UNTIL_SERVED = "timeout 20 sh -c 'until curl -sf localhost:8080; do sleep .2; done'"
SSH = FirewallRule("in", "tcp", source_ips=EVERYBODY, port="22")


def is_open(address: str, port: int) -> bool:
    """Whether a connection is answered from this machine."""
    try:
        socket.create_connection((address, port), timeout=1.5).close()
    except OSError:
        return False
    return True


def is_filtered(address: str, port: int) -> bool:
    """Whether a connection is left without an answer, neither taken nor refused."""
    try:
        socket.create_connection((address, port), timeout=1.5).close()
    except TimeoutError:
        return True
    except OSError:
        return False
    return False


@pytest.fixture(scope="module")
def guarded(sandbox: Sandbox, cloud: Cloud, base_image: str) -> Iterator[BoundServer]:
    """A server with a container's port published (8080) and a service of its own (9090)."""
    server = cloud.create("guarded")
    registry = sandbox.credentials()["registry"]
    pull = registry["pull"]
    cloud.wait(ipv4(server))
    login = f"docker login -u {pull['username']} --password-stdin {registry['server']}"
    assert cloud.ssh(ipv4(server), login, text=pull["password"]).returncode == 0
    serve = "python3 -m http.server --bind :: --directory /srv"
    cloud.run(
        ipv4(server),
        f"docker run -d --restart=always -p 8080:80 -v /:/host:ro {base_image} "
        f"chroot /host {serve} 80 && systemd-run -q --unit own {serve} 9090",
        seconds=120,
    )
    cloud.run(ipv4(server), UNTIL_SERVED)
    yield server
    server.delete().wait_until_finished()


@pytest.fixture
def rules(cloud: Cloud, guarded: BoundServer) -> Iterator[BoundFirewall]:
    """A firewall at the server that lets SSH in; the test sets other rules."""
    made = cloud.client.firewalls.create(
        "guard", [SSH], resources=[FirewallResource("server", guarded)]
    )
    for action in made.actions or []:
        action.wait_until_finished()
    yield made.firewall
    for action in made.firewall.remove_from_resources([FirewallResource("server", guarded)]):
        action.wait_until_finished()
    made.firewall.delete()


def set_rules(found: BoundFirewall, *rules: FirewallRule) -> None:
    for action in found.set_rules(list(rules)):
        action.wait_until_finished()


def test_without_a_firewall_everything_is_open(guarded: BoundServer) -> None:
    for address in (ipv4(guarded), ipv6(guarded)):
        assert is_open(address, 8080)
        assert is_open(address, 9090)


def test_a_firewall_covers_ports_docker_publishes_in_both_families(
    cloud: Cloud, guarded: BoundServer, rules: BoundFirewall
) -> None:
    for address in (ipv4(guarded), ipv6(guarded)):
        assert is_open(address, 22)
        assert not is_open(address, 8080)
        assert not is_open(address, 9090)
    # Replies to what the server asks for come in.
    out = f"timeout 3 bash -c '< /dev/tcp/{network.REGISTRY4}/443' && echo out"
    assert cloud.run(ipv4(guarded), out) == "out"


def test_a_firewall_holds_after_a_reboot(
    cloud: Cloud, guarded: BoundServer, rules: BoundFirewall
) -> None:
    guarded.reset().wait_until_finished()
    cloud.wait(ipv4(guarded))
    assert not is_open(ipv4(guarded), 8080)
    set_rules(rules, SSH, FirewallRule("in", "tcp", source_ips=EVERYBODY, port="8000-8100"))
    cloud.run(ipv4(guarded), UNTIL_SERVED)
    assert is_open(ipv4(guarded), 8080)
    assert is_open(ipv6(guarded), 8080)


def test_a_guest_that_flushes_its_rules_is_guarded_again(
    cloud: Cloud, guarded: BoundServer, rules: BoundFirewall
) -> None:
    cloud.run(ipv4(guarded), "nft flush table ip mangle")
    give_up = time.monotonic() + 20
    while not is_filtered(ipv4(guarded), 9091):
        assert time.monotonic() < give_up
        time.sleep(0.5)


def test_a_rule_holds_for_its_sources_only(
    cloud: Cloud, guarded: BoundServer, rules: BoundFirewall, server: BoundServer
) -> None:
    here = [f"{network.GATEWAY4}/32", f"{network.GATEWAY6}/128"]
    set_rules(rules, SSH, FirewallRule("in", "tcp", source_ips=here, port="8080"))
    cloud.run(ipv4(guarded), UNTIL_SERVED)
    for address in (ipv4(guarded), ipv6(guarded)):
        assert is_open(address, 8080)
        knock = f"timeout 2 bash -c '< /dev/tcp/{address}/8080' 2>/dev/null || echo closed"
        assert cloud.run(ipv4(server), knock) == "closed"


def test_an_outbound_rule_closes_everything_else_outwards(
    cloud: Cloud, guarded: BoundServer, rules: BoundFirewall
) -> None:
    web = FirewallRule("out", "tcp", destination_ips=["0.0.0.0/0"], port="443")
    set_rules(rules, SSH, web)
    knock = "timeout 2 bash -c '< /dev/tcp/{}/{}' 2>/dev/null && echo open || echo closed"
    assert cloud.run(ipv4(guarded), knock.format(network.REGISTRY4, 443)) == "open"
    assert cloud.run(ipv4(guarded), knock.format(network.GATEWAY4, 14000)) == "closed"


def test_rules_become_chains_of_their_family() -> None:
    rules = (
        Rule("in", "tcp", "80-90", ("203.0.113.0/24", "2001:db8::/32")),
        Rule("in", "icmp", None, ("::/0",)),
    )
    four = firewall.render(rules, cut=False, refuse_ssh=False, version=4)
    six = firewall.render(rules, cut=False, refuse_ssh=False, version=6)
    assert "-A SANDBOX-IN -s 203.0.113.0/24 -p tcp --dport 80:90 -j RETURN" in four
    assert "icmp" not in four
    assert "-A SANDBOX-IN -s ::/0 -p ipv6-icmp -j RETURN" in six
    assert four.count("-A SANDBOX-OUT") == 0
    assert "-A" not in firewall.render(None, cut=False, refuse_ssh=False, version=4)
