"""What the sandbox reads of this machine before it takes addresses."""

import socket
from pathlib import Path
from typing import Any

import pytest

from sandbox.hosts import network, package_sources

DEB822 = """\
Types: deb deb-src
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://other.example/debian
Suites: sid
Components: main
"""


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of apt's sources."""
    monkeypatch.delenv("FLOW_DEBIAN_MIRROR", raising=False)
    monkeypatch.setattr(
        package_sources, "_source_files", lambda: sorted(p for p in tmp_path.iterdir())
    )
    return tmp_path


def test_the_mirror_is_the_machines_own_whatever_its_release(sources: Path) -> None:
    (sources / "debian.sources").write_text(DEB822)
    found = package_sources.from_this_machine()
    assert found.lines == (
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/debian trixie-updates main",
        "deb http://mirror.example/debian-security trixie-security main",
    )
    assert found.hosts() >= {"mirror.example"}


def test_the_old_format_of_sources_is_read(sources: Path) -> None:
    (sources / "sources.list").write_text(
        "# deb http://off.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/x.gpg] https://vendor.example/apt stable main\n"
        "deb [arch=amd64] https://mirror.example/debian/ bookworm main non-free-firmware\n"
    )
    found = package_sources.from_this_machine()
    assert found.lines[0] == "deb https://mirror.example/debian/ trixie main"
    assert len(found.lines) == 2


def test_a_machine_without_a_debian_mirror_is_told_what_to_set(sources: Path) -> None:
    (sources / "ubuntu.list").write_text("deb http://archive.example/ubuntu noble main\n")
    with pytest.raises(package_sources.NoPackageSourceError, match="FLOW_DEBIAN_MIRROR"):
        package_sources.from_this_machine()


def test_a_mirror_can_be_given(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOW_DEBIAN_MIRROR", "http://given.example/debian")
    assert package_sources.from_this_machine().lines[0].split()[1] == "http://given.example/debian"


class Machine:
    """Stands for `ip`: one default route, and a record of what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def routes(self) -> list[dict[str, Any]]:
        return [{"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"}]

    def ip(self, *arguments: str, check: bool = True) -> None:
        self.asked.append(" ".join(arguments))


def test_a_mirror_inside_our_range_keeps_its_route(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    monkeypatch.setattr(network, "_routes", machine.routes)
    monkeypatch.setattr(network, "_ip", machine.ip)
    monkeypatch.setattr(network, "_proxies", lambda: {"proxy.example"})
    monkeypatch.setattr(network, "_nameservers", lambda: ["192.0.2.53"])
    addresses = {
        "mirror.example": "203.0.113.80",
        "proxy.example": "198.51.100.7",
        "192.0.2.53": "192.0.2.53",
    }

    def look_up(name: str, *_: object) -> list[Any]:
        return [(0, 0, 0, "", (addresses[name], 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert network.guard(["mirror.example"]) == ["203.0.113.80"]
    assert machine.asked[0].startswith("route replace 203.0.113.80/32 via 192.0.2.1 dev eth0")
    assert any("blackhole 203.0.113.0/24 metric 4294967295" in line for line in machine.asked)
    assert any("blackhole 2001:db8::/32" in line for line in machine.asked)
