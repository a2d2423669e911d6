"""What a registry has of one image's name, and how it is removed there: by GitHub, or by itself.

At ghcr.io nothing is removed through the registry: GitHub's Packages API lists every version, the
untagged ones too, says when each was changed, and removes one. Any other registry lists tags, so
that there only what has one is found, what it consists of, and what is asked for by its digest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import httpx

from flow import github_part
from flow.engine import at_once
from flow.errors import FlowError
from flow.images.packages import Package, Version
from flow.registry_login import logged_in
from registry.client import Credentials, ImageError, NoImageError, Reference
from registry.repository import Manifest, Repository

REQUESTS = 8
GHCR = "ghcr.io"
# How clients of registries that know no referrers name what is about another image.
_ABOUT = re.compile(r"sha256-([0-9a-f]{64})(\..+)?")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Image:
    """One manifest of a repository: an image, an index, a part of one, or a word about one."""

    repository: str
    """As ghcr.io/example-org/app/web."""
    digest: str
    tags: tuple[str, ...] = ()
    made: int | None = None
    """When it was built or, where GitHub says it, last tagged, in seconds since 1970."""
    children: tuple[str, ...] = ()
    subject: str = ""
    """Digest of what it says something about."""
    blobs: Mapping[str, int] = field(default_factory=dict, repr=False)
    """Digest → bytes, its own only."""
    id: str = ""
    """At GitHub."""

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"

    @property
    def about(self) -> frozenset[str]:
        """Digests of the images it belongs to without being a part of them: a signature's."""
        named = (_ABOUT.fullmatch(tag) for tag in self.tags)
        found = {f"sha256:{each[1]}" for each in named if each}
        return frozenset({*found, *([self.subject] if self.subject else [])})


class Place(Protocol):
    """One repository, where it is. Each call raises FlowError."""

    def images(self, digests: Collection[str], say: Say) -> list[Image]:
        """All there is; also what only its digest names, where it is there."""

    def named(self, digests: Collection[str]) -> list[Image]:
        """What is there of these, and all that they consist of; tags and dates are left out."""

    def check(self) -> None:
        """Refuse beforehand what can be known to fail."""

    def remove(self, image: Image) -> None:
        """Remove it and its tags; that it is gone already is fine."""

    def left(self, removed: Sequence[Image]) -> set[str]:
        """Digests of what is there all the same."""


class AtRegistry:
    """A repository of a registry that speaks the Distribution API, and removes by it."""

    def __init__(self, name: Reference, client: httpx.Client) -> None:
        self._repository = Repository(client, name, logged_in(name.registry))

    def images(self, digests: Collection[str], say: Say) -> list[Image]:
        """By tag, then by digest, and all that they consist of."""
        tags: dict[str, list[str]] = {}
        found: dict[str, Manifest] = {}
        with _told():
            for tag, manifest in _looked(self._repository, self._repository.tags(), say):
                tags.setdefault(manifest.digest, []).append(tag)
                found[manifest.digest] = manifest
            wanted = {*digests, *_children(found.values())} - found.keys()
            found |= _whole(self._repository, wanted, say)
        made = {digest: _made(digest, found) for digest in found}
        return [
            _image(self._repository.name, each, tuple(tags.get(digest, ())), made[digest])
            for digest, each in found.items()
        ]

    def named(self, digests: Collection[str]) -> list[Image]:
        """By digest."""
        return _named(self._repository, digests)

    def check(self) -> None:
        """Whether anything can be deleted there at all, asked with a digest of nothing."""
        with _told():
            self._repository.check_deletion()

    def remove(self, image: Image) -> None:
        """By its digest."""
        with _told():
            self._repository.delete(image.digest)

    def left(self, removed: Sequence[Image]) -> set[str]:
        """Those that answer still."""
        with _told():
            asked = [each.digest for each in removed]
            return {digest for digest, _ in _looked(self._repository, asked, _quietly, dated=False)}


class AtGithub:
    """A container package of GitHub's: listed and removed by its API, read at its registry."""

    def __init__(self, name: Reference, client: httpx.Client) -> None:
        own = logged_in(GHCR)
        token = own.password if own else github_part.token_at_hand()
        if not token:
            raise FlowError(
                f"there is no token that lists what {GHCR} has of {name.name}",
                "export REGISTRY_PUSH_USERNAME and REGISTRY_PUSH_PASSWORD: a classic token with "
                "read:packages and delete:packages",
            )
        # The registry takes the same token, whoever is said to have it.
        credentials = own or Credentials(name.repository.partition("/")[0], token)
        self._repository = Repository(client, name, credentials)
        owner, _, package = name.repository.partition("/")
        self._package = Package(client, token, owner, package)

    def images(self, digests: Collection[str], say: Say) -> list[Image]:
        """Every version; what is not among them is not there."""
        versions = {each.digest: each for each in self._package.versions()}
        if digests and not versions:
            raise FlowError(
                f"GitHub shows no package {self._repository.name} to this token; releases need it",
                "look at the token's scopes (read:packages), and at who may read the package",
            )
        with _told():
            seen = list(versions)
            looked = dict(_looked(self._repository, seen, say, dated=False))
        # What GitHub lists and the registry does not have, nobody can pull; it has no parts.
        return [
            _at_github(self._repository.name, version, looked.get(digest, Manifest(digest)))
            for digest, version in versions.items()
        ]

    def named(self, digests: Collection[str]) -> list[Image]:
        """By digest, at the registry."""
        return _named(self._repository, digests)

    def check(self) -> None:
        """Nothing: GitHub says by no request that changes nothing what a token may delete."""

    def remove(self, image: Image) -> None:
        """The version, which is the manifest with its tags."""
        self._package.delete(image.id)

    def left(self, removed: Sequence[Image]) -> set[str]:
        """Those that are listed still: GitHub says `not found` for what one may not delete, too."""
        return {each.digest for each in self._package.versions()} & {
            each.digest for each in removed
        }


def at(name: Reference, client: httpx.Client) -> Place:
    """Where an image's name is kept. Raises FlowError."""
    return AtGithub(name, client) if name.registry == GHCR else AtRegistry(name, client)


def _looked(
    repository: Repository, references: Sequence[str], say: Say, *, dated: bool = True
) -> Iterator[tuple[str, Manifest]]:
    """Those of `references` that are there, each with its manifest."""
    done: list[str] = []

    def look(reference: str) -> Manifest | None:
        try:
            found = repository.look(reference, dated=dated)
        except NoImageError:
            found = None  # removed meanwhile; or a part that was never pushed
        done.append(reference)
        say(f"{repository.name}: {len(done)} of {len(references)}")
        return found

    for reference, found in zip(references, at_once(look, references, REQUESTS), strict=True):
        if found is not None:
            yield reference, found


def _whole(
    repository: Repository, digests: Collection[str], say: Say, *, dated: bool = True
) -> dict[str, Manifest]:
    """Those that are there and all that they consist of, by digest."""
    found: dict[str, Manifest] = {}
    wanted = set(digests)
    while wanted:
        more = dict(_looked(repository, sorted(wanted), say, dated=dated))
        found |= more
        wanted = _children(more.values()) - found.keys()
    return found


def _named(repository: Repository, digests: Collection[str]) -> list[Image]:
    with _told():
        found = _whole(repository, digests, _quietly, dated=False)
    return [_image(repository.name, each, (), None) for each in found.values()]


def _quietly(_: str) -> None:
    """For what is too short to be told."""


def _children(found: Iterable[Manifest]) -> set[str]:
    return {child for each in found for child in each.children}


def _made(digest: str, found: Mapping[str, Manifest]) -> int | None:
    """Of an index: when the newest of its parts was built."""
    manifest = found[digest]
    parts = [found[child].made for child in manifest.children if child in found]
    return max((each for each in (manifest.made, *parts) if each is not None), default=None)


def _image(name: str, each: Manifest, tags: tuple[str, ...], made: int | None) -> Image:
    return Image(name, each.digest, tags, made, each.children, each.subject, each.blobs)


def _at_github(name: str, version: Version, manifest: Manifest) -> Image:
    found = _image(name, manifest, version.tags, version.changed)
    return replace(found, digest=version.digest, id=version.id)


@contextmanager
def _told() -> Iterator[None]:
    """A registry's error as one of ours; what it says of `pulumi up` is for a deploy."""
    try:
        yield
    except ImageError as error:
        raise FlowError(str(error).replace("`pulumi up`", "it")) from error
