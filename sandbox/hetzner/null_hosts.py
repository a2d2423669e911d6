"""Hosts that are nothing but a note of what they were asked."""

from threading import Lock
from typing import Any, Literal

from sandbox.hosts.interface import HostError, HostSpec, Rule


class NullHosts:
    """Keeps every call and each server's state; for tests without containers.

    `fail` names methods whose next calls raise `HostError`.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.calls: list[tuple[Any, ...]] = []
        self.states: dict[int, Literal["running", "off"]] = {}
        self.specs: dict[int, HostSpec] = {}
        self.rules: dict[int, tuple[Rule, ...] | None] = {}
        self.volumes: dict[int, int | None] = {}
        self.fail: set[str] = set()

    def _note(self, name: str, *args: Any) -> None:
        with self._lock:
            self.calls.append((name, *args))
        if name in self.fail:
            raise HostError(f"{name} was told to fail")

    def _switch(self, name: str, server_id: int, state: Literal["running", "off"]) -> None:
        self._note(name, server_id)
        if server_id not in self.states:
            raise HostError(f"server {server_id} does not exist")
        self.states[server_id] = state

    def create(self, spec: HostSpec) -> None:
        """Running from now on."""
        self._note("create", spec.server_id)
        self.specs[spec.server_id] = spec
        self.states[spec.server_id] = "running"

    def delete(self, server_id: int) -> None:
        """Gone."""
        self._note("delete", server_id)
        self.states.pop(server_id, None)

    def power_on(self, server_id: int) -> None:
        """Running."""
        self._switch("power_on", server_id, "running")

    def power_off(self, server_id: int) -> None:
        """Off."""
        self._switch("power_off", server_id, "off")

    def shutdown(self, server_id: int) -> None:
        """Off."""
        self._switch("shutdown", server_id, "off")

    def reboot(self, server_id: int) -> None:
        """Running."""
        self._switch("reboot", server_id, "running")

    def reset(self, server_id: int) -> None:
        """Running."""
        self._switch("reset", server_id, "running")

    def rebuild(self, spec: HostSpec) -> None:
        """Running from another image."""
        self._switch("rebuild", spec.server_id, "running")
        self.specs[spec.server_id] = spec

    def resize(self, server_id: int, cores: int, memory_gb: float) -> None:
        """Noted."""
        self._note("resize", server_id, cores, memory_gb)

    def set_addresses(self, server_id: int, ipv4: str | None, ipv6: str | None) -> None:
        """Noted."""
        self._note("set_addresses", server_id, ipv4, ipv6)

    def set_firewall(self, server_id: int, rules: tuple[Rule, ...] | None) -> None:
        """Kept in `rules`."""
        self._note("set_firewall", server_id)
        self.rules[server_id] = rules

    def create_volume(self, volume_id: int, size_gb: int, format: str | None) -> None:  # noqa: A002
        """Kept in `volumes`."""
        self._note("create_volume", volume_id, size_gb, format)
        self.volumes[volume_id] = None

    def delete_volume(self, volume_id: int) -> None:
        """Gone from `volumes`."""
        self._note("delete_volume", volume_id)
        self.volumes.pop(volume_id, None)

    def resize_volume(self, volume_id: int, size_gb: int) -> None:
        """Noted."""
        self._note("resize_volume", volume_id, size_gb)

    def attach_volume(self, volume_id: int, server_id: int, automount: bool) -> None:
        """Kept in `volumes`."""
        self._note("attach_volume", volume_id, server_id, automount)
        self.volumes[volume_id] = server_id

    def detach_volume(self, volume_id: int) -> None:
        """Kept in `volumes`."""
        self._note("detach_volume", volume_id)
        self.volumes[volume_id] = None

    def state(self, server_id: int) -> Literal["running", "off", "missing"]:
        """As last switched."""
        return self.states.get(server_id, "missing")

    def cut_network(self, server_id: int, cut: bool) -> None:
        """Noted."""
        self._note("cut_network", server_id, cut)

    def refuse_ssh(self, server_id: int, refuse: bool) -> None:
        """Noted."""
        self._note("refuse_ssh", server_id, refuse)
