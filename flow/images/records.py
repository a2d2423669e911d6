"""Which images the stacks' records need; what cannot be read is a refusal, never an absence.

A release is needed while a stack runs it, sleeps with it, or can go back to it. The record of every
stack has to be read for that: one that was not seen could be production's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from components import compose as rules
from components import naming, plain_yaml
from flow import rollback, state, survey
from flow.errors import FlowError
from flow.project import Project
from registry.client import ImageError, Reference

# Last dumps of demos are pushed under this name: nothing but a person's decision ends one.
_DUMPS = "dumps"
_DIGEST = "sha256:"


@dataclass(frozen=True)
class Need:
    """One image that has to stay."""

    why: str
    reference: str
    """A digest, else a tag."""
    repository: str = ""
    """As ghcr.io/example-org/app/web; empty: of every image of the application."""

    @property
    def is_digest(self) -> bool:
        """Whether it is about bytes, not about a name that can be given to others."""
        return self.reference.startswith(_DIGEST)


@dataclass(frozen=True)
class Records:
    """What all stacks' records say."""

    stacks: tuple[str, ...]
    needs: tuple[Need, ...]
    repositories: Mapping[str, Reference]
    """The application's own images, by name with the registry: what builds push to."""


def read(project: Project, without: Collection[str] = ()) -> Records:
    """What every stack needs. Raises FlowError, with its name, for what cannot be read.

    without  stages that have no stack yet; any other that is not found is a refusal
    """
    stacks = project.stacks
    names = sorted(stacks.names(), key=survey.order)
    if astray := stacks.astray():
        told = ", ".join(f"{name} in the state of {group}" for name, group in astray.items())
        raise FlowError(
            f"stacks lie in a state of another group's, where their releases are not read: {told}",
            "move each to its own, or remove it there (docs/real-accounts.md, Three states)",
        )
    if missing := [each for each in naming.STAGE_BRANCHES if each not in {*names, *without}]:
        words = " ".join(f"--without {each}" for each in missing)
        raise FlowError(
            f"there is no stack {', '.join(missing)} in the states this shell opens, so nobody can "
            "say which images it needs",
            "set PULUMI_BACKEND_URL_PROD and the like, as the team has them; or, where there is "
            f"none yet: {words}",
        )
    found = survey.states(project, names)
    if unread := {name: each for name, each in found.items() if isinstance(each, FlowError)}:
        told = "; ".join(f"{name}: {each.problem}" for name, each in unread.items())
        first = next(iter(unread.values()))
        raise FlowError(
            f"not every stack's record can be read, so which images it needs is not known: {told}",
            first.remedy or "put that right, then run it again",
        )
    needs: list[Need] = []
    repositories: dict[str, Reference] = {}
    for name, each in found.items():
        if isinstance(each, state.State):
            needs += _needs(name, each, repositories)
        needs += _pinned(name, project.settings(name))
    return Records(tuple(names), tuple(needs), repositories)


def _needs(stack: str, found: state.State, repositories: dict[str, Reference]) -> Iterator[Need]:
    """Of the release that runs and of those it can go back to."""
    past = rollback.releases(found.releases)
    if found.outputs.get("release") and not (past and found.release):
        raise _unreadable(stack, "it names a release and holds none")
    running = "sleeps with" if found.asleep else "runs"
    kept = [(f"{stack} {running} {found.release.get('version')}", found.release)]
    for each, recorded in zip(past, found.releases, strict=True):
        verb = running if each.current else "can go back to"
        kept.append((f"{stack} {verb} {each.version}", recorded.get("release") or {}))
    for why, release in kept if found.release or past else []:
        yield from _of_release(stack, why, release, repositories)


def _of_release(
    stack: str, why: str, release: Mapping[str, Any], repositories: dict[str, Reference]
) -> Iterator[Need]:
    images, prefix = release.get("images"), str(release.get("prefix") or "")
    if not isinstance(images, Mapping) or not images:
        raise _unreadable(stack, "a release in it names no images")
    try:
        services = rules.services_of(plain_yaml.load(str(release.get("compose") or "")))
    except (AttributeError, TypeError, yaml.YAMLError):
        raise _unreadable(stack, "the Compose file of a release in it cannot be read") from None
    for service, pinned in images.items():
        try:
            image = Reference.parse(str(pinned))
        except ImageError:
            raise _unreadable(stack, f"{pinned!r} in it is no image") from None
        if image.digest is None:
            raise _unreadable(stack, f"{pinned} in it has no digest")
        repository = name_of(image)
        yield Need(why, image.digest, repository)
        definition = services.get(service) or {}
        is_ours = bool(definition.get("build")) or (prefix and _is_under(image.name, prefix))
        if not is_ours or image.name == f"{prefix}/{_DUMPS}":
            continue
        repositories[repository] = image
        written = str(definition.get("image") or "")
        if "VERSION" not in written and (tag := _fixed(written, prefix)):
            # One name for all versions of the application: what stands there is theirs, too.
            yield Need(f"the Compose file of {stack} names it", tag, repository)


def _fixed(written: str, prefix: str) -> str:
    """The tag of an image that no version is in; empty where other variables say it."""
    try:
        return Reference.parse(rules.interpolate(written, {"IMAGES": prefix})).tag
    except (ImageError, ValueError):
        return ""


def _pinned(stack: str, settings: Mapping[str, Any]) -> Iterator[Need]:
    """What the stack's file pins, for its next `up`."""
    why = f"the settings of {stack} pin it"
    if version := settings.get("version"):
        yield Need(why, str(version))
    digests = settings.get("digests")
    for name, digest in digests.items() if isinstance(digests, Mapping) else ():
        try:
            yield Need(why, str(digest), name_of(Reference.parse(str(name))))
        except ImageError:
            continue  # the next `up` is refused for it


def name_of(image: Reference) -> str:
    """An image's name with its registry, however it was written."""
    return f"{image.registry}/{image.repository}"


def _is_under(name: str, prefix: str) -> bool:
    return name.startswith(f"{prefix}/")


def _unreadable(stack: str, why: str) -> FlowError:
    return FlowError(
        f"the record of {stack} cannot be read: {why}",
        f"an `up` writes it anew: flow deploy {stack}. Then run it again",
    )
