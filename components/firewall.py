"""What may reach a server from outside: the rules of its Hetzner firewall."""

from collections.abc import Sequence

import pulumi_hcloud as hcloud

ANYWHERE = ("0.0.0.0/0", "::/0")


def firewall_rules(ssh_from: Sequence[str]) -> list[hcloud.FirewallRuleArgsDict]:
    """SSH from where it is allowed, HTTP, HTTPS (TCP and QUIC) and ping from anywhere."""

    def rule(
        what: str, protocol: str, port: str | None, sources: Sequence[str] = ANYWHERE
    ) -> hcloud.FirewallRuleArgsDict:
        found: hcloud.FirewallRuleArgsDict = {
            "direction": "in",
            "protocol": protocol,
            "source_ips": list(sources),
            "description": what,
        }
        if port is not None:
            found["port"] = port
        return found

    return [
        rule("SSH", "tcp", "22", ssh_from or ANYWHERE),
        rule("HTTP: redirects and certificates", "tcp", "80"),
        rule("HTTPS", "tcp", "443"),
        rule("HTTP/3", "udp", "443"),
        rule("ping", "icmp", None),
    ]
