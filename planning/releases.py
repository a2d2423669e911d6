"""Which release an `up` deploys, and how a stack keeps it from one run to the next."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pulumi

from components import bundle, naming
from planning.record import Record
from settings_model import Settings


class Unreleasable(pulumi.RunError):
    """A version that cannot be deployed; nothing was changed."""


@dataclass(frozen=True)
class Kept:
    """A release as the state keeps it, whole: the next `up` needs no checkout of it."""

    version: str
    revision: str
    """Git commit; empty when no image says it."""
    images: dict[str, str]
    """Service → name@sha256:…"""
    prefix: str
    compose: str
    """The Compose file's text, with the application's files it names in it."""
    layers: dict[str, int] = field(default_factory=dict)
    """What its images consist of, each layer once: digest → bytes as they are sent."""

    @classmethod
    def of(cls, output: Mapping[str, Any] | None) -> "Kept | None":
        """The recorded release; None when there is none this program can read."""
        try:
            return None if output is None else cls(**output)
        except TypeError:
            return None

    def output(self) -> dict[str, Any]:
        """What is recorded."""
        return asdict(self)


def choose(settings: Settings, last: Record) -> Kept:
    """What this `up` deploys: the version asked for, else what runs, else the branch's newest.

    A rollback is to a release of the record, whole.

    What runs stays with the Compose file it was released with: an `up` from an old checkout
    rolls nothing back. A demo whose branch has no image yet starts with what its branch most
    likely started from. Raises Unreleasable.
    """
    if settings.rollback is not None:
        return _recorded(settings.stack, settings.rollback, last)
    running = Kept.of(last.release)
    if running is not None and settings.version is None:
        return running
    text = _text(settings)
    if (
        running is not None
        and (running.version, running.compose) == (settings.version, text)
        and not _differs(running, settings.digests)
    ):
        return running
    asked = settings.version or naming.branch_slug(settings.branch)
    tags = [asked]
    if settings.stage == "demo" and settings.version is None:
        tags.append(naming.STAGE_BRANCHES["dev"])
    return _newest(settings, text, tags)


def _text(settings: Settings) -> str:
    """The checkout's Compose file with its files in it. Raises Unreleasable."""
    try:
        return bundle.carried(settings.application / settings.compose_file, settings.application)
    except bundle.ComposeError as error:
        where = f"{settings.application.name}/{settings.compose_file}"
        raise Unreleasable(f"{where}: {error}.\nNothing was changed.") from None


def _differs(running: Kept, digests: Mapping[str, str]) -> bool:
    """Whether a release has another image than what was said of its name."""
    named = (each.split("@") for each in running.images.values())
    return any(digests.get(name, digest) != digest for name, digest in named)


def _recorded(stack: str, wanted: str, last: Record) -> Kept:
    """A release that ran before, by its id or its version. Raises Unreleasable."""
    known = []
    for each in last.releases:
        kept = Kept.of(each["release"])
        if kept is None:
            continue
        if wanted in (each.get("id"), kept.version):
            return kept
        known.append(f"{kept.version} ({each.get('id')})")
    raise Unreleasable(
        f"{stack} keeps no release {wanted}; it keeps {', '.join(known) or 'none'}. "
        "Nothing was changed. An older version is deployed with `version`."
    )


def _newest(settings: Settings, text: str, tags: Sequence[str]) -> Kept:
    """The release of a Compose file's text with the first of `tags` that there are images of."""
    # Only a new release asks a registry, and an HTTP client takes long to import.
    from planning import images

    password = settings.registry_password
    credentials = None
    if settings.registry_username and password:
        credentials = images.Credentials(settings.registry_username, password.get_secret_value())
    missing: images.ImageError | None = None
    try:
        compose = bundle.load(text)
        for tag in tags:
            try:
                pins = images.resolve(
                    compose,
                    settings.images,
                    version=tag,
                    environment=settings.environment,
                    digests=settings.digests,
                    credentials=credentials,
                    architecture=settings.architecture,
                )
            except images.NoImageError as error:
                missing = missing or error
                continue
            if missing is not None:
                pulumi.log.warn(f"{missing}. Until then this is {tag}, {pins['version']}")
            if settings.version and settings.version not in naming.STAGE_BRANCHES.values():
                # What staging ran is released under a name of its own.
                pins["version"] = settings.version
            return Kept(compose=text, prefix=settings.images, **pins)
    except (images.ImageError, bundle.ComposeError) as error:
        missing = images.ImageError(str(error))
    where = f"{settings.application.name}/{settings.compose_file}"
    raise Unreleasable(f"{where}: {missing}.\nNothing was changed.")
