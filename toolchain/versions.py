"""Which versions of the engine and the plugins belong to this checkout."""

from __future__ import annotations

import re
from pathlib import Path

from toolchain.errors import InstallError

#: The oldest engine the pinned Python SDK was run with.
ENGINE_MINIMUM = (3, 250, 0)

#: The official release that is installed where it can be downloaded, and the
#: digests the project publishes for it. Another platform builds from source.
RELEASE = "3.255.0"
RELEASE_SHA256 = {
    "linux-x64": "cf559568e2c32f7fae56ea3de8ae5fa48973ba8c5aa9dd2b3dc0c8898fe50dba",
    "linux-arm64": "699fbc6ea848d997e9b3645487f108d27b1b55ec807c7576406131e6e080f0e3",
}

#: The plugins the program's SDKs start, by Pulumi package name.
PLUGINS = ("hcloud", "command", "github")


def parse_version(text: str) -> tuple[int, int, int]:
    """Read the first `1.2.3` or `1.2` in a text such as `v3.250.0` or `go1.26`.

    Raises ValueError when there is none.
    """
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if match is None:
        raise ValueError(f"no version number in {text!r}")
    major, minor, patch = match.groups(default="0")
    return int(major), int(minor), int(patch)


def plugin_versions(requirements: Path) -> dict[str, str]:
    """Return the plugin version each pinned SDK asks the engine for, by package name.

    An SDK of version 1.43.3 asks for plugin 1.43.3, so the pins in requirements.txt
    are the one place where the versions are written down. Raises InstallError when a
    pin is missing.
    """
    pins = dict(
        re.findall(r"^pulumi-([a-z]+)==([\w.]+)", requirements.read_text(), flags=re.MULTILINE)
    )
    missing = [name for name in PLUGINS if name not in pins]
    if missing:
        raise InstallError(
            f"{requirements.name} does not pin pulumi-{missing[0]} to one version: the plugin's "
            f"version follows from it. Write pulumi-{missing[0]}==VERSION."
        )
    return {name: pins[name] for name in PLUGINS}
