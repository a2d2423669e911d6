"""A server made ready: what it then is, from outside and from inside."""

import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from remote import provisioning
from remote.errors import HandOverError
from tests.sandbox.conftest import Cloud
from tests.sandbox.deploys.conftest import Applications, Host, Key, MakeHost

Fault = Callable[[dict[str, Any]], Callable[[], None]]


@pytest.fixture(scope="module")
def host(make_host: MakeHost, cloud: Cloud) -> Host:
    """A provisioned server with a data volume."""
    made = make_host(f"provisioned-{secrets.token_hex(2)}")
    created = cloud.client.volumes.create(
        size=10, name=f"data-{secrets.token_hex(3)}", server=made.server
    )
    for action in [created.action, *created.next_actions]:
        action.wait_until_finished()
    device = str(created.volume.linux_device)
    answer = made.provision(volume_device=device)
    assert (answer["changed"], answer["cloud_init"]) == (True, "done")
    made.folder.joinpath("device").write_text(device)
    return made


def device_of(host: Host) -> str:
    return host.folder.joinpath("device").read_text()


def test_doing_it_again_changes_nothing_and_takes_a_moment(host: Host) -> None:
    started = time.monotonic()
    answer = host.provision(volume_device=device_of(host))
    assert answer["changed"] is False
    assert time.monotonic() - started < 5


def test_an_empty_volume_gets_a_filesystem_once_and_is_mounted_after_a_boot(host: Host) -> None:
    host.run("echo kept > /data/file && rm /etc/deployment-flow/stamp && umount /data")
    assert host.provision(volume_device=device_of(host))["changed"] is True
    assert host.run("cat /data/file") == "kept"
    assert device_of(host) in host.run("grep /data /etc/fstab")


def test_a_volume_that_holds_something_unknown_is_never_formatted(host: Host, cloud: Cloud) -> None:
    name = f"unknown-{secrets.token_hex(3)}"
    created = cloud.client.volumes.create(size=10, name=name, server=host.server)
    for action in [created.action, *created.next_actions]:
        action.wait_until_finished()
    device = str(created.volume.linux_device)
    # A partition table: no filesystem by itself, but somebody's data behind it.
    host.run(f"printf '\\125\\252' | dd of={device} bs=1 seek=510 conv=notrunc status=none")
    before = host.run(f"head -c 1M {device} | sha256sum")
    with pytest.raises(HandOverError):
        host.provision(volume_device=device)
    assert any("will not be formatted" in line for line in host.said), host.said
    assert host.run(f"head -c 1M {device} | sha256sum") == before
    # Refused before anything was stopped for it: what runs on the volume it has goes on.
    assert host.run("systemctl is-active docker") == "active"
    assert host.run("cat /data/file") == "kept"
    created.volume.detach().wait_until_finished()
    created.volume.delete()


def test_ssh_audit_finds_no_failure(host: Host) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ssh_audit.ssh_audit", "--level=fail", "--skip-rate-test",
         host.address],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "[fail]" not in done.stdout, done.stdout
    assert done.returncode in (0, 2), done.stdout + done.stderr  # 2: warnings only
    assert "ssh-ed25519" in host.run("sshd -T | grep -i '^hostkeyalgorithms'")


def test_keys_only(host: Host) -> None:
    effective = host.run("sshd -T")
    for line in ("passwordauthentication no", "permitrootlogin without-password",
                 "kbdinteractiveauthentication no", "x11forwarding no"):  # fmt: skip
        assert line in effective


def is_open(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def log_in(host: Host, applications: Applications) -> None:
    registry = applications.pull
    done = host.ssh(
        f"docker login -u {registry['username']} --password-stdin {registry['server']}",
        text=registry["password"],
    )
    assert done.returncode == 0, done.stderr


def test_only_ssh_and_the_web_are_open_even_when_docker_publishes_more(
    host: Host, applications: Applications
) -> None:
    applications.build("base")
    log_in(host, applications)
    host.run(
        f"docker run -d --name published -p 5432:5432 -p 8000:8000 {applications.prefix}/web:base"
    )
    time.sleep(1)
    assert host.run("exec 3<>/dev/tcp/127.0.0.1/8000 && echo open") == "open"
    listening = host.run("ss -Hltn | awk '{print $4}' | sed 's/.*://' | sort -un").split()
    ports = {22, 80, 443, 2375, 3306, 5432, 6379, 8000, 8080, *map(int, listening)}
    for address in (host.address, host.address6):
        with ThreadPoolExecutor(16) as threads:
            answers = threads.map(lambda port, at=address: (port, is_open(at, port)), ports)
            found = {port for port, answered in answers if answered}
        assert found <= {22, 80, 443}, address
        assert 22 in found
    host.run("docker rm -f published")


def test_containers_reach_other_servers_and_only_root_the_metadata(
    host: Host, applications: Applications, make_host: MakeHost
) -> None:
    applications.build("base")
    ask = "curl -sf --max-time 3 http://169.254.169.254/hetzner/v1/metadata/instance-id"
    host.run(ask)
    assert host.ssh(f"runuser -u caddy -- {ask}").returncode == 28  # timed out
    probe = (
        "docker run --rm --entrypoint perl {image} -MIO::Socket::IP -e "
        '\'print IO::Socket::IP->new(PeerAddr=>"{target}",Timeout=>3) ? "yes" : "no"\''
    )
    image = f"{applications.prefix}/web:base"
    log_in(host, applications)
    gateway = host.run("ip route show default | awk '{print $3}'")
    assert host.run(probe.format(image=image, target="169.254.169.254:80")) == "no"
    assert host.run(probe.format(image=image, target=f"{gateway}:53")) == "yes"
    neighbour = make_host(f"neighbour-{secrets.token_hex(2)}")
    neighbour.wait()
    for address in (neighbour.address, f"[{neighbour.address6}]", f"[{host.address6}]"):
        assert host.run(probe.format(image=image, target=f"{address}:22")) == "yes", address
    assert host.run(probe.format(image=image, target=f"[{neighbour.address6}]:2019")) == "no"


@pytest.mark.parametrize(
    "asked", ["", "bash", "id", "cat /etc/shadow", "status; id", "deploy --help", "scp -t /tmp"]
)
def test_the_deploy_key_runs_the_agent_and_nothing_else(host: Host, asked: str) -> None:
    done = host.ssh(asked, user="flow", key=host.deploy_key, text="")
    assert done.returncode != 0
    assert "uid=" not in done.stdout + done.stderr
    assert "root:" not in done.stdout
    assert '"ok": false' in done.stdout


def test_the_deploy_key_forwards_nothing_and_is_no_root_key(host: Host) -> None:
    assert host.ssh("true", user="root", key=host.deploy_key).returncode == 255
    assert host.ssh("status", user="flow", key=host.maintenance).returncode == 255
    assert '"ok": true' in host.ssh("version", user="flow", key=host.deploy_key).stdout
    key_file = host.folder / "forward"
    key_file.touch(mode=0o600)
    key_file.write_text(host.deploy_key.private)
    done = subprocess.run(
        ["ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-i", str(key_file),
         "-o", f"UserKnownHostsFile={host.folder / 'known_hosts'}",
         "-W", "127.0.0.1:2019", f"flow@{host.address}"],
        capture_output=True, timeout=30, check=False, input=b"",
    )  # fmt: skip
    assert done.returncode != 0


def test_the_agents_user_has_no_rights_of_its_own(host: Host) -> None:
    assert host.run("id -nG flow") == "flow"
    assert host.run("runuser -u flow -- sudo -n -l").count("NOPASSWD") == 1
    refused = host.ssh("runuser -u flow -- sudo -n /usr/local/lib/deployment-flow/"
                       "deployment-flow-agent --boot")  # fmt: skip
    assert refused.returncode != 0
    assert host.ssh("runuser -u flow -- docker ps").returncode != 0


def test_upgrades_are_automatic(host: Host) -> None:
    assert 'Unattended-Upgrade "1"' in host.run("apt-config dump | grep Unattended-Upgrade")


def test_a_user_who_may_sudo_serves_as_well_as_root(host: Host) -> None:
    host.run(
        "useradd -m ada; install -d -m 700 -o ada ~ada/.ssh; "
        "install -m 600 -o ada /root/.ssh/authorized_keys ~ada/.ssh/; rm /etc/deployment-flow/stamp"
    )
    as_ada = host.connection("ada", host.maintenance)
    with pytest.raises(HandOverError, match="may not become root"):
        host.provision(connection=as_ada, volume_device=device_of(host))
    host.run("echo 'ada ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ada")
    assert host.provision(connection=as_ada, volume_device=device_of(host))["changed"] is True


def test_another_host_key_stops_before_anything_is_sent(host: Host) -> None:
    before = host.run("ls -la --time-style=full-iso /tmp /etc/deployment-flow")
    real, host.host_key = host.host_key, Key.make()
    try:
        with pytest.raises(HandOverError, match=r"another host key .* nothing was sent"):
            host.provision()
    finally:
        host.host_key = real
    assert host.run("ls -la --time-style=full-iso /tmp /etc/deployment-flow") == before


def test_a_server_that_refuses_ssh_after_its_boot_is_waited_for(host: Host, fault: Fault) -> None:
    end = fault({"refuse_ssh": host.server.name})
    with pytest.raises(HandOverError, match=r"refused the SSH connection.*s of waiting") as error:
        host.provision(volume_device=device_of(host), boot_deadline=5)
    assert "pulumi up" in error.value.remedy
    end()
    fault({"refuse_ssh": host.server.name, "seconds": 8})
    host.said.clear()
    assert host.provision(volume_device=device_of(host), boot_deadline=60)["changed"] is False
    assert "is not ready" in host.said[0]


@pytest.mark.slow
def test_a_new_server_that_refuses_ssh_for_two_minutes_is_within_the_deadline_nobody_set(
    make_host: MakeHost, fault: Fault
) -> None:
    name = f"refusing-{secrets.token_hex(2)}"
    fault({"refuse_ssh": name, "seconds": 120})
    refusing = make_host(name)
    answer = refusing.provision(boot_deadline=provisioning.BOOT_SECONDS)
    assert (answer["changed"], answer["cloud_init"]) == (True, "done")
    waits = [line for line in refusing.said if "is not ready (" in line]
    assert len(waits) > 3
    assert "refused" in waits[-1]


def test_a_server_that_is_off_is_given_up_in_time_with_a_remedy(host: Host, fault: Fault) -> None:
    fault({"cut_network": host.server.name})
    started = time.monotonic()
    with pytest.raises(HandOverError, match="does not answer on SSH") as error:
        host.provision(boot_deadline=3)
    assert time.monotonic() - started < 30
    assert "check that the server runs" in error.value.remedy


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_bare_debian_gets_everything(make_host: MakeHost, applications: Applications) -> None:
    bare = make_host(f"bare-{secrets.token_hex(2)}", image="debian-13-bare")
    assert bare.provision()["changed"] is True
    assert any("docker-compose" in line and "caddy" in line for line in bare.said)
    assert bare.run("systemctl is-active docker caddy deployment-flow-firewall") == "\n".join(
        ["active"] * 3
    )
    assert bare.run("docker network inspect bridge --format '{{.EnableIPv6}}'") == "true"
    applications.build("base")
    made = applications.bundle("1.0.0")
    assert bare.deploy(made, registry=applications.pull)["version"] == "1.0.0"
