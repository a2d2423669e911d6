"""The official Pulumi: the one on PATH, or the pinned release where it can be downloaded."""

from __future__ import annotations

import hashlib
import http.client
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from pathlib import Path
from typing import IO

from toolchain.build import Report, cache_root
from toolchain.errors import InstallError
from toolchain.versions import ENGINE_MINIMUM, RELEASE, RELEASE_SHA256, parse_version

RELEASE_URL = "https://github.com/pulumi/pulumi/releases/download/v{version}/pulumi-v{version}-{platform}.tar.gz"
PROGRAMS = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec")

#: Seconds without an answer after which the download counts as impossible: a
#: machine that cannot reach it should start to build soon.
NETWORK_PATIENCE = 4
#: How often a download that was begun is tried.
ATTEMPTS = 3
#: Seconds a plugin download may take in all.
PLUGIN_PATIENCE = 180


def on_path(ours: Path, report: Report) -> dict[str, Path] | None:
    """Return the programs of a Pulumi on PATH that is new enough, or None.

    `ours` is the directory this package installs into: a link we made ourselves is
    not somebody's installation.
    """
    search = os.pathsep.join(
        entry
        for entry in os.environ.get("PATH", os.defpath).split(os.pathsep)
        if Path(entry).resolve() != ours.resolve()
    )
    engine = shutil.which("pulumi", path=search)
    if engine is None:
        return None
    try:
        answer = subprocess.run(
            [engine, "version"],
            env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "1"},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        version = parse_version(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        report(f"{engine} does not tell its version: not used")
        return None
    if version < ENGINE_MINIMUM:
        report(
            "{} is {}.{}.{}, older than {}.{}.{}: not used".format(
                engine, *version, *ENGINE_MINIMUM
            )
        )
        return None
    programs = {}
    beside = os.pathsep.join([str(Path(engine).resolve().parent), search])
    for name in PROGRAMS:
        found = shutil.which(name, path=beside)
        if found is None:
            report(f"{engine} has no {name} beside it: not used")
            return None
        programs[name] = Path(found)
    report("using {}, version {}.{}.{}".format(engine, *version))
    return programs


def release(report: Report, url: str = RELEASE_URL) -> dict[str, Path] | None:
    """Download the pinned release and return its programs, or None where that is impossible.

    Raises InstallError when what was downloaded is not what the project published:
    that is no reason to fall back quietly.
    """
    name = _platform()
    expected = RELEASE_SHA256.get(name)
    if expected is None:
        report(f"no official release is pinned for {name}")
        return None
    directory = cache_root() / f"release-{RELEASE}-{expected[:12]}"
    programs = {program: directory / program for program in PROGRAMS}
    if all(path.exists() for path in programs.values()):
        return programs
    report(f"downloading Pulumi {RELEASE} (about 150 MB)")
    with tempfile.TemporaryDirectory(dir=cache_root(), prefix=".download-") as scratch:
        archive = Path(scratch) / "pulumi.tar.gz"
        try:
            found = _download(url.format(version=RELEASE, platform=name), archive)
        except (OSError, http.client.HTTPException) as error:
            report(f"  cannot be downloaded here ({error})")
            return None
        if found != expected:
            raise InstallError(
                f"The downloaded Pulumi {RELEASE} has digest {found}, not {expected}: it was "
                "changed on its way. Download it again from another network, or build it: "
                "python3 -m toolchain.install --build"
            )
        _unpack(archive, Path(scratch))
        directory.mkdir(exist_ok=True)
        for program, path in programs.items():
            (Path(scratch) / program).replace(path)
    return programs


def plugin(engine: Path, home: Path, name: str, version: str, report: Report) -> bool:
    """Let the engine install an official plugin into `home`; tell whether it could."""
    report(f"downloading the official {name} plugin {version}")
    try:
        subprocess.run(
            [str(engine), "plugin", "install", "resource", name, version],
            env={**os.environ, "PULUMI_HOME": str(home), "PULUMI_SKIP_UPDATE_CHECK": "1"},
            capture_output=True,
            timeout=PLUGIN_PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        report("  cannot be downloaded here")
        return False
    return True


def _platform() -> str:
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
    return f"{platform.system().lower()}-{machine.get(platform.machine().lower(), 'unknown')}"


def _download(url: str, target: Path) -> str:
    """Write what a URL answers to a file and return its SHA-256.

    What breaks off is begun again: whoever began to answer is reached, and to build instead
    takes many times as long. Raises OSError or HTTPException.
    """
    for left in reversed(range(ATTEMPTS)):
        reached = False
        try:
            with (
                # A fixed https address.
                urllib.request.urlopen(url, timeout=NETWORK_PATIENCE) as answer,  # noqa: S310  # nosec B310
                target.open("wb") as handle,
            ):
                reached = True
                return _copy(answer, handle)
        except (OSError, http.client.HTTPException):
            if not reached or not left:
                raise
    raise AssertionError("the last attempt returns or raises")


def _copy(answer: http.client.HTTPResponse, handle: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := answer.read(1 << 20):
        digest.update(chunk)
        handle.write(chunk)
    # A connection that is cut reads like one that is over.
    if left := getattr(answer, "length", None):
        raise http.client.IncompleteRead(b"", left)
    return digest.hexdigest()


def _unpack(archive: Path, directory: Path) -> None:
    """Take the programs we need out of a release; nothing else of it is written."""
    with tarfile.open(archive) as contents:
        for member in contents:
            name = Path(member.name).name
            source = contents.extractfile(member) if member.isfile() else None
            if name not in PROGRAMS or source is None:
                continue
            with source, (directory / name).open("wb") as target:
                shutil.copyfileobj(source, target)
            (directory / name).chmod(0o755)
    missing = [name for name in PROGRAMS if not (directory / name).exists()]
    if missing:
        raise InstallError(f"The Pulumi {RELEASE} release has no {missing[0]}: report this.")
