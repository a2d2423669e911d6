"""Power, rebuild and size really happen, and each keeps what it must."""

import time
from collections.abc import Callable
from typing import cast

import pytest
from hcloud.images import Image
from hcloud.primary_ips import BoundPrimaryIP
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer, ServerCreatePublicNetwork

from sandbox.faults import Faults
from tests.sandbox.conftest import Cloud, ipv4, ipv6


@pytest.fixture(scope="module")
def machine(cloud: Cloud) -> BoundServer:
    """A server for tests that switch it about and leave it running."""
    return cloud.create("machine", user_data="#cloud-config\nruncmd: [touch /root/booted]\n")


def status(cloud: Cloud, server: BoundServer) -> str:
    """What the API says of it now."""
    return str(cloud.now(server).status)


def wait_for(cloud: Cloud, server: BoundServer, wanted: str, seconds: float = 25) -> None:
    give_up = time.monotonic() + seconds
    while status(cloud, server) != wanted:
        assert time.monotonic() < give_up, f"{status(cloud, server)}, not {wanted}"
        time.sleep(0.2)


def test_cutting_the_power_and_giving_it_back_keeps_the_disk(
    cloud: Cloud, machine: BoundServer
) -> None:
    cloud.run(ipv4(machine), "echo kept > /root/file && sync")
    machine.power_off().wait_until_finished()
    wait_for(cloud, machine, "off")
    assert cloud.ssh(ipv4(machine), "true").returncode == 255
    machine.power_on().wait_until_finished()
    assert cloud.run(ipv4(machine), "cat /root/file") == "kept"


def test_a_reset_boots_again(cloud: Cloud, machine: BoundServer) -> None:
    before = cloud.boot_id(ipv4(machine))
    machine.reset().wait_until_finished()
    assert cloud.boot_id(ipv4(machine)) != before


def test_a_clean_reboot_stops_services_first(cloud: Cloud, machine: BoundServer) -> None:
    unit = (
        "[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/true\\n"
        "ExecStop=/usr/bin/touch /root/stopped\\n[Install]\\nWantedBy=multi-user.target\\n"
    )
    cloud.run(
        ipv4(machine),
        f"printf '{unit}' > /etc/systemd/system/witness.service && "
        "systemctl enable -q --now witness && rm -f /root/stopped",
    )
    before = cloud.boot_id(ipv4(machine))
    machine.reboot().wait_until_finished()
    assert cloud.boot_id(ipv4(machine)) != before
    assert cloud.run(ipv4(machine), "ls /root/stopped") == "/root/stopped"


def test_a_reboot_from_inside_comes_back(cloud: Cloud, machine: BoundServer) -> None:
    before = cloud.boot_id(ipv4(machine))
    cloud.ssh(ipv4(machine), "reboot")
    cloud.wait_for_boot(ipv4(machine), before)
    assert status(cloud, machine) == "running"


def test_a_server_switched_off_from_inside_stays_off(cloud: Cloud, machine: BoundServer) -> None:
    cloud.wait(ipv4(machine))
    cloud.ssh(ipv4(machine), "poweroff")
    wait_for(cloud, machine, "off")
    machine.power_on().wait_until_finished()
    cloud.wait(ipv4(machine))


def test_a_bigger_type_gives_more_memory(cloud: Cloud, machine: BoundServer) -> None:
    limit = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes 2>/dev/null || cat memory.max"
    assert cloud.run(ipv4(machine), limit) == str(4 << 30)
    machine.shutdown().wait_until_finished()
    wait_for(cloud, machine, "off")
    machine.change_type(ServerType(name="cx33"), upgrade_disk=False).wait_until_finished()
    machine.power_on().wait_until_finished()
    assert cloud.run(ipv4(machine), limit) == str(8 << 30)


def test_a_rebuild_wipes_the_disk_and_keeps_addresses_and_volumes(
    cloud: Cloud, machine: BoundServer
) -> None:
    volume = cloud.client.volumes.create(10, "kept", server=machine, format="ext4")
    for action in [volume.action, *volume.next_actions]:
        action.wait_until_finished()
    device = volume.volume.linux_device
    cloud.run(ipv4(machine), f"touch /root/wiped && mount {device} /mnt && touch /mnt/kept")
    machine.rebuild(Image(name="debian-13")).action.wait_until_finished()
    assert cloud.run(ipv4(machine), "cloud-init status --wait; ls /root").endswith("booted")
    assert cloud.run(ipv6(machine), f"mount {device} /mnt && ls /mnt/kept") == "/mnt/kept"
    volume.volume.detach().wait_until_finished()
    assert cloud.run(ipv4(machine), f"test -e {device} || findmnt /mnt || echo gone") == "gone"
    volume.volume.delete()


def test_a_primary_address_moves_to_another_server(
    cloud: Cloud, make_server: Callable[..., BoundServer]
) -> None:
    moving: BoundPrimaryIP = cloud.client.primary_ips.create(
        type="ipv4", name="moving", location=cloud.client.locations.get_by_name("fsn1")
    ).primary_ip
    place = {"location": cloud.client.locations.get_by_name("fsn1")}
    first = make_server("first", public_net=ServerCreatePublicNetwork(ipv4=moving), **place)
    second = make_server("second", public_net=ServerCreatePublicNetwork(enable_ipv4=False), **place)
    assert cloud.run(str(moving.ip), "hostname") == "first"
    for one in (first, second):
        one.power_off().wait_until_finished()
    moving.unassign().wait_until_finished()
    moving.assign(cast(int, second.id), "server").wait_until_finished()
    second.power_on().wait_until_finished()
    assert cloud.run(str(moving.ip), "hostname") == "second"
    assert cloud.run(ipv6(second), "hostname") == "second"


def test_a_server_whose_network_is_cut_keeps_running_and_comes_back(
    cloud: Cloud, machine: BoundServer
) -> None:
    cloud.wait(ipv4(machine))
    before = cloud.boot_id(ipv4(machine))
    faults = Faults()
    with faults.during({"cut_network": "machine"}, project=cloud.project):
        assert "timed out" in cloud.ssh(ipv4(machine), "true").stderr
        assert status(cloud, machine) == "running"
    assert cloud.boot_id(ipv4(machine)) == before
    with faults.during({"refuse_ssh": "machine"}, project=cloud.project):
        assert "refused" in cloud.ssh(ipv4(machine), "true").stderr
    assert cloud.boot_id(ipv4(machine)) == before
    faults.close()
