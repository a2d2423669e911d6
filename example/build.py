"""Builds Fieldwork's images, tags them with a version and a branch, and pushes them.

    python example/build.py --version 1.0.0 --branch staging --prefix registry.example.org/fieldwork

Each image gets two tags: the version, and the one that follows the branch (`feature-demo/x` →
`feature-demo-x`), by which a stage finds its newest image. The database's tag is Postgres's
version instead: it changes with that, not with the application. Progress goes to stderr; stdout
has one JSON object with the digests (null where nothing was pushed):

    {"version": "1.0.0", "commit": "4f0c…",
     "images": {"api": {"tags": ["…/api:1.0.0", "…/api:staging"], "digest": "sha256:…"}, …}}

Needs Docker (with or without buildx) and nothing but the standard library. Who pushes logs in
first; `DOCKER_CONFIG` names another folder for that. Exit code 1: Docker failed, its words are
above; 2: a wrong argument.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from components.naming import branch_slug  # noqa: E402 - the one rule from branch to tag

DEFAULT_BASE: Final = "debian:trixie-slim"
POSTGRES: Final = "17"
FAULTS: Final = ("migration", "crash", "health", "memory")
SECONDS: Final = 1200  # for one command; a first build downloads packages
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class BuildError(Exception):
    """A Docker command failed; the message names it."""


@dataclass(frozen=True)
class Image:
    """One image: its folder under example/, its full names, and what `docker build` is given."""

    name: str
    references: tuple[str, ...]
    arguments: tuple[tuple[str, str], ...]

    def build_command(self) -> list[str]:
        """The command that builds it and gives it every name."""
        named = [f"--tag={reference}" for reference in self.references]
        given = [f"--build-arg={key}={value}" for key, value in self.arguments]
        return ["docker", "build", *named, *given, str(FOLDER / self.name)]


def plan(
    prefix: str, version: str, branch: str, commit: str, base: str, fault: str = ""
) -> list[Image]:
    """What to build, as values; `prefix` is registry and path, `base` the Debian image."""
    common = (("BASE_IMAGE", base),)
    dated = (*common, ("VERSION", version), ("COMMIT", commit))
    tags = (version, branch_slug(branch))
    return [
        Image("db", (f"{prefix}/db:{POSTGRES}",), common),
        Image("api", tuple(f"{prefix}/api:{tag}" for tag in tags), (*dated, ("FAULT", fault))),
        Image("web", tuple(f"{prefix}/web:{tag}" for tag in tags), dated),
    ]


def run(command: list[str], environment: dict[str, str]) -> str:
    """Runs a command with its words on stderr; returns what it wrote to stdout."""
    try:
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, timeout=SECONDS
        )
    except FileNotFoundError as error:
        raise BuildError(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{' '.join(command[:2])} took over {SECONDS} s") from error
    sys.stderr.write(done.stdout)
    if done.returncode:
        raise BuildError(f"`{' '.join(command)}` ended with exit code {done.returncode}")
    return done.stdout


def builder_environment() -> dict[str, str]:
    """The environment in which `docker build` works: without buildx, the classic builder."""
    buildx = subprocess.run(
        ["docker", "buildx", "version"], capture_output=True, timeout=SECONDS, check=False
    )
    return {**os.environ, **({} if buildx.returncode == 0 else {"DOCKER_BUILDKIT": "0"})}


def push(image: Image, environment: dict[str, str]) -> str:
    """Pushes every name of an image; returns the digest, the same for all."""
    digests = set()
    for reference in image.references:
        words = run(["docker", "push", reference], environment)
        digests.update(re.findall(r"digest: (sha256:[0-9a-f]{64})", words))
    if len(digests) != 1:
        raise BuildError(f"{image.name}: pushing gave {len(digests)} digests instead of one")
    return digests.pop()


def head() -> str:
    """The commit that is checked out, or `unknown` outside a repository."""
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The arguments; argparse ends the program with exit code 2 on a wrong one."""
    parser = argparse.ArgumentParser(description="Build and push the images of the example.")
    parser.add_argument("--version", required=True, help="the version, which is also a tag")
    parser.add_argument("--branch", required=True, help="the branch these images are made from")
    parser.add_argument("--prefix", default="fieldwork", help="registry and path of the images")
    parser.add_argument("--base", default=DEFAULT_BASE, help=f"default {DEFAULT_BASE}")
    parser.add_argument("--commit", default=None, help="default: the one checked out")
    parser.add_argument("--fault", default="", choices=["", *FAULTS], help="bake a fault in")
    parser.add_argument("--push", action="store_true", help="push what was built")
    parsed = parser.parse_args(arguments)
    if not TAG.fullmatch(parsed.version):
        parser.error(f"--version {parsed.version!r}: letters, digits, `_`, `.` and `-`, up to 128")
    return parsed


def main(arguments: list[str] | None = None) -> int:
    """Builds, pushes where asked, and prints the JSON; returns the exit code."""
    asked = parse(arguments)
    commit = asked.commit or head()
    images = plan(
        asked.prefix.rstrip("/"), asked.version, asked.branch, commit, asked.base, asked.fault
    )
    report: dict[str, dict[str, object]] = {}
    try:
        environment = builder_environment()
        for image in images:
            started = time.monotonic()
            print(f"==> {image.name}", file=sys.stderr)
            run(image.build_command(), environment)
            digest = push(image, environment) if asked.push else None
            report[image.name] = {"tags": list(image.references), "digest": digest}
            print(f"==> {image.name}: {time.monotonic() - started:.1f} s", file=sys.stderr)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"version": asked.version, "commit": commit, "images": report}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
