"""Where this machine's own apt gets Debian from, for building hosts of another release.

No mirror is named in the project: a machine that can install packages already
knows one, and may be allowed to reach no other.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

SUITE = "trixie"

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# What of the machine's apt settings a server on it needs to reach the same mirror.
_CARRIED_SETTINGS = re.compile(
    r"^Acquire::(http|https)::(Proxy|CaInfo|Verify-Peer|Verify-Host)"
    r"|^Acquire::(Check-Valid-Until|Check-Date|Retries)\b",
    re.IGNORECASE,
)


class NoPackageSourceError(RuntimeError):
    """The machine's apt settings name no Debian mirror."""


@dataclass(frozen=True)
class PackageSources:
    """`lines` are deb lines for `SUITE`; `settings` are apt.conf lines."""

    lines: tuple[str, ...]
    settings: tuple[str, ...]
    keyring: Path

    def hosts(self) -> set[str]:
        """Host names the mirrors and proxies are reached at."""
        urls = [word for line in self.lines for word in line.split() if "://" in word]
        urls += re.findall(r'"(https?://[^"]+)"', " ".join(self.settings))
        return {name for url in urls if (name := urlsplit(url).hostname)}


def from_this_machine() -> PackageSources:
    """Read apt's sources and settings.

    `FLOW_DEBIAN_MIRROR` (a URL) stands in on machines that are not Debian.
    Raises `NoPackageSourceError` with the remedy.
    """
    found = [entry for path in _source_files() for entry in _entries(path)]
    archive = os.environ.get("FLOW_DEBIAN_MIRROR") or _first(found, security=False)
    if archive is None:
        raise NoPackageSourceError(
            "apt on this machine names no Debian mirror in /etc/apt. Set FLOW_DEBIAN_MIRROR "
            "to the URL of one (…/debian) and run the command again."
        )
    lines = [f"deb {archive} {SUITE} main", f"deb {archive} {SUITE}-updates main"]
    if security := _first(found, security=True):
        lines.append(f"deb {security} {SUITE}-security main")
    return PackageSources(tuple(lines), tuple(_settings()), _KEYRING)


def _source_files() -> list[Path]:
    apt = Path("/etc/apt")
    parts = sorted(apt.glob("sources.list.d/*.list")) + sorted(apt.glob("sources.list.d/*.sources"))
    return [path for path in [apt / "sources.list", *parts] if path.is_file()]


def _entries(path: Path) -> list[tuple[str, str]]:
    """(URI, suite) of every enabled `deb` entry of one file, in order."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".sources":
        return [pair for stanza in re.split(r"\n\s*\n", text) for pair in _stanza(stanza)]
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)", line)
        if match and "main" in match[3].split():
            found.append((match[1], match[2]))
    return found


def _stanza(text: str) -> list[tuple[str, str]]:
    fields: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("#") or ":" not in line:
            continue
        key, _, value = line.partition(":")
        fields[key.strip().lower()] = value.split()
    if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
        return []
    if "main" not in fields.get("components", []):
        return []
    return [(uri, suite) for uri in fields.get("uris", []) for suite in fields.get("suites", [])]


def _first(entries: list[tuple[str, str]], *, security: bool) -> str | None:
    """The first mirror whose path is Debian's (`…/debian`, `…/debian-security`)."""
    for uri, suite in entries:
        path = urlsplit(uri).path.rstrip("/")
        is_security = path.endswith("debian-security") or suite.endswith("-security")
        if is_security == security and re.search(r"/debian(-security)?$", path):
            return uri
    return None


def _settings() -> list[str]:
    try:
        dump = subprocess.run(
            ["apt-config", "dump"], capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [line for line in dump.stdout.splitlines() if _CARRIED_SETTINGS.match(line)]
