"""Everything that can be known to be wrong before anything is changed."""

import errno
import ipaddress
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from feature_demo.words import NAME, DemoError
from remote.server.agent.machine import Machine

RELEASE: Final = Path("/etc/os-release")
FREE: Final = 3 * 1024**3
"""Bytes a first demo takes at least: Docker, its images, and room to breathe."""


def is_root() -> None:
    """Raises DemoError for anybody else."""
    if os.geteuid() != 0:
        raise DemoError("this needs root", f"run it as root: sudo sh {NAME} …")


def is_debian_13(release: Path = RELEASE) -> None:
    """Raises DemoError on anything else."""
    lines = release.read_text().splitlines() if release.exists() else []
    told = dict(line.split("=", 1) for line in lines if "=" in line)
    found = (told.get("ID", "").strip('"'), told.get("VERSION_ID", "").strip('"'))
    if found != ("debian", "13"):
        name = told.get("PRETTY_NAME", "something unknown").strip('"')
        raise DemoError(f"this server runs {name}, not Debian 13", "take a server with Debian 13")
    if not shutil.which("apt-get") or not Path("/run/systemd/system").exists():
        raise DemoError(
            "this Debian has no apt-get or does not run systemd: it is no server",
            "take a server with Debian 13, not a container",
        )


def belongs_to_nobody_else(machine: Machine) -> None:
    """Raises DemoError on a server of a stack: `pulumi up` deploys there."""
    if (machine.root / "etc/deployment-flow").exists() or machine.state.exists():
        raise DemoError(
            "this server has the deploy agent of a stack already (/etc/deployment-flow)",
            "deploy there with `pulumi up`, or take a fresh server for this demo",
        )


def ports_are_free(ports: Iterable[int] = (80, 443)) -> None:
    """Raises DemoError naming who has one of them."""
    for port in ports:
        # To see whether it is free, without listening.
        for family, address in (
            (socket.AF_INET, "0.0.0.0"),  # nosec B104
            (socket.AF_INET6, "::"),
        ):
            try:
                with socket.socket(family, socket.SOCK_STREAM) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    if family == socket.AF_INET6:
                        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    probe.bind((address, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise DemoError(
                        f"port {port} is taken on this server{_holder(port)}",
                        "stop and disable that service, or take a server of the demo's own",
                    ) from None
                # No IPv6 here.


def _holder(port: int) -> str:
    if not shutil.which("ss"):
        return ""
    done = subprocess.run(
        ["ss", "-Hltnp", f"( sport = :{port} )"],
        capture_output=True, text=True, timeout=10, check=False,
    )  # fmt: skip
    names = {part.split('"')[1] for part in done.stdout.split("users:")[1:] if '"' in part}
    return f" by {', '.join(sorted(names))}" if names else ""


def has_room(path: Path = Path("/var/lib")) -> None:
    """Raises DemoError where a first demo would fill the disk."""
    free = shutil.disk_usage(path).free
    if free < FREE:
        raise DemoError(
            f"only {free // 1024**2} MiB are free on this server's disk",
            "take a server with a larger disk: a demo needs 3 GiB and its images",
        )


def addresses() -> list[str]:
    """The global addresses of this server; the one its traffic leaves from comes first."""
    if not shutil.which("ip"):
        return []
    found = [
        str(info["local"])
        for link in _ip("addr", "show", "up", "scope", "global")
        if not str(link.get("ifname")).startswith(("docker", "br-", "veth"))
        for info in link.get("addr_info", [])
        if "local" in info
    ]
    # Addresses of Debian's own servers are not asked for: a route is looked up, nothing is sent.
    leaving = [str(r["prefsrc"]) for r in _ip("route", "get", "192.0.2.1") if "prefsrc" in r]
    return list(dict.fromkeys([*leaving, *found]))


def _ip(*words: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        ["ip", "-json", *words], capture_output=True, text=True, timeout=10, check=False
    )
    try:
        loaded = json.loads(done.stdout or "[]")
    except ValueError:
        return []
    return [each for each in loaded if isinstance(each, dict)]


def points_here(domain: str, own: list[str], given: str) -> None:
    """Raises DemoError unless every address of the name is one of this server's.

    `given` is an address a person says reaches this server, as behind a router.
    """
    wanted = given or (own[0] if own else "this server")
    try:
        answers = socket.getaddrinfo(domain, 443, type=socket.SOCK_STREAM)
    except OSError:
        raise DemoError(
            f"the name {domain} does not resolve",
            f"make the DNS record `{domain}. A {wanted}`, wait a minute, and run {NAME} again",
        ) from None
    ours = {_plain(address) for address in [*own, *([given] if given else [])]}
    found = {_plain(str(answer[4][0])) for answer in answers}
    # Of a server whose addresses nobody can tell, nothing can be held against a name.
    if own and (elsewhere := found - ours):
        raise DemoError(
            f"{domain} points at {', '.join(sorted(elsewhere))}, and this server is "
            f"{', '.join(sorted(ours))}",
            f"correct the DNS record to `{domain}. A {wanted}`; where the server is reached by an "
            "address it does not have itself, give that as --address",
        )


def _plain(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return address
