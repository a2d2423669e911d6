"""Build what cannot be downloaded, from the Go modules pinned beside this file."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import InstallError
from toolchain.golang import find_go

SOURCES = Path(__file__).parent
ENGINE_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
LANGUAGE_HOST_MODULE = "github.com/pulumi/pulumi/sdk/v3"

Report = Callable[[str], None]


@dataclass(frozen=True)
class Target:
    """One program to build: `name` is its file name, `package` what `go build` takes."""

    name: str
    title: str
    package: str
    #: Roughly, from nothing, on two cores: what a person waiting wants to know.
    duration: str
    module: Path = SOURCES


ENGINE = (
    Target("pulumi", "the Pulumi engine", ENGINE_PACKAGE, "4 minutes"),
    Target(
        "pulumi-language-python",
        "the Python language host",
        f"{LANGUAGE_HOST_MODULE}/python/cmd/pulumi-language-python",
        "40 seconds",
        SOURCES / "languagehost",
    ),
)
#: Started by the language host to run a program; a Python file of the same module.
LANGUAGE_HOST_SCRIPT = "pulumi-language-python-exec"
PLUGINS = {
    "hcloud": Target(
        "pulumi-resource-hcloud",
        "the Hetzner Cloud provider",
        "./cmd/pulumi-resource-hcloud",
        "1 minute",
    ),
    "command": Target(
        "pulumi-resource-command",
        "the command provider",
        "./cmd/pulumi-resource-command",
        "10 seconds",
    ),
}
PEBBLE = Target(
    "pebble",
    "Pebble, the sandbox's certificate authority",
    "github.com/letsencrypt/pebble/v2/cmd/pebble",
    "10 seconds",
)


def inputs_hash() -> str:
    """Return a digest of everything a build depends on: modules, sources, recipe, platform."""
    digest = hashlib.sha256(f"{platform.system()} {platform.machine()}".encode())
    patterns = ("go.mod", "go.sum", "*.go", "*.json", "build.py")
    for path in sorted({found for pattern in patterns for found in SOURCES.rglob(pattern)}):
        digest.update(f"\n{path.relative_to(SOURCES).as_posix()} ".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:20]


def cache_root() -> Path:
    """Return the user's cache directory for built programs, shared by all checkouts."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "deployment-flow" / "toolchain"


@contextlib.contextmanager
def locked(report: Report) -> Iterator[None]:
    """Hold the cache's lock: of two installations at once the second one waits."""
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            report("another installation is running: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def build(targets: list[Target], report: Report) -> dict[str, Path]:
    """Build what the cache lacks and return each program's path in the cache, by name.

    A program appears in the cache whole or not at all, so an interrupted build goes
    on where it stopped. Raises InstallError when Go is missing, too old, or fails.
    """
    directory = cache_root() / inputs_hash()
    directory.mkdir(parents=True, exist_ok=True)
    missing = [target for target in targets if not (directory / target.name).exists()]
    go = find_go(SOURCES / "go.mod") if missing else ""
    for number, target in enumerate(missing, start=1):
        report(
            f"building {target.title} ({number} of {len(missing)}; "
            f"about {target.duration} the first time, on two cores)"
        )
        started = time.monotonic()
        _build_one(go, target, directory)
        report(f"  built in {time.monotonic() - started:.0f} s")
    programs = {target.name: directory / target.name for target in targets}
    if ENGINE[1] in targets:
        programs[LANGUAGE_HOST_SCRIPT] = _language_host_script(directory)
    return programs


def _build_one(go: str, target: Target, directory: Path) -> None:
    # Without cgo the same sources give the same program on every machine, with
    # or without a C compiler.
    environment = {"CGO_ENABLED": "0", **os.environ}
    with tempfile.TemporaryDirectory(dir=directory, prefix=".build-") as scratch:
        output = Path(scratch) / target.name
        flags = ["-mod=readonly", "-trimpath", f"-ldflags={_linker_flags(target)}"]
        run = subprocess.run(
            [go, "build", *flags, "-o", str(output), target.package],
            cwd=target.module,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            tail = "\n".join(run.stderr.strip().splitlines()[-15:])
            raise InstallError(
                f"Building {target.title} failed:\n{tail}\n"
                f"Try it by hand: cd {target.module} && go build {target.package}"
            )
        output.replace(directory / target.name)


def _linker_flags(target: Target) -> str:
    flags = "-s -w"
    if target.package == ENGINE_PACKAGE:
        version = _module_version("github.com/pulumi/pulumi/pkg/v3")
        flags += f" -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={version}"
    return flags


def _module_version(module: str) -> str:
    for line in (SOURCES / "go.mod").read_text().splitlines():
        words = line.split()
        if words[:1] == [module]:
            return words[1]
    raise InstallError(f"toolchain/go.mod does not require {module}; restore it from git.")


def _language_host_script(directory: Path) -> Path:
    script = directory / LANGUAGE_HOST_SCRIPT
    if not script.exists():
        module = SOURCES / "languagehost"
        found = subprocess.run(
            [find_go(module / "go.mod"), "list", "-m", "-f", "{{.Dir}}", LANGUAGE_HOST_MODULE],
            cwd=module,
            capture_output=True,
            text=True,
            check=True,
        )
        source = Path(found.stdout.strip()) / "python" / "cmd" / LANGUAGE_HOST_SCRIPT
        partial = script.with_name(f".{script.name}-{os.getpid()}")
        shutil.copyfile(source, partial)
        partial.chmod(0o755)
        partial.replace(script)
    return script
