"""A stage's host: a server made at Hetzner with what outlives it, or a machine that exists.

Both give the same attributes, so nothing after this asks which of the two it is.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_hcloud as hcloud

from components import cloud_init
from components.firewall import firewall_rules
from components.keys import KeyPair

SSH_PORT = 22
# A new key or first-boot script must not replace a server (terraform-provider-hcloud#372): what
# they change reaches a running one through `Provision`. publicNets: where the state does not
# know a server's addresses (it was adopted), the provider would delete the ones it has. image is
# for plan.check, which asks first.
FIRST_BOOT_PROPERTIES = ["userData", "sshKeys", "publicNets", "image"]


class Connection(TypedDict):
    """How to reach a host over SSH."""

    host: pulumi.Input[str]
    port: pulumi.Input[int]
    user: pulumi.Input[str]
    key: pulumi.Input[str]
    """OpenSSH private key; secret."""
    known_hosts: pulumi.Input[str]
    """Lines of a known_hosts file; no other host key is accepted."""


class GivenHostArgs(TypedDict):
    """A machine that exists: reachable with `key` as `user`, who is root or may sudo."""

    address: str
    port: int
    user: str
    host_key: str
    """`ssh-ed25519 AAAA…`"""
    key: pulumi.Input[str]
    """OpenSSH private key; secret."""


class ServerArgs(TypedDict):
    """What a stage's host is made of."""

    resource_name: str
    """Name at Hetzner; a host name."""
    labels: dict[str, str]
    server_type: str
    image: str
    location: str
    volume_size: int
    """GB; 0 for no data volume."""
    ssh_from: Sequence[str]
    """CIDRs that may open SSH; empty for any."""
    keeps_first_boot: bool
    """What takes effect at first boot only (image, keys, script) does not replace the server."""
    protects_data: bool
    """The engine refuses to delete or replace volume and addresses."""
    protects_server: bool
    """Hetzner and the engine refuse to delete the server."""
    protects_data_at_hetzner: bool
    """Hetzner, too, refuses to delete volume and addresses."""
    clean_shutdown: bool
    """A server is shut down before it is deleted."""
    adopt_kept: NotRequired[Mapping[str, str]]
    """Hetzner's ids of what outlives servers and the state does not know: ipv4, ipv6, volume."""
    adopt_server: NotRequired[str | None]
    """Hetzner's id of this stack's own server that the state does not know."""
    adopt_attachment: NotRequired[str | None]
    """The volume's id, where it is attached and the state does not know."""
    given_host: NotRequired[GivenHostArgs | None]
    asleep: NotRequired[bool]
    """No server is made: what outlives it waits for the next."""


def first_address(network: str) -> str:
    """The address a server takes in its IPv6 network: 2001:db8:1:1::/64 → 2001:db8:1:1::1."""
    return str(ipaddress.IPv6Network(network)[1])


def known_hosts_line(address: str, port: int, host_key: str) -> str:
    """One line of a known_hosts file; the key's comment is dropped."""
    where = address if port == SSH_PORT else f"[{address}]:{port}"
    return f"{where} {' '.join(host_key.split()[:2])}\n"


class Server(pulumi.ComponentResource):
    """A Debian host with a pinned host key, reachable by key only.

    It installs nothing beyond SSH hardening: `Provision` does, over SSH.
    """

    ipv4: pulumi.Output[str | None]
    ipv6: pulumi.Output[str | None]
    server_id: pulumi.Output[str | None]
    """Hetzner's id; None for a given host."""
    machine: pulumi.Output[str]
    """Another value for another machine: Hetzner's id, or a given host's address."""
    hardware: pulumi.Output[str]
    """Another value after a resize, which stops the machine: the server type, or `given`."""
    volume_id: pulumi.Output[str | None]
    volume_device: pulumi.Output[str | None]
    """Stable device path of the attached data volume; None without one."""
    host_public_key: pulumi.Output[str]
    known_hosts: pulumi.Output[str]
    deploy_public_key: pulumi.Output[str]
    deploy_key: pulumi.Output[str]
    """Private key of user `flow`, good for the deploy agent only; secret."""
    maintenance: Connection
    """As root (or the given host's user): installs and upgrades what a server runs."""
    deploy: Connection
    """As `flow`: hands over releases, nothing else."""

    def __init__(
        self, name: str, args: ServerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("deployment-flow:index:Server", name, None, opts)
        self._name = name
        deploy_key = KeyPair(f"{name}-deploy-key", parent=self)
        self.deploy_key, self.deploy_public_key = deploy_key.private, deploy_key.public
        given = args.get("given_host")
        if given is None:
            self._make(args)
        else:
            self._take(given)
        self.deploy = Connection(
            host=self.maintenance["host"],
            port=self.maintenance["port"],
            user="flow",
            key=deploy_key.private,
            known_hosts=self.known_hosts,
        )
        self.register_outputs(
            {
                "ipv4": self.ipv4,
                "ipv6": self.ipv6,
                "serverId": self.server_id,
                "volumeId": self.volume_id,
                "volumeDevice": self.volume_device,
            }
        )

    def _take(self, given: GivenHostArgs) -> None:
        address = given["address"]
        version = ipaddress.ip_address(address).version
        self.ipv4 = pulumi.Output.from_input(address if version == 4 else None)
        self.ipv6 = pulumi.Output.from_input(address if version == 6 else None)
        self.server_id = pulumi.Output.from_input(None)
        self.machine = pulumi.Output.from_input(address)
        self.hardware = pulumi.Output.from_input("given")
        self.volume_id = pulumi.Output.from_input(None)
        self.volume_device = pulumi.Output.from_input(None)
        self.host_public_key = pulumi.Output.from_input(given["host_key"])
        self.known_hosts = pulumi.Output.from_input(
            known_hosts_line(address, given["port"], given["host_key"])
        )
        self.maintenance = Connection(
            host=address,
            port=given["port"],
            user=given["user"],
            key=given["key"],
            known_hosts=self.known_hosts,
        )

    def _make(self, args: ServerArgs) -> None:
        host_key = KeyPair(f"{self._name}-host-key", parent=self)
        maintenance_key = KeyPair(f"{self._name}-maintenance-key", parent=self)

        def kept(kind: str) -> pulumi.ResourceOptions:
            return pulumi.ResourceOptions(
                parent=self,
                protect=args["protects_data"],
                # Names are unique at Hetzner: the old one has to go before a new one can be made.
                delete_before_replace=True,
                import_=args.get("adopt_kept", {}).get(kind),
            )

        addresses = {
            kind: hcloud.PrimaryIp(
                f"{self._name}-{kind}",
                name=f"{args['resource_name']}-{kind}",
                type=kind,
                location=args["location"],
                auto_delete=False,
                delete_protection=args["protects_data_at_hetzner"],
                labels=args["labels"],
                opts=kept(kind),
            )
            for kind in ("ipv4", "ipv6")
        }
        volume = self._volume(args, kept("volume"))
        firewall, ssh_key = self._firewall(args), self._ssh_key(args, maintenance_key)

        self.ipv4 = addresses["ipv4"].ip_address.apply(str)
        self.ipv6 = addresses["ipv6"].ip_network.apply(first_address)
        self.host_public_key = host_key.public
        self.known_hosts = pulumi.Output.all(self.ipv4, host_key.public).apply(
            lambda found: known_hosts_line(found[0], SSH_PORT, found[1])
        )
        self.maintenance = Connection(
            host=self.ipv4.apply(str),
            port=SSH_PORT,
            user="root",
            key=maintenance_key.private,
            known_hosts=self.known_hosts,
        )
        self.volume_id = pulumi.Output.from_input(None if volume is None else volume.id)
        self.volume_device = pulumi.Output.from_input(None)
        if args.get("asleep"):
            self.server_id = pulumi.Output.from_input(None)
            self.machine = self.hardware = pulumi.Output.from_input("asleep")
            return
        server = self._server(args, addresses, volume, firewall, ssh_key, host_key, maintenance_key)
        self.server_id = server.id.apply(str)
        self.machine = server.id.apply(str)
        self.hardware = server.server_type
        # Through the server: its address answers only once it is there.
        self.maintenance["host"] = server.ipv4_address
        if volume is not None:
            attachment = hcloud.VolumeAttachment(
                f"{self._name}-volume-attachment",
                server_id=server.id.apply(int),
                volume_id=volume.id.apply(int),
                automount=False,
                # Deleting a server detaches its volumes, after a clean shutdown; a detach of
                # its own would pull a mounted volume from under the database.
                opts=pulumi.ResourceOptions(
                    parent=self, deleted_with=server, import_=args.get("adopt_attachment")
                ),
            )
            # Only once it is attached is there such a device.
            self.volume_device = pulumi.Output.all(volume.linux_device, attachment.id).apply(
                lambda found: str(found[0])
            )

    def _volume(self, args: ServerArgs, kept: pulumi.ResourceOptions) -> hcloud.Volume | None:
        if args["volume_size"] == 0:
            return None
        return hcloud.Volume(
            f"{self._name}-volume",
            name=f"{args['resource_name']}-data",
            size=args["volume_size"],
            location=args["location"],
            format="ext4",
            delete_protection=args["protects_data_at_hetzner"],
            labels=args["labels"],
            opts=kept,
        )

    def _firewall(self, args: ServerArgs) -> hcloud.Firewall:
        return hcloud.Firewall(
            f"{self._name}-firewall",
            name=args["resource_name"],
            rules=firewall_rules(args["ssh_from"]),
            labels=args["labels"],
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )

    def _ssh_key(self, args: ServerArgs, maintenance_key: KeyPair) -> hcloud.SshKey:
        # Without a key Hetzner sets a root password that expires, and an expired password
        # stops key logins, too.
        return hcloud.SshKey(
            f"{self._name}-ssh-key",
            name=f"{args['resource_name']}-maintenance",
            public_key=maintenance_key.public,
            labels=args["labels"],
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )

    def _server(
        self,
        args: ServerArgs,
        addresses: dict[str, hcloud.PrimaryIp],
        volume: hcloud.Volume | None,
        firewall: hcloud.Firewall,
        ssh_key: hcloud.SshKey,
        host_key: KeyPair,
        maintenance_key: KeyPair,
    ) -> hcloud.Server:
        user_data = pulumi.Output.all(host_key.private, host_key.public, maintenance_key.public)
        return hcloud.Server(
            f"{self._name}-server",
            name=args["resource_name"],
            server_type=args["server_type"],
            image=args["image"],
            location=args["location"],
            keep_disk=True,  # so that a bigger type can be made smaller again
            public_nets=[
                {
                    "ipv4_enabled": True,
                    "ipv4": addresses["ipv4"].id.apply(int),
                    "ipv6_enabled": True,
                    "ipv6": addresses["ipv6"].id.apply(int),
                }
            ],
            firewall_ids=[firewall.id.apply(int)],
            ssh_keys=[ssh_key.id],
            user_data=user_data.apply(
                lambda keys: cloud_init.render(
                    host_private_key=keys[0],
                    host_public_key=keys[1],
                    maintenance_public_key=keys[2],
                )
            ),
            labels=args["labels"],
            shutdown_before_deletion=args["clean_shutdown"],
            delete_protection=args["protects_server"],
            rebuild_protection=args["protects_server"],
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=args["protects_server"],
                ignore_changes=FIRST_BOOT_PROPERTIES if args["keeps_first_boot"] else None,
                import_=args.get("adopt_server"),
                delete_before_replace=True,
                # A destroy deletes the server first, and with it the attachment.
                depends_on=[] if volume is None else [volume],
            ),
        )
