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

#: Raised when programs are built in another way from the same sources.
RECIPE = 1

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
    #: Folders of ours that go into it, below `module`.
    sources: tuple[str, ...] = ()

    def key(self) -> str:
        """Return a digest of everything that goes into the program: its name in the cache."""
        digest = hashlib.sha256(f"{platform.system()} {platform.machine()} {RECIPE}".encode())
        paths = [self.module / "go.mod", self.module / "go.sum"]
        for folder in self.sources:
            paths += sorted(path for path in (self.module / folder).rglob("*") if path.is_file())
        for path in paths:
            digest.update(f"\n{path.relative_to(self.module).as_posix()} ".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return f"{self.name}-{digest.hexdigest()[:16]}"


ENGINE = Target("pulumi", "the Pulumi engine", ENGINE_PACKAGE, "4 minutes")
LANGUAGE_HOST = Target(
    "pulumi-language-python",
    "the Python language host",
    f"{LANGUAGE_HOST_MODULE}/python/cmd/pulumi-language-python",
    "40 seconds",
    SOURCES / "languagehost",
)
#: Started by the language host to run a program; a Python file of the same module.
LANGUAGE_HOST_SCRIPT = "pulumi-language-python-exec"
PLUGINS = {
    "hcloud": Target(
        "pulumi-resource-hcloud",
        "the Hetzner Cloud provider",
        "./cmd/pulumi-resource-hcloud",
        "1 minute",
        sources=("cmd/pulumi-resource-hcloud", "hcloud"),
    ),
    "github": Target(
        "pulumi-resource-github",
        "the GitHub provider",
        "./cmd/pulumi-resource-github",
        "1 minute",
        sources=("cmd/pulumi-resource-github", "github"),
    ),
    "command": Target(
        "pulumi-resource-command",
        "the command provider",
        "./cmd/pulumi-resource-command",
        "10 seconds",
        sources=("cmd/pulumi-resource-command", "command"),
    ),
}
PEBBLE = Target(
    "pebble",
    "Pebble, the sandbox's certificate authority",
    "github.com/letsencrypt/pebble/v2/cmd/pebble",
    "10 seconds",
)
#: What runs and checks workflow files: a module of its own, which shares nothing with
#: the engine, so that neither is built again when the other moves.
WORKFLOWS = SOURCES / "actions"
ACT = Target(
    "act",
    "act, which runs the sandbox's workflows",
    "github.com/nektos/act",
    "2 minutes",
    WORKFLOWS,
)
EXPRESSIONS = Target(
    "workflow-expressions",
    "the evaluator of workflow expressions",
    "./cmd/expressions",
    "10 seconds",
    WORKFLOWS,
    ("cmd/expressions",),
)
ACTIONLINT = Target(
    "actionlint",
    "actionlint, which checks workflow files",
    "github.com/rhysd/actionlint/cmd/actionlint",
    "10 seconds",
    WORKFLOWS,
)
#: A module of its own: what it needs of AWS is older than what the engine does.
OBJECT_STORE = Target(
    "versitygw",
    "versitygw, the sandbox's object storage",
    "github.com/versity/versitygw/cmd/versitygw",
    "1 minute",
    SOURCES / "objectstore",
)
SANDBOX = (PEBBLE, OBJECT_STORE, ACT, EXPRESSIONS, ACTIONLINT)
#: A build that says nothing for longer looks as if it hung.
SIGN_OF_LIFE_SECONDS = 20
TARGETS = (ENGINE, LANGUAGE_HOST, *PLUGINS.values(), *SANDBOX)


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
    programs = {target.name: cache_root() / target.key() / target.name for target in targets}
    missing = [target for target in targets if not programs[target.name].exists()]
    go = find_go(SOURCES / "go.mod") if missing else ""
    for number, target in enumerate(missing, start=1):
        report(
            f"building {target.title} ({number} of {len(missing)}; "
            f"about {target.duration} the first time, on two cores)"
        )
        started = time.monotonic()
        _build_one(go, target, programs[target.name], report)
        report(f"  built in {time.monotonic() - started:.0f} s")
    if LANGUAGE_HOST in targets:
        host = programs[LANGUAGE_HOST.name]
        programs[LANGUAGE_HOST_SCRIPT] = host.with_name(LANGUAGE_HOST_SCRIPT)
    return programs


def _build_one(go: str, target: Target, program: Path, report: Report) -> None:
    program.parent.mkdir(exist_ok=True)
    # Without cgo the same sources give the same program on every machine, with
    # or without a C compiler.
    environment = {"CGO_ENABLED": "0", **os.environ}
    with tempfile.TemporaryDirectory(dir=program.parent, prefix=".build-") as scratch:
        output = Path(scratch) / target.name
        # No git revision inside: it would differ from commit to commit, and git refuses
        # to tell it in a checkout that belongs to somebody else.
        flags = ["-mod=readonly", "-trimpath", "-buildvcs=false"]
        flags.append(f"-ldflags={_linker_flags(target)}")
        command = [go, "build", *flags, "-o", str(output), target.package]
        status, said = _run(command, target.module, environment, report)
        if status != 0:
            tail = "\n".join(said.strip().splitlines()[-15:])
            raise InstallError(
                f"Building {target.title} failed:\n{tail}\n"
                f"Try it by hand: cd {target.module} && go build {target.package}"
            )
        if target is LANGUAGE_HOST:
            _copy_language_host_script(go, program.with_name(LANGUAGE_HOST_SCRIPT))
        output.replace(program)


def _run(
    command: list[str], directory: Path, environment: dict[str, str], report: Report
) -> tuple[int, str]:
    """Run a build, saying now and then that it goes on; its status and what it complained of."""
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=directory, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while True:
                try:
                    _, said = process.communicate(timeout=SIGN_OF_LIFE_SECONDS)
                    return process.returncode, said
                except subprocess.TimeoutExpired:
                    report(f"  … {time.monotonic() - started:.0f} s")
        except BaseException:
            process.kill()
            raise


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


def _copy_language_host_script(go: str, script: Path) -> None:
    found = subprocess.run(
        [go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", LANGUAGE_HOST_MODULE],
        cwd=LANGUAGE_HOST.module,
        capture_output=True,
        text=True,
        check=True,
    )
    # The module cache is read-only, and so would a copy with its mode be.
    shutil.copyfile(Path(found.stdout.strip()) / "python" / "cmd" / script.name, script)
    script.chmod(0o755)
