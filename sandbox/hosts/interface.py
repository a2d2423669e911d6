"""What the Hetzner API asks of whatever runs the servers.

The API (`sandbox.hetzner`) calls these methods from worker threads and never
learns how a server is made. Addresses are plain addresses (`203.0.113.10`,
`2001:db8:1:7::1`), never networks; sizes are in gigabytes. Every method blocks
until the host is in the state asked for, and raises `HostError` with a cause
and a remedy when it cannot be.
"""

from dataclasses import dataclass
from typing import Literal, Protocol


class HostError(RuntimeError):
    """A host could not be brought into the state asked for."""


@dataclass(frozen=True)
class HostSpec:
    """One server, as first made or as rebuilt.

    `ipv6` is the server's own address inside its /64. `user_data` may be empty.
    """

    server_id: int
    name: str
    image: str
    user_data: str
    ssh_keys: tuple[str, ...]
    root_password_hash: str | None
    cores: int
    memory_gb: float
    ipv4: str | None
    ipv6: str | None


@dataclass(frozen=True)
class Rule:
    """One firewall rule: `networks` are sources for `in`, destinations for `out`.

    `port` is a number ("443"), a range ("8000-8010") or None (every port, or a
    protocol that has none).
    """

    direction: Literal["in", "out"]
    protocol: Literal["tcp", "udp", "icmp", "esp", "gre"]
    port: str | None
    networks: tuple[str, ...]


class Hosts(Protocol):
    """Servers and volumes that can be switched on and looked at."""

    def create(self, spec: HostSpec) -> None:
        """Make the server and boot it."""

    def delete(self, server_id: int) -> None:
        """Remove the server and its disk; volumes stay. A missing one is fine."""

    def power_on(self, server_id: int) -> None: ...

    def power_off(self, server_id: int) -> None:
        """Cut the power: nothing in the guest is asked."""

    def shutdown(self, server_id: int) -> None:
        """Ask the guest to stop, as its power button does."""

    def reboot(self, server_id: int) -> None:
        """Ask the guest to stop, then start it again."""

    def reset(self, server_id: int) -> None:
        """Cut the power, then start it again."""

    def rebuild(self, spec: HostSpec) -> None:
        """A fresh disk from an image; addresses, firewall and volumes stay."""

    def resize(self, server_id: int, cores: int, memory_gb: float) -> None: ...

    def set_addresses(self, server_id: int, ipv4: str | None, ipv6: str | None) -> None: ...

    def set_firewall(self, server_id: int, rules: tuple[Rule, ...] | None) -> None:
        """Apply rules from outside the guest.

        None: no firewall, everything passes. Otherwise inbound traffic without
        a matching rule is dropped (replies pass), and outbound traffic only if
        at least one `out` rule exists.
        """

    def create_volume(self, volume_id: int, size_gb: int, format: str | None) -> None: ...  # noqa: A002

    def delete_volume(self, volume_id: int) -> None: ...

    def resize_volume(self, volume_id: int, size_gb: int) -> None: ...

    def attach_volume(self, volume_id: int, server_id: int, automount: bool) -> None:
        """Show the volume in the guest as /dev/disk/by-id/scsi-0HC_Volume_<id>."""

    def detach_volume(self, volume_id: int) -> None: ...

    def state(self, server_id: int) -> Literal["running", "off", "missing"]: ...

    def cut_network(self, server_id: int, cut: bool) -> None:
        """Fault: the server keeps running and nobody reaches it."""

    def refuse_ssh(self, server_id: int, refuse: bool) -> None:
        """Fault: connections to port 22 are answered with a reset."""
