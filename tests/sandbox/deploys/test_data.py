"""Data on its volume: kept through boots and rebuilds, and never begun anew when it is missing."""

import secrets
import time
from typing import Any

import pytest
from hcloud.images import Image
from hcloud.volumes import BoundVolume

from remote.errors import HandOverError
from tests.sandbox.conftest import Cloud
from tests.sandbox.deploys.conftest import Applications, Host, MakeHost


@pytest.fixture(scope="module")
def volume(cloud: Cloud, host: Host) -> BoundVolume:
    created = cloud.client.volumes.create(
        size=10, name=f"data-{secrets.token_hex(3)}", format="ext4", server=host.server
    )
    for action in [created.action, *created.next_actions]:
        action.wait_until_finished()
    return created.volume


@pytest.fixture(scope="module")
def host(make_host: MakeHost) -> Host:
    return make_host(f"data-{secrets.token_hex(2)}")


@pytest.fixture(scope="module")
def release(host: Host, volume: BoundVolume, applications: Applications) -> dict[str, Any]:
    """Version 1.0.0, deployed with its data on the volume."""
    applications.point("app", host.address)
    applications.build("base")
    host.provision(volume_device=volume.linux_device)
    made = applications.bundle("1.0.0")
    host.deploy(made, registry=applications.pull)
    return made


def await_docker(host: Host, state: str) -> None:
    give_up = time.monotonic() + 90
    while host.ssh("systemctl is-active docker").stdout.strip() != state:
        assert time.monotonic() < give_up, host.ssh("systemctl status docker data.mount").stdout
        time.sleep(1)


def test_data_is_on_the_volume_and_there_after_a_boot(host: Host, release: dict[str, Any]) -> None:
    host.run("mountpoint -q /data && grep -q 1.0.0 /data/store/runs")
    host.server.reboot().wait_until_finished()
    host.wait()
    await_docker(host, "active")
    host.run("mountpoint -q /data && grep -q 1.0.0 /data/store/runs")
    assert host.deploy(release)["changed"] is False


def test_without_its_volume_an_application_stays_down_and_no_deploy_begins(
    host: Host, release: dict[str, Any], volume: BoundVolume, applications: Applications
) -> None:
    host.server.shutdown().wait_until_finished()
    volume.detach().wait_until_finished()
    host.server.power_on().wait_until_finished()
    host.wait()
    time.sleep(5)
    assert host.ssh("ls -A /data").stdout == ""
    assert host.ssh("systemctl is-active docker").stdout.strip() != "active"
    with pytest.raises(HandOverError, match=r"not mounted at /data; nothing was changed"):
        host.deploy(applications.bundle("1.1.0"))
    assert host.ssh("ls -A /data").stdout == ""
    host.server.shutdown().wait_until_finished()
    volume.attach(host.server, automount=False).wait_until_finished()
    host.server.power_on().wait_until_finished()
    host.wait()
    await_docker(host, "active")
    assert host.deploy(release)["version"] == "1.0.0"
    host.run("grep -q 1.0.0 /data/store/runs")


def test_a_rebuilt_server_gets_its_data_its_certificate_and_its_release_back(
    host: Host, release: dict[str, Any], volume: BoundVolume, applications: Applications
) -> None:
    runs, certificate = host.run("cat /data/store/runs"), host.certificate(release)
    # Of another server's Caddy, whose number may be another.
    host.run("chown -R 4242:4242 /data/.caddy")
    host.server.rebuild(Image(name="debian-13")).action.wait_until_finished()
    host.provision(volume_device=volume.linux_device)
    assert host.run("cat /data/store/runs") == runs
    assert host.deploy(release, registry=applications.pull)["tls"] == "issued"
    assert host.certificate(release) == certificate
    assert host.run("stat -c '%U %a' /data/.caddy") == "caddy 700"


def test_a_larger_volume_is_a_larger_filesystem(
    host: Host, release: dict[str, Any], volume: BoundVolume
) -> None:
    before = int(host.run("df --output=size -B1M /data | tail -1"))
    runs = host.run("cat /data/store/runs")
    volume.resize(12).wait_until_finished()
    # As on a rebuilt server, nothing has mounted it yet.
    host.run("systemctl disable docker.socket docker && sed -i '/scsi-0HC_Volume/d' /etc/fstab")
    host.server.reboot().wait_until_finished()
    host.wait()
    host.provision(volume_device=volume.linux_device, volume_size=12)
    assert int(host.run("df --output=size -B1M /data | tail -1")) > before + 1500
    assert host.run("cat /data/store/runs") == runs
    assert host.deploy(release)["version"] == "1.0.0"


def test_on_another_volume_the_application_begins_anew_and_none_is_left_mounted(
    host: Host, release: dict[str, Any], volume: BoundVolume, cloud: Cloud
) -> None:
    created = cloud.client.volumes.create(
        size=10, name=f"other-{secrets.token_hex(3)}", format="ext4", server=host.server
    )
    for action in [created.action, *created.next_actions]:
        action.wait_until_finished()
    other = created.volume
    host.provision(volume_device=other.linux_device)
    assert host.run("findmnt -nro SOURCE /data") == host.run(f"readlink -f {other.linux_device}")
    assert host.run("ls /data/store 2>/dev/null | wc -l") == "0"
    assert host.deploy(release)["version"] == "1.0.0"
    host.run("test -e /data/store/runs")
    # And none: what is written then is on the server's own disk, and a boot does not wait.
    host.provision()
    assert host.ssh("mountpoint -q /data").returncode != 0
    assert host.ssh("test -L /var/lib/caddy/.local/share/caddy").returncode != 0
    assert host.run("grep -c /data /etc/fstab || true") == "0"
    host.server.reboot().wait_until_finished()
    host.wait()
    await_docker(host, "active")
