"""One stage, whole: a host, its names, its software and the release on it."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from components.dns import Dns, Record, wanted_records
from components.keys import kept_password
from components.naming import Stage
from components.server import GivenHostArgs, Server, ServerArgs

DEMO_USER = "demo"


class EnvironmentArgs(TypedDict):
    """What one stage is made of."""

    stage: Stage
    server: ServerArgs
    label: str
    """First part of a host name that is made of the address."""
    hostname: str | None
    """None: <label>.<address>.<address_domain>."""
    address_domain: str
    zone: str | None
    """A zone of the Hetzner project; None for DNS elsewhere."""


def address_name(label: str, domain: str, ipv4: str | None, ipv6: str | None) -> str:
    """A name that resolves without a zone: hello.203-0-113-7.sslip.io."""
    address = ipv4.replace(".", "-") if ipv4 else (ipv6 or "").replace(":", "-")
    return f"{label}.{address}.{domain}"


class Environment(pulumi.ComponentResource):
    """One stage of the flow, from server to answering URL."""

    hostname: pulumi.Output[str]
    url: pulumi.Output[str]
    server: Server
    dns_records: pulumi.Output[Sequence[Record]]
    """What to enter where DNS is kept; empty where this stage makes its records itself."""
    ssh: pulumi.Output[str]
    """A command that opens a shell, once an admin key is on the server."""
    password: pulumi.Output[str] | None
    """Of user `demo`, where the stage is behind a password; secret."""

    def __init__(
        self, name: str, args: EnvironmentArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("deployment-flow:index:Environment", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.server = server = Server(name, args["server"], child)
        given = args["server"].get("given_host")
        self.hostname = self._hostname(args)
        self.dns_records = pulumi.Output.from_input([])
        if args["zone"] is not None and args["hostname"] is not None:
            Dns(
                name,
                {
                    "hostname": args["hostname"],
                    "zone": args["zone"],
                    "ipv4": server.ipv4,
                    "ipv6": server.ipv6,
                    "has_ipv4": given is None or ":" not in given["address"],
                    "has_ipv6": given is None or ":" in given["address"],
                    "labels": args["server"]["labels"],
                },
                child,
            )
        elif args["hostname"] is not None:
            self.dns_records = pulumi.Output.all(self.hostname, server.ipv4, server.ipv6).apply(
                lambda found: wanted_records(*found)
            )
        self.password = (
            kept_password(f"{name}-password", parent=self) if args["stage"] == "demo" else None
        )
        self.url = self.hostname.apply(lambda hostname: f"https://{hostname}")
        self.ssh = _ssh_command(server)
        self.register_outputs({"url": self.url, "hostname": self.hostname})

    def _hostname(self, args: EnvironmentArgs) -> pulumi.Output[str]:
        if args["hostname"] is not None:
            return pulumi.Output.from_input(args["hostname"])
        return pulumi.Output.all(self.server.ipv4, self.server.ipv6).apply(
            lambda found: address_name(args["label"], args["address_domain"], *found)
        )


def _ssh_command(server: Server) -> pulumi.Output[str]:
    maintenance = server.maintenance
    return pulumi.Output.all(maintenance["user"], maintenance["host"], maintenance["port"]).apply(
        lambda found: (
            f"ssh {found[0]}@{found[1]}" if found[2] == 22 else f"ssh -p {found[2]} {found[0]}@{found[1]}"
        )
    )
