"""A server's firewall and network faults, set from outside in its network namespace.

Packets are filtered in the mangle table's PREROUTING, before any address
translation in the guest, so a port that Docker publishes there is covered as
every other is. What the guest does in its own filter tables stays its own.
"""

import subprocess
from collections.abc import Iterable
from ipaddress import ip_network

from sandbox.hosts.interface import HostError, Rule

DEVICE = "eth0"
_DNS = {4: "203.0.113.1", 6: "2001:db8:1::1"}
_ICMP = {4: "icmp", 6: "ipv6-icmp"}
# Hetzner's rule "icmp" is about what a person would notice; without neighbour
# discovery there is no IPv6 at all.
_NEIGHBOUR = ("133", "134", "135", "136")


def render(rules: tuple[Rule, ...] | None, *, cut: bool, refuse_ssh: bool, version: int) -> str:
    """Input of `iptables-restore --noflush` (`version` 4 or 6): our chains, whole.

    The chains are emptied and filled in one transaction; the built-in chains
    jump to them (see `apply`).
    """
    into: list[str] = []
    out: list[str] = []
    faults: list[str] = []
    if cut:
        into.append("-j DROP")
        out.append("-j DROP")
    if rules is not None:
        into += [
            "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
            *_neighbours(version),
            *_allow([r for r in rules if r.direction == "in"], "-s", version),
            "-j DROP",
        ]
    if rules is not None and any(r.direction == "out" for r in rules):
        out += [
            "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
            *_neighbours(version),
            # Resolvers and the metadata address are the cloud's own; no rule is about them.
            f"-d {_DNS[version]} -p udp --dport 53 -j RETURN",
            f"-d {_DNS[version]} -p tcp --dport 53 -j RETURN",
            *(["-d 169.254.169.254 -j RETURN"] if version == 4 else []),
            *_allow([r for r in rules if r.direction == "out"], "-d", version),
            "-j DROP",
        ]
    if refuse_ssh:
        faults.append("-p tcp --dport 22 -j REJECT --reject-with tcp-reset")
    lines = ["*mangle", ":SANDBOX-IN - [0:0]", ":SANDBOX-OUT - [0:0]"]
    lines += [f"-A SANDBOX-IN {rule}" for rule in into]
    lines += [f"-A SANDBOX-OUT {rule}" for rule in out]
    lines += ["COMMIT", "*filter", ":SANDBOX-FAULT - [0:0]"]
    lines += [f"-A SANDBOX-FAULT {rule}" for rule in faults]
    return "\n".join([*lines, "COMMIT", ""])


def _neighbours(version: int) -> list[str]:
    if version == 4:
        return []
    return [f"-p ipv6-icmp --icmpv6-type {kind} -j RETURN" for kind in _NEIGHBOUR]


def _allow(rules: Iterable[Rule], side: str, version: int) -> list[str]:
    lines = []
    for rule in rules:
        match = f"-p {_ICMP[version] if rule.protocol == 'icmp' else rule.protocol}"
        if rule.protocol in ("tcp", "udp") and rule.port and rule.port != "any":
            match += f" --dport {rule.port.replace('-', ':')}"
        for text in rule.networks:
            network = ip_network(text, strict=False)
            if network.version == version:
                lines.append(f"{side} {network} {match} -j RETURN")
    return lines


_JUMPS = (
    ("mangle", "PREROUTING", "-i", "SANDBOX-IN"),
    ("mangle", "POSTROUTING", "-o", "SANDBOX-OUT"),
    ("filter", "INPUT", "-i", "SANDBOX-FAULT"),
)


def apply(pid: int, rules: tuple[Rule, ...] | None, *, cut: bool, refuse_ssh: bool) -> None:
    """Set the chains in the network namespace of process `pid`. Raises `HostError`."""
    for version, tool in ((4, "iptables"), (6, "ip6tables")):
        text = render(rules, cut=cut, refuse_ssh=refuse_ssh, version=version)
        done = _inside(pid, [f"{tool}-restore", "-w", "5", "--noflush"], text)
        if done.returncode != 0:
            raise HostError(f"{tool} refused a server's firewall: {done.stderr.strip()}")
        for table, chain, flag, target in _JUMPS:
            jump = [flag, DEVICE, "-j", target]
            there = _inside(pid, [tool, "-w", "5", "-t", table, "-C", chain, *jump])
            if there.returncode != 0:
                done = _inside(pid, [tool, "-w", "5", "-t", table, "-I", chain, *jump])
            if done.returncode != 0:
                raise HostError(f"{tool} refused a server's firewall: {done.stderr.strip()}")


def is_applied(pid: int) -> bool:
    """Whether our chains are still reached; a guest's `flush ruleset` removes them."""
    jump = ["-i", DEVICE, "-j", "SANDBOX-IN"]
    done = _inside(pid, ["iptables", "-w", "5", "-t", "mangle", "-C", "PREROUTING", *jump])
    return done.returncode == 0


def _inside(pid: int, command: list[str], text: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["nsenter", "-t", str(pid), "-n", *command],
        input=text, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
