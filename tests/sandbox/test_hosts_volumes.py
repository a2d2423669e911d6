"""Volumes are block devices that outlive their servers."""

from collections.abc import Callable

from hcloud.servers import BoundServer

from tests.sandbox.conftest import Cloud, ipv4


def test_a_volume_outlives_its_server_and_grows(
    cloud: Cloud, server: BoundServer, make_server: Callable[..., BoundServer]
) -> None:
    doomed = make_server("doomed")
    made = cloud.client.volumes.create(10, "survivor", server=doomed, format="ext4", automount=True)
    for action in [made.action, *made.next_actions]:
        action.wait_until_finished()
    volume, at = made.volume, f"/mnt/HC_Volume_{made.volume.id}"
    assert volume.linux_device == f"/dev/disk/by-id/scsi-0HC_Volume_{volume.id}"
    cloud.run(ipv4(doomed), f"echo data > {at}/file")
    # Its fstab line mounts it again at the next boot.
    doomed.reboot().wait_until_finished()
    assert cloud.run(ipv4(doomed), f"cat {at}/file") == "data"
    doomed.delete().wait_until_finished()

    volume.attach(server, automount=False).wait_until_finished()
    cloud.run(ipv4(server), f"mkdir -p /srv/v && mount {volume.linux_device} /srv/v")
    assert cloud.run(ipv4(server), "cat /srv/v/file") == "data"
    volume.resize(12).wait_until_finished()
    # Growing a mounted ext4 needs a right that root lacks on some machines.
    device = volume.linux_device
    cloud.run(
        ipv4(server),
        f"umount /srv/v && e2fsck -fp {device}; resize2fs {device} && mount {device} /srv/v",
    )
    assert int(cloud.run(ipv4(server), "df --output=size -BG /srv/v | tail -1").rstrip("G")) >= 11
    volume.detach().wait_until_finished()
    volume.delete()
