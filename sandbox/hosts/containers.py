"""The container that is a server: made, started, stopped, looked into. Knows no records."""

from pathlib import Path
from typing import cast

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from sandbox.hosts import container as description
from sandbox.hosts import network
from sandbox.hosts.interface import HostError, HostSpec


class Containers:
    """The servers' containers by server number.

    directory  the sandbox they belong to
    authority  PEM of the authority they trust beside the public ones
    """

    def __init__(self, client: docker.DockerClient, directory: Path, authority: bytes) -> None:
        self._client = client
        self._directory = directory
        self._authority = authority

    def find(self, server_id: int) -> Container | None:
        """The container as it is now, or None."""
        try:
            return self._client.containers.get(description.name_of(server_id))
        except NotFound:
            return None

    def numbers(self) -> set[int]:
        """The servers of this sandbox that have a container."""
        listed = self._client.containers.list(
            all=True, filters={"label": f"{description.OWNER_LABEL}={self._directory}"}
        )
        return {int(found.labels[description.LABEL]) for found in listed}

    def make(self, spec: HostSpec) -> None:
        """A container that is off, with what its first boot reads. Raises `HostError`."""
        name = description.name_of(spec.server_id)
        ipv4 = spec.ipv4 or self._spare_address()
        try:
            description.make(self._client, name, description.config(spec, ipv4, self._directory))
            self.write(spec.server_id, description.first_files(spec, self._authority))
        except APIError as error:
            raise HostError(f"docker refused to make server {spec.name!r}: {error}") from error

    def write(self, server_id: int, archive: bytes) -> None:
        """Unpack a tar onto the server's disk, running or not."""
        self._client.api.put_archive(description.name_of(server_id), "/", archive)

    def start(self, server_id: int) -> None:
        """Boot it. Raises `HostError`; one that runs is left alone."""
        found = self.find(server_id)
        if found is None:
            raise HostError(f"server {server_id} has no container; rebuild or delete it")
        try:
            found.start()
        except APIError as error:
            raise HostError(f"docker refused to start server {server_id}: {error}") from error

    def stop(self, server_id: int) -> None:
        """Ask its init to stop; after `STOP_SECONDS` the power is cut."""
        if found := self.find(server_id):
            found.stop(timeout=description.STOP_SECONDS)

    def kill(self, server_id: int) -> None:
        """Cut its power."""
        found = self.find(server_id)
        if found is not None and found.status == "running":
            found.kill()
            found.wait(timeout=30)

    def remove(self, server_id: int) -> None:
        """Forget it and its disk."""
        if found := self.find(server_id):
            found.remove(force=True, v=True)

    def limit(self, server_id: int, cores: int, memory_gb: float) -> None:
        """Other limits, at once."""
        limits = description.limits(cores, memory_gb)
        self._client.api.update_container(
            description.name_of(server_id),
            cpu_period=limits["CpuPeriod"],
            cpu_quota=limits["CpuQuota"],
            mem_limit=limits["Memory"],
            memswap_limit=limits["MemorySwap"],
        )

    def readdress(self, server_id: int, ipv4: str | None) -> None:
        """Give it another IPv4 address."""
        name = description.name_of(server_id)
        found = self._client.networks.get(network.NETWORK)
        found.disconnect(name, force=True)
        found.connect(name, ipv4_address=ipv4 or self._spare_address())

    def pid(self, server_id: int) -> int:
        """Its init, as this machine sees it; 0 while it is off."""
        found = self.find(server_id)
        return int(found.attrs["State"]["Pid"]) if found is not None else 0

    def execute(self, server_id: int, script: str) -> None:
        """Run a shell script inside. Raises `HostError` with what it said."""
        found = self.find(server_id)
        if found is None:
            return
        code, output = found.exec_run(["sh", "-c", script])
        if code != 0:
            text = cast(bytes, output).decode(errors="replace").strip()
            raise HostError(f"server {server_id}: {text[-400:] or f'exit {code}'}")

    def _spare_address(self) -> str:
        """An address for Docker's books where the server is to have none."""
        taken = set()
        for other in self._client.containers.list(all=True, filters={"label": description.LABEL}):
            endpoint = other.attrs["NetworkSettings"]["Networks"].get(network.NETWORK) or {}
            taken.add((endpoint.get("IPAMConfig") or {}).get("IPv4Address"))
        for number in range(254, 250, -1):
            if (address := str(network.RANGE4[number])) not in taken:
                return address
        raise HostError("the sandbox holds at most four servers without a public IPv4 address")
