"""Images of an application, built as its Compose file says and pushed under two tags.

One is the version, the other follows the branch (`feature-demo/x` → `feature-demo-x`), by which a
stage finds its newest image. An image whose name in the Compose file has no ${VERSION} keeps that
one name: it changes with something else than the application. Needs `docker build` alone: no
buildx, no Compose.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components import compose as rules
from components import naming, plain_yaml
from flow.errors import FlowError
from flow.registry_login import signed_in

BUILD_SECONDS = 1800.0  # for one command; a first build downloads packages
# What `docker build` is given; anything else of `build:` would be dropped without a word.
_BUILD_KEYS = frozenset({"args", "context", "dockerfile", "labels", "target"})
_DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})")
_VERSION_LABEL = "org.opencontainers.image.version"
_REVISION_LABEL = "org.opencontainers.image.revision"

# Variables whose values deploy, push or open a backup; any branch's Compose file could name them.
_OURS = re.compile(
    r"(ACTIONS|AWS|BACKUP|FLOW|PULUMI|REGISTRY)_\w+|HCLOUD_TOKEN\w*|(GH|GITHUB)_\w*TOKEN"
    r"|GITHUB_APP_\w+|STATE_\w*ACCESS_KEY\w*|DEMO_SSH_KEY|DEPLOY_KEY"
)

OnLine = Callable[[str], Any]


@dataclass(frozen=True)
class Image:
    """One image: the first service that has it, its full names, and what builds it."""

    service: str
    references: tuple[str, ...]
    command: tuple[str, ...]
    """`docker build …`, to be run in the application's folder."""


def plan(
    compose: Mapping[str, Any],
    *,
    version: str,
    branch: str,
    commit: str,
    variables: Mapping[str, str],
) -> list[Image]:
    """What to build, as values; `variables` are the Compose file's, IMAGES among them.

    VERSION and COMMIT are set here. Services of one image are built once. Raises FlowError.
    """
    planned: dict[tuple[str, ...], Image] = {}
    for service, definition in rules.services_of(compose).items():
        if not definition.get("build"):
            continue
        written = str(definition.get("image") or "")
        if not written:
            raise FlowError(
                f"services.{service} has `build:` and no `image:`",
                "name the image: ${IMAGES}/" + service + ":${VERSION}",
            )
        tags = [version, naming.branch_slug(branch)]
        known = [{**variables, "VERSION": tag, "COMMIT": commit} for tag in tags]
        references = tuple(
            dict.fromkeys(_filled(written, each, f"{service}.image") for each in known)
        )
        labels = {}
        if len(references) > 1:
            labels = {_VERSION_LABEL: version, _REVISION_LABEL: commit}
        arguments = _build(definition["build"], known[0], labels, service)
        command = ("docker", "build", *(f"--tag={each}" for each in references), *arguments)
        before = planned.setdefault(references, Image(service, references, command))
        if before.command != command:
            raise FlowError(
                f"{service} and {before.service} build different images of one name, "
                f"{references[0]}",
                "give each its own `image:`, or both the same `build:`",
            )
    if not planned:
        raise FlowError("no service of the Compose file has `build:`; there is nothing to build")
    return list(planned.values())


def _build(
    build: Any, variables: Mapping[str, str], labels: Mapping[str, str], service: str
) -> list[str]:
    """Arguments of `docker build` for Compose's `build:`, its context last."""
    given: dict[str, Any] = {"context": build} if isinstance(build, str) else dict(build)
    unknown = sorted(key for key in set(given) - _BUILD_KEYS if not key.startswith("x-"))
    if unknown:
        raise FlowError(
            f"services.{service}.build has {', '.join(unknown)}, which flow build does not know",
            f"keep to {', '.join(sorted(_BUILD_KEYS))}, or build and push with a step of your own",
        )
    where = f"{service}.build"
    context = Path(_filled(str(given.get("context", ".")), variables, where))
    made: list[str] = []
    for key, value in _pairs(given.get("args"), variables, where).items():
        made.append(f"--build-arg={key}={value}")
    for key, value in {**_pairs(given.get("labels"), variables, where), **labels}.items():
        made.append(f"--label={key}={value}")
    if given.get("dockerfile"):
        dockerfile = _filled(str(given["dockerfile"]), variables, where)
        made.append(f"--file={context / dockerfile}")
    if given.get("target"):
        made.append(f"--target={_filled(str(given['target']), variables, where)}")
    return [*made, str(context)]


def _pairs(given: Any, variables: Mapping[str, str], where: str) -> dict[str, str]:
    """A mapping from either of Compose's two spellings; a name alone takes our variable's value."""
    if isinstance(given, list):
        split = [str(each).partition("=") for each in given]
        given = {name: value if sign else None for name, sign, value in split}
    found = {}
    for name, value in (given or {}).items():
        if value is None:
            if name in variables:
                found[str(name)] = variables[name]
            continue
        text = str(value).lower() if isinstance(value, bool) else str(value)
        found[str(name)] = _filled(text, variables, where)
    return found


def _filled(text: str, variables: Mapping[str, str], where: str) -> str:
    try:
        return rules.interpolate(text, variables)
    except ValueError as error:
        raise FlowError(
            f"services.{where}: {error}",
            "set it in the environment (what the flow has there for itself is not used)",
        ) from None


def read(file: Path) -> dict[str, Any]:
    """The Compose file as a dict. Raises FlowError."""
    try:
        loaded = plain_yaml.load(file.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise FlowError(f"{file} cannot be read: {error}", "correct it") from None
    if not isinstance(loaded, dict):
        raise FlowError(f"{file} is empty, or no mapping", "give the application's folder")
    return loaded


def build(images: list[Image], folder: Path, *, push: bool, on_line: OnLine) -> dict[str, Any]:
    """Build each, then push each name where asked: {service: {"tags", "digest", "seconds"}}.

    All are built before the first is pushed: a version is never half there for want of a build.
    """
    report: dict[str, Any] = {}
    with signed_in([each.references[0] for each in images]) as environment:
        if not _has_buildx(environment):
            environment["DOCKER_BUILDKIT"] = "0"
        # Docker 29 makes an index of each image otherwise, with a word about its build: another
        # digest for the same files, and three packages without a tag at ghcr.io for each push.
        environment.setdefault("BUILDX_NO_DEFAULT_ATTESTATIONS", "1")
        for image in images:
            started = time.monotonic()
            on_line(f"==> {image.service}: build")
            _run(list(image.command), folder, environment, on_line)
            report[image.service] = {
                "tags": list(image.references),
                "digest": None,
                "seconds": round(time.monotonic() - started, 1),
            }
        for image in images if push else []:
            digests = set()
            for reference in image.references:
                on_line(f"==> {image.service}: push {reference}")
                said = _run(["docker", "push", reference], folder, environment, on_line)
                digests.update(_DIGEST.findall(said))
            if len(digests) != 1:
                raise FlowError(
                    f"pushing {image.service} gave {len(digests)} digests instead of one",
                    "run it again; another build may push the same version",
                )
            report[image.service]["digest"] = digests.pop()
    return report


def commit_of(folder: Path) -> str:
    """The commit that is checked out there; `unknown` outside a repository."""
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.stdout.strip() or "unknown"


def branch_of(folder: Path) -> str:
    """The branch that is checked out there; empty for a detached commit."""
    done = subprocess.run(
        ["git", "branch", "--show-current"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.stdout.strip()


def _has_buildx(environment: Mapping[str, str]) -> bool:
    try:
        done = subprocess.run(
            ["docker", "buildx", "version"],
            env=dict(environment),
            capture_output=True,
            timeout=60,
            check=False,
        )
    except FileNotFoundError:
        raise FlowError("there is no `docker` on PATH", "install Docker") from None
    return done.returncode == 0


def _run(command: list[str], folder: Path, environment: Mapping[str, str], say: OnLine) -> str:
    """Run with every line shown; what it said. Raises FlowError with its last lines."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    said: list[str] = []
    overdue = threading.Event()

    def give_up() -> None:
        overdue.set()
        _end(process)

    # In a thread of its own: what hangs prints no line at which the time could be looked at.
    watch = threading.Timer(BUILD_SECONDS, give_up)
    watch.daemon = True
    watch.start()
    try:
        for line in process.stdout or ():
            said.append(line.rstrip())
            say(said[-1])
        code = process.wait()
    finally:
        watch.cancel()
        _end(process)
        if process.stdout:
            process.stdout.close()
    if overdue.is_set():
        raise FlowError(
            f"`{' '.join(command[:2])}` was not over in {BUILD_SECONDS:.0f} s and was ended",
            "look at its last lines above and run it again; what was built is cached",
        )
    if code:
        raise FlowError(
            f"`{' '.join(command)}` ended with exit code {code}:\n" + "\n".join(said[-20:]),
            "put the cause right and run it again; what was built is cached",
        )
    return "\n".join(said)


def _end(process: subprocess.Popen[str]) -> None:
    """End a command that still runs; one that does not listen is killed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def variables(settings: Mapping[str, Any]) -> dict[str, str]:
    """The Compose file's variables: the environment's, above them the settings' prefix.

    Without what is the flow's own there: an image's maker sees its build's arguments.
    """
    found = {name: value for name, value in os.environ.items() if not _OURS.fullmatch(name)}
    found["IMAGES"] = str(os.environ.get("IMAGES") or settings.get("images") or "")
    if not found["IMAGES"]:
        raise FlowError(
            "no setting says where images are",
            "set images in Pulumi.yaml, as ghcr.io/example-org/app, or export IMAGES",
        )
    return found
