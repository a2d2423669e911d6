"""Images of a release: from a tag or a branch to digests, asked of the registry."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NotRequired, TypedDict

import httpx

from components import compose as rules
from registry.client import (
    Credentials,
    ImageError,
    NoImageError,
    Opened,
    Reference,
    Registry,
    Sight,
)

VERSION_LABEL: Final = "org.opencontainers.image.version"
REVISION_LABEL: Final = "org.opencontainers.image.revision"

__all__ = ["Credentials", "ImageError", "NoImageError", "Pins", "Reference", "resolve"]


class Pins(TypedDict):
    """Exactly what is deployed; keep it with the Compose file it was resolved for."""

    version: str
    revision: str
    """Git commit by the images' label; empty when no image says it."""
    images: dict[str, str]
    """Service → `name@sha256:…`."""
    layers: NotRequired[dict[str, int]]
    """What they consist of, each layer once: digest → bytes as they are sent."""


def resolve(
    compose: Mapping[str, Any],
    prefix: str,
    *,
    version: str,
    environment: Mapping[str, str] | None = None,
    digests: Mapping[str, str] | None = None,
    credentials: Credentials | None = None,
    architecture: str | None = None,
    client: httpx.Client | None = None,
) -> Pins:
    """Pins of every service, with `version` as the tag behind ${VERSION}.

    `version` may be a version's tag or a branch's (`naming.branch_slug`): the true version
    is read from the images' label. `digests` (image name → `sha256:…`) say what a tag was when it
    was pushed: another may stand there by now. `credentials` are used for the registry of `prefix`
    only. `architecture` (amd64, arm64) is the server's processor, where it is known.
    Raises ImageError, for an image that is not for that processor, too.
    """
    variables = {**(environment or {}), "IMAGES": prefix, "VERSION": version}
    home = Reference.parse(prefix).registry if "/" in prefix else ""
    own: dict[str, tuple[str, str]] = {}
    images: dict[str, str] = {}
    known: dict[str, Sight] = {}
    with Opened(client) as http:
        for service, definition in sorted(rules.services_of(compose).items()):
            written = str(definition.get("image"))
            try:
                reference = Reference.parse(rules.interpolate(written, variables))
            except ValueError as error:
                raise ImageError(f"services.{service}.image: {error}") from None
            if digest := (digests or {}).get(reference.name):
                reference = replace(reference, digest=digest)
            key = f"{reference.registry}/{reference.repository}:{reference.tag}@{reference.digest}"
            if key not in known:
                given = credentials if reference.registry == home else None
                is_written = reference.digest is not None and not digest
                known[key] = (
                    # Somebody else's, whose bytes are said: nothing has to be asked.
                    Sight(str(reference.digest), {}, {})
                    if is_written and "VERSION" not in written
                    else Registry(http, reference, given).look(architecture or "amd64")
                )
                _check_processor(reference, known[key], architecture)
            images[service] = f"{reference.name}@{known[key].digest}"
            if "VERSION" in written:
                labels = known[key].labels
                own[service] = (labels.get(VERSION_LABEL, ""), labels.get(REVISION_LABEL, ""))
    return Pins(
        version=_agreed(own, 0, "version") or version,
        revision=_agreed(own, 1, "commit"),
        images=images,
        layers={name: size for each in known.values() for name, size in each.layers.items()},
    )


def _check_processor(reference: Reference, found: Sight, architecture: str | None) -> None:
    if architecture is None or not found.architectures or architecture in found.architectures:
        return
    those = ", ".join(sorted(found.architectures))
    raise ImageError(
        f"the image {reference.name}:{reference.tag} is for {those}, and the server's processor "
        f"(serverType) is {architecture}; build it with `docker build --platform "
        f"linux/{architecture}`, or choose a serverType with a processor it is for (cax… are "
        "arm64, all others amd64)"
    )


def _agreed(own: Mapping[str, tuple[str, str]], at: int, what: str) -> str:
    """The value all labelled images share; images pushed at different times may not."""
    values = {service: pair[at] for service, pair in own.items() if pair[at]}
    if len(set(values.values())) > 1:
        told = ", ".join(f"{service} {value}" for service, value in sorted(values.items()))
        raise ImageError(
            f"the images are not of one {what} ({told}); a build may still be pushing: run "
            "`pulumi up` again when it has ended, or name a version"
        )
    return next(iter(values.values()), "")
