"""Servers as system containers: systemd, sshd, cloud-init and Docker inside.

A server's disk is its container's filesystem (and one anonymous volume for the
Docker inside), so it survives a power cut and ends with a rebuild. Everything
that Docker does not keep (firewall, faults, volumes) is set again at each start.
"""

import dataclasses
import logging
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import docker
from docker.errors import DockerException

from sandbox.hosts import container as description
from sandbox.hosts import firewall, network
from sandbox.hosts.containers import Containers
from sandbox.hosts.host_records import HostRecord, HostRecords
from sandbox.hosts.interface import HostError, HostSpec, Rule
from sandbox.hosts.volumes import VolumeFiles

log = logging.getLogger(__name__)

REBOOT_EXIT = 129  # how a container ends whose init was told to reboot


class DockerHosts:
    """Implements `sandbox.hosts.interface.Hosts`; safe to use from many threads.

    directory  the sandbox's own; records go to `hosts/`, volumes to `volumes/`
    authority  PEM of the authority the servers trust beside the public ones
    """

    def __init__(self, client: docker.DockerClient, directory: Path, authority: bytes) -> None:
        self._containers = Containers(client, directory, authority)
        self._records = HostRecords(directory / "hosts")
        self._files = VolumeFiles(directory / "volumes")
        self._locks: defaultdict[int, threading.RLock] = defaultdict(threading.RLock)
        self._volumes_lock = threading.RLock()

    # -- servers ---------------------------------------------------------------

    def create(self, spec: HostSpec) -> None:
        """Make the server and boot it; cloud-init runs by itself afterwards."""
        with self._locks[spec.server_id]:
            self._containers.remove(spec.server_id)
            self._records.put(HostRecord(spec))
            self._containers.make(spec)
            self._start(spec.server_id)

    def delete(self, server_id: int) -> None:
        """Remove the server and its disk. Its volumes are detached and stay."""
        with self._locks[server_id]:
            self._containers.remove(server_id)
            self._records.remove(server_id)
            with self._volumes_lock:
                for volume_id in self._volumes_of(server_id):
                    self._records.attach(volume_id, None)
                    self._files.release(volume_id)

    def power_on(self, server_id: int) -> None:
        """Boot a server that is off."""
        with self._locks[server_id]:
            self._note(server_id, powered=True)
            self._start(server_id)

    def power_off(self, server_id: int) -> None:
        """Cut the power."""
        with self._locks[server_id]:
            self._note(server_id, powered=False)
            self._containers.kill(server_id)

    def shutdown(self, server_id: int) -> None:
        """Stop cleanly; the power of one that does not stop in time is cut."""
        with self._locks[server_id]:
            self._note(server_id, powered=False)
            self._containers.stop(server_id)

    def reboot(self, server_id: int) -> None:
        """Stop cleanly and start."""
        with self._locks[server_id]:
            self._containers.stop(server_id)
            self._note(server_id, powered=True)
            self._start(server_id)

    def reset(self, server_id: int) -> None:
        """Cut the power and start."""
        with self._locks[server_id]:
            self._containers.kill(server_id)
            self._note(server_id, powered=True)
            self._start(server_id)

    def rebuild(self, spec: HostSpec) -> None:
        """A fresh disk; firewall, faults and volumes stay."""
        with self._locks[spec.server_id]:
            self._note(spec.server_id, spec=spec, powered=True)
            self._containers.remove(spec.server_id)
            self._containers.make(spec)
            self._start(spec.server_id)

    def resize(self, server_id: int, cores: int, memory_gb: float) -> None:
        """Other limits, at once."""
        with self._locks[server_id]:
            record = self._note(server_id)
            spec = dataclasses.replace(record.spec, cores=cores, memory_gb=memory_gb)
            self._note(server_id, spec=spec)
            self._containers.limit(server_id, cores, memory_gb)

    def set_addresses(self, server_id: int, ipv4: str | None, ipv6: str | None) -> None:
        """Move the server to other public addresses; it may be running."""
        with self._locks[server_id]:
            record = self._note(server_id)
            if (record.spec.ipv4, record.spec.ipv6) == (ipv4, ipv6):
                return
            spec = dataclasses.replace(record.spec, ipv4=ipv4, ipv6=ipv6)
            self._note(server_id, spec=spec)
            self._containers.readdress(server_id, ipv4)
            self._settle(server_id)

    def set_firewall(self, server_id: int, rules: tuple[Rule, ...] | None) -> None:
        """Replace the server's rules; None: everything passes."""
        with self._locks[server_id]:
            self._note(server_id, rules=rules)
            self._settle(server_id)

    def cut_network(self, server_id: int, cut: bool) -> None:
        """Fault: drop every packet to and from the server."""
        with self._locks[server_id]:
            self._note(server_id, cut=cut)
            self._settle(server_id)

    def refuse_ssh(self, server_id: int, refuse: bool) -> None:
        """Fault: reset connections to port 22."""
        with self._locks[server_id]:
            self._note(server_id, refuse_ssh=refuse)
            self._settle(server_id)

    def state(self, server_id: int) -> Literal["running", "off", "missing"]:
        """What the server is doing now."""
        found = self._containers.find(server_id)
        if found is None:
            return "missing"
        return "running" if found.status == "running" else "off"

    # -- volumes ---------------------------------------------------------------

    def create_volume(self, volume_id: int, size_gb: int, format: str | None) -> None:  # noqa: A002
        """A new volume, with a filesystem when a format is given."""
        self._files.create(volume_id, size_gb, format)

    def delete_volume(self, volume_id: int) -> None:
        """Forget a volume and its bytes."""
        self.detach_volume(volume_id)
        self._files.delete(volume_id)

    def resize_volume(self, volume_id: int, size_gb: int) -> None:
        """Grow a volume's device, attached or not."""
        self._files.grow(volume_id, size_gb)

    def attach_volume(self, volume_id: int, server_id: int, automount: bool) -> None:
        """Show the volume in the server; with `automount` also at /mnt/HC_Volume_<id>."""
        with self._locks[server_id]:
            with self._volumes_lock:
                self._records.attach(volume_id, server_id)
            self._show_volumes(server_id)
            if automount and self.state(server_id) == "running":
                link = f"/dev/disk/by-id/scsi-0HC_Volume_{volume_id}"
                place = f"/mnt/HC_Volume_{volume_id}"
                line = f"{link} {place} auto discard,nofail,defaults 0 0"
                self._containers.execute(
                    server_id,
                    f"mkdir -p {place} && (grep -qF '{line}' /etc/fstab || echo '{line}' "
                    f">> /etc/fstab) && systemctl daemon-reload && mount {place}",
                )

    def detach_volume(self, volume_id: int) -> None:
        """Take the volume away, mounted or not, as pulling it out would."""
        with self._volumes_lock:
            server_id = self._records.attachments().get(volume_id)
        if server_id is None:
            return
        with self._locks[server_id]:
            link = f"/dev/disk/by-id/scsi-0HC_Volume_{volume_id}"
            if self.state(server_id) == "running":
                self._containers.execute(
                    server_id,
                    f'node=$(readlink -f {link}); for at in $(findmnt -no TARGET -S "$node"); '
                    'do umount "$at" || umount -l "$at"; done',
                )
            with self._volumes_lock:
                self._records.attach(volume_id, None)
            self._show_volumes(server_id)
            self._files.release(volume_id)

    # -- the whole -------------------------------------------------------------

    def resume(self) -> None:
        """Start every server that ought to run and does not, several at a time.

        Servers nobody knows any more (their records were removed by hand) end here.
        """
        known = {record.spec.server_id for record in self._records.all()}
        for server_id in self._containers.numbers() - known:
            self._containers.remove(server_id)
        asked = [record.spec.server_id for record in self._records.all() if record.powered]
        down = [server_id for server_id in asked if self.state(server_id) == "off"]
        with ThreadPoolExecutor(4) as pool:
            for server_id, outcome in zip(down, pool.map(self._try_start, down), strict=True):
                if outcome is not None:
                    log.error("server %s did not start: %s", server_id, outcome)
        for server_id in set(asked) - set(down):
            if self.state(server_id) == "running":
                self._settle(server_id)

    def suspend(self) -> None:
        """Stop every server cleanly, remembering which ran."""
        running = [r.spec.server_id for r in self._records.all() if self._is_running(r)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self._containers.stop, running))
        self._files.release_all()

    def check(self) -> None:
        """Set firewalls again that a guest's own `flush ruleset` removed."""
        for record in self._records.all():
            server_id = record.spec.server_id
            if record.rules is None and not record.cut:
                continue
            with self._locks[server_id]:
                pid = self._containers.pid(server_id)
                if pid and not firewall.is_applied(pid):
                    self._settle(server_id)

    def server_ended(self, server_id: int, exit_code: int) -> None:
        """A container ended: a reboot from inside starts again, a poweroff stays off."""
        with self._locks[server_id]:
            record = self._records.get(server_id)
            if record is None or not record.powered or self.state(server_id) != "off":
                return
            if exit_code == REBOOT_EXIT:
                self._start(server_id)
            else:
                self._note(server_id, powered=False)

    # -- inside ----------------------------------------------------------------

    def _note(self, server_id: int, **changes: Any) -> HostRecord:
        record = self._records.get(server_id)
        if record is None:
            raise HostError(f"there is no server {server_id} on this machine")
        if changes:
            record = dataclasses.replace(record, **changes)
            self._records.put(record)
        return record

    def _is_running(self, record: HostRecord) -> bool:
        return self.state(record.spec.server_id) == "running"

    def _try_start(self, server_id: int) -> Exception | None:
        try:
            with self._locks[server_id]:
                self._start(server_id)
        except (HostError, DockerException) as error:
            return error
        return None

    def _start(self, server_id: int) -> None:
        if self.state(server_id) == "off":
            self._write_volumes(server_id)
        self._containers.start(server_id)
        self._settle(server_id)

    def _settle(self, server_id: int) -> None:
        """Set what Docker does not keep: the firewall, faults, addresses it added."""
        record = self._records.get(server_id)
        pid = self._containers.pid(server_id)
        if record is None or not pid:
            return
        firewall.apply(pid, record.rules, cut=record.cut, refuse_ssh=record.refuse_ssh)
        network.settle_addresses(pid, record.spec.ipv4, record.spec.ipv6)

    def _volumes_of(self, server_id: int) -> list[int]:
        return sorted(v for v, s in self._records.attachments().items() if s == server_id)

    def _write_volumes(self, server_id: int) -> None:
        lines = []
        with self._volumes_lock:
            for volume_id in self._volumes_of(server_id):
                node, major, minor = self._files.device_number(volume_id)
                lines.append(f"{volume_id} {major} {minor} {node}\n")
        files = description.archive({"etc/sandbox/volumes": "".join(lines).encode()})
        self._containers.write(server_id, files)

    def _show_volumes(self, server_id: int) -> None:
        if self.state(server_id) == "missing":
            return
        self._write_volumes(server_id)
        if self.state(server_id) == "running":
            self._containers.execute(server_id, "sandbox-volumes && systemctl daemon-reload")
