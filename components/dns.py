"""A stage's addresses in DNS: record sets in a zone at Hetzner.

With DNS elsewhere nothing is made; `wanted_records` says what a person has to enter.
"""

from typing import TypedDict

import pulumi
import pulumi_hcloud as hcloud

TTL_SECONDS = 300  # an address outlives servers, but a move must not take a day


class Record(TypedDict):
    """One DNS record."""

    name: str
    type: str
    value: str
    ttl: int


class DnsArgs(TypedDict):
    """Where a host name points."""

    hostname: str
    """Fully qualified, in `zone` or equal to it."""
    zone: pulumi.Input[str]
    """Name of a zone of the Hetzner project."""
    ipv4: pulumi.Input[str | None]
    ipv6: pulumi.Input[str | None]
    has_ipv4: bool
    has_ipv6: bool
    labels: dict[str, str]


def name_in_zone(hostname: str, zone: str) -> str:
    """The record's name: dev.example.org in example.org → dev; the zone itself → @.

    Raises ValueError when the host name is outside the zone.
    """
    if hostname == zone:
        return "@"
    if not hostname.endswith(f".{zone}"):
        raise ValueError(f"{hostname} is not in zone {zone}")
    return hostname[: -len(zone) - 1]


def wanted_records(hostname: str, ipv4: str | None, ipv6: str | None) -> list[Record]:
    """What has to stand in DNS for `hostname`, wherever that is kept."""
    found = [("A", ipv4), ("AAAA", ipv6)]
    return [
        Record(name=hostname, type=kind, value=value, ttl=TTL_SECONDS)
        for kind, value in found
        if value
    ]


class Dns(pulumi.ComponentResource):
    """A and AAAA record sets of one host name."""

    hostname: pulumi.Output[str]
    """Known once the records are made, for what needs them to be there."""

    def __init__(
        self, name: str, args: DnsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("deployment-flow:index:Dns", name, None, opts)
        found = [
            ("A", args["ipv4"], args["has_ipv4"]),
            ("AAAA", args["ipv6"], args["has_ipv6"]),
        ]
        record_sets = [
            hcloud.ZoneRrset(
                f"{name}-{kind.lower()}",
                zone=args["zone"],
                name=pulumi.Output.from_input(args["zone"]).apply(
                    lambda zone: name_in_zone(args["hostname"], zone)
                ),
                type=kind,
                ttl=TTL_SECONDS,
                records=[{"value": pulumi.Output.from_input(value).apply(str)}],
                labels=args["labels"],
                opts=pulumi.ResourceOptions(parent=self),
            )
            for kind, value, present in found
            if present
        ]
        self.hostname = pulumi.Output.all(*[each.id for each in record_sets]).apply(
            lambda _: args["hostname"]
        )
        self.register_outputs({"hostname": self.hostname})
