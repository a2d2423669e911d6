"""Images of a release, pinned: pulled from a registry by tag, or built here from `build:`.

What is pulled is pinned by its digest, what is built here by its id: either way by contents.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from components import compose as rules
from components.naming import branch_slug
from feature_demo.demo import BUILT, Demo
from feature_demo.sources import Source
from feature_demo.words import DemoError, Say
from remote.server.agent.commands import Commands
from remote.server.agent.lines import Blot
from remote.server.agent.machine import Machine

PULL_SECONDS: Final = 900
BUILD_SECONDS: Final = 3600
VERSION_LABEL: Final = "org.opencontainers.image.version"
REVISION_LABEL: Final = "org.opencontainers.image.revision"
_STEP: Final = re.compile(r"#\d+ \[(?!.*\b(internal|auth)\b)")
"""Of all a build says, its steps are shown; the rest when it fails."""
_WIDTH: Final = 90
_NAME: Final = re.compile(r"(?P<name>.+?)(?::(?P<tag>[\w][\w.-]*))?(?:@(?P<digest>sha256:\w{64}))?")


@dataclass(frozen=True)
class Pins:
    """Exactly what is deployed."""

    version: str
    revision: str
    prefix: str
    images: Mapping[str, str]
    """Service → `name@sha256:…`, or `sha256:…` of one built here."""


class Pinner:
    """Finds the image of every service."""

    def __init__(self, machine: Machine, commands: Commands, demo: Demo, say: Say) -> None:
        self._commands = commands
        self._environment = {"HOME": "/root", "DOCKER_CONFIG": str(machine.docker_config)}
        self._demo = demo
        self._say = say
        self._blot = Blot(demo.secrets)

    def pin(self, compose: Mapping[str, Any], source: Source) -> Pins:
        """Pull or build all. Raises DemoError."""
        demo = self._demo
        services = rules.services_of(compose)
        if demo.images:
            tag = demo.version or branch_slug(demo.branch)
            built: list[str] = []
        else:
            tag = source.version
            built = [name for name, service in sorted(services.items()) if service.get("build")]
        prefix = demo.images or BUILT
        variables = {**demo.settings, "IMAGES": prefix, "VERSION": tag}
        names = {name: self._name(name, each, variables) for name, each in services.items()}
        # An image that several services share is built once.
        here = {names[service]: service for service in reversed(built)}
        if here:
            self._build(services, sorted(here.values()), variables, source)
        known = {
            name: self._seen(name) if name in here else self._pulled(name)
            for name in sorted(set(names.values()))
        }
        images, told = {}, {}
        for service, name in names.items():
            images[service], labels = known[name]
            if "VERSION" in str(services[service].get("image")):
                told[service] = (labels.get(VERSION_LABEL, ""), labels.get(REVISION_LABEL, ""))
        version = tag if built else _agreed(told, 0, "version") or tag
        revision = source.commit if built else _agreed(told, 1, "commit")
        return Pins(version, revision, prefix, images)

    def _name(
        self, service: str, definition: Mapping[str, Any], variables: Mapping[str, str]
    ) -> str:
        try:
            return rules.interpolate(str(definition.get("image")), variables)
        except ValueError as error:
            raise DemoError(
                f"services.{service}.image: {error}", "give the variable in the --settings file"
            ) from None

    def _build(
        self,
        services: Mapping[str, Mapping[str, Any]],
        names: list[str],
        variables: Mapping[str, str],
        source: Source,
    ) -> None:
        self._say(f"building {', '.join(sorted(names))} (version {source.version})")
        # Only what says how to build: the rest of the file may need what is not here.
        wanted = {"services": {n: {k: services[n][k] for k in ("image", "build")} for n in names}}
        log: list[str] = []

        def hear(line: str) -> None:
            line = self._blot(line)
            # Each time another step has said something, a step's name comes again.
            if _STEP.match(line) and line not in log:
                self._say(f"    {line[:_WIDTH]}{'…' if len(line) > _WIDTH else ''}")
            log.append(line)

        ended = self._commands.run(
            [
                "docker", "compose", "--progress", "plain", "--project-name", "app",
                "--project-directory", str(source.folder), "--file", "-", "build",
                "--build-arg", f"VERSION={source.version}",
                "--build-arg", f"COMMIT={source.commit or 'unknown'}",
            ],
            seconds=BUILD_SECONDS,
            environment={**variables, **self._environment},
            stdin=json.dumps(wanted),
            on_line=hear,
        )  # fmt: skip
        if not ended.ok:
            for line in log[-30:]:
                self._say(f"    {line}")
            raise DemoError(
                f"the images could not be built: {self._blot(ended.last())[:400]}",
                "correct what the lines above say; `docker compose build` shows the same",
            )

    def _pulled(self, reference: str) -> tuple[str, Mapping[str, str]]:
        found = _NAME.fullmatch(reference)
        if not found:
            raise DemoError(
                f"{reference!r} is no image name", "correct `image:` in the Compose file"
            )
        self._say(f"pulling {reference}")
        ended = self._docker("pull", "--quiet", reference, seconds=PULL_SECONDS)
        if not ended[0]:
            hint = (
                "give --images, so that it is known where the images are, or"
                if (not self._demo.images)
                else "check --images, --branch or --version, and the registry's user and password;"
            )
            raise DemoError(
                f"the image {reference} could not be pulled: {ended[1][:300]}",
                f"{hint} see that it exists",
            )
        name, digest = found["name"], found["digest"]
        if not digest:
            told = self._inspected(reference, '{{join .RepoDigests " "}}').split()
            short = name.removeprefix("docker.io/").removeprefix("library/")
            digests = {pair.partition("@")[0]: pair.partition("@")[2] for pair in told}
            digest = digests.get(name) or digests.get(short)
        if not digest:
            raise DemoError(f"Docker tells no digest of {reference}", "run the command again")
        return f"{name}@{digest}", self._labels(reference)

    def _seen(self, reference: str) -> tuple[str, Mapping[str, str]]:
        return self._inspected(reference, "{{.Id}}"), self._labels(reference)

    def _labels(self, reference: str) -> Mapping[str, str]:
        # One by one: all of an image's labels can be longer than a line is kept.
        return {
            label: self._inspected(reference, f'={{{{index .Config.Labels "{label}"}}}}')[1:]
            for label in (VERSION_LABEL, REVISION_LABEL)
        }

    def _inspected(self, reference: str, form: str) -> str:
        ok, said = self._docker("image", "inspect", "--format", form, reference)
        if not ok:
            raise DemoError(f"Docker does not show the image {reference}: {said}", "run it again")
        return said

    def _docker(self, *words: str, seconds: float = 60) -> tuple[bool, str]:
        ended = self._commands.run(
            ["docker", *words], seconds=seconds, environment=self._environment
        )
        return ended.ok, ended.last()


def _agreed(told: Mapping[str, tuple[str, str]], at: int, what: str) -> str:
    values = {service: pair[at] for service, pair in told.items() if pair[at]}
    if len(set(values.values())) > 1:
        each = ", ".join(f"{service} {value}" for service, value in sorted(values.items()))
        raise DemoError(
            f"the images are not of one {what} ({each})",
            "a build may still be pushing: run the command again when it has ended",
        )
    return next(iter(values.values()), "")
