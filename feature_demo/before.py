"""What the server was before: taken before the first change, so that removal can put it back."""

import base64
import grp
import json
import pwd
import stat
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from feature_demo.demo import kept_folder
from remote.server.agent.machine import Machine
from remote.server.agent.releases import write_private

# Files the installation changes or replaces rather than owns.
FILES: Final = (
    "/etc/hosts",
    "/etc/apt/apt.conf.d/20auto-upgrades",
    "/etc/caddy/Caddyfile",
    "/etc/docker/daemon.json",
)
# Folders that a package or the application fills → whose they are; the deepest first.
FOLDERS: Final = {
    "/data": "",
    "/etc/caddy": "caddy",
    "/etc/cni/net.d": "docker.io",
    "/etc/cni": "docker.io",
    "/etc/containerd": "docker.io",
    "/etc/docker": "docker.io",
    "/opt/containerd": "docker.io",
    "/run/containerd": "docker.io",
    "/run/docker": "docker.io",
    "/var/lib/caddy/.config": "caddy",
    "/var/lib/caddy/.local": "caddy",  # certificates
    "/var/lib/caddy/.step": "caddy",
    "/var/lib/caddy": "caddy",
    "/var/lib/containerd": "docker.io",
    "/var/lib/docker": "docker.io",
    "/var/lib/unattended-upgrades": "unattended-upgrades",
    "/var/log/caddy": "caddy",
    "/var/log/unattended-upgrades": "unattended-upgrades",
}
# Services of others that the installation starts.
SERVICES: Final = ("docker.service", "caddy.service")
SWITCHES: Final = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")


@dataclass
class Before:
    """Names and contents; `added` is what the installation brought."""

    packages: list[str]
    users: list[str]
    groups: list[str]
    files: dict[str, list[str] | None]
    """Path → [mode in octal, contents in base64], or None where there was none."""
    filled: dict[str, bool]
    """Folder → whether it held anything; one that is not here did not exist."""
    switches: dict[str, str]
    services: dict[str, list[str]]
    """Service → `is-enabled` and `is-active`, of those that were there."""
    added: dict[str, list[str]] = field(default_factory=dict)
    is_whole: bool = False
    """Whether `added` was taken after the installation went through."""


def packages() -> list[str]:
    """Every package that is there, or left its configuration."""
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\n"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return sorted({line.split()[-1] for line in done.stdout.splitlines() if line[:1] in "ir"})


def torn() -> list[str]:
    """Packages whose unpacking was cut: dpkg neither uses nor removes them of itself."""
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}:${Package}\n"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    pairs = (line.split(":", 1) for line in done.stdout.splitlines())
    return [name for status, name in pairs if status[2:3] == "R" or status[1:2] == "H"]


def users() -> list[str]:
    """Names of /etc/passwd."""
    return sorted(entry.pw_name for entry in pwd.getpwall())


def groups() -> list[str]:
    """Names of /etc/group."""
    return sorted(entry.gr_name for entry in grp.getgrall())


def services() -> dict[str, list[str]]:
    """How the services that are there start and are."""
    found = {}
    for name in SERVICES:
        told = [
            subprocess.run(
                ["systemctl", question, name],
                capture_output=True, text=True, timeout=30, check=False,
            ).stdout.strip()
            for question in ("is-enabled", "is-active")
        ]  # fmt: skip
        if told[0] not in ("", "not-found"):
            found[name] = told
    return found


def take(known_packages: Path | None = None) -> Before:
    """Look, and change nothing. `known_packages`: taken before python3 itself was installed."""
    listed = packages()
    if known_packages is not None and known_packages.exists():
        listed = sorted({line.split()[-1] for line in known_packages.read_text().splitlines()})
    return Before(
        packages=listed,
        users=users(),
        groups=groups(),
        files={path: _contents(Path(path)) for path in FILES},
        filled={path: any(Path(path).iterdir()) for path in FOLDERS if Path(path).is_dir()},
        services=services(),
        switches={
            name: path.read_text().strip()
            for name in SWITCHES
            if (path := Path("/proc/sys") / name).exists()
        },
    )


def _contents(path: Path) -> list[str] | None:
    if not path.is_file():
        return None
    mode = stat.S_IMODE(path.stat().st_mode)
    return [f"{mode:o}", base64.b64encode(path.read_bytes()).decode()]


def restore(path: Path, kept: list[str] | None) -> None:
    """Put a file back as it was; one that was not there is removed."""
    if kept is None:
        path.unlink(missing_ok=True)
        return
    data = base64.b64decode(kept[1])
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # In place: /etc/hosts may be a mount of its own.
    path.write_bytes(data)
    path.chmod(int(kept[0], 8))


def names() -> dict[str, list[str]]:
    """Packages, users and groups that are there now."""
    return {"packages": packages(), "users": users(), "groups": groups()}


def count(before: Before, start: Mapping[str, Collection[str]] | None = None) -> None:
    """Note what has come since `start`, the beginning of this run.

    While no installation went through, all that was not there before the first one counts. What
    a person installs between two updates is theirs.
    """
    first = {"packages": before.packages, "users": before.users, "groups": before.groups}
    since = start if before.is_whole and start is not None else first
    for kind, now in names().items():
        old = set(before.added.get(kind, []))
        before.added[kind] = sorted(old | set(now) - set(since[kind]))


def loaded(path: Path) -> dict[str, Any]:
    """A JSON object, or an empty one where there is none to read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def load(machine: Machine) -> Before | None:
    """What was kept, or None."""
    path = kept_folder(machine) / "before.json"
    return Before(**json.loads(path.read_text())) if path.exists() else None


def save(machine: Machine, before: Before) -> None:
    """Keep it durably, root only."""
    folder = kept_folder(machine)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    machine.state.chmod(0o700)
    write_private(folder / "before.json", json.dumps(asdict(before), indent=1))
