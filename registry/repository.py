"""All that a registry has under one name: its tags, its manifests, and how one is removed."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import httpx

from registry.client import (
    ACCEPT,
    Credentials,
    ImageError,
    NoImageError,
    Reference,
    Registry,
    digest_of,
)

_PAGE: Final = 1000
# Nothing has such a digest: to delete it tells whether one may, and deletes nothing.
_NOTHING: Final = f"sha256:{'0' * 64}"
_CONFIGS: Final = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
# A builder that hides when it built says 1970, or 1980 where that is the first year it knows.
_FIRST_YEAR: Final = 2000


class DeletionDisabledError(ImageError):
    """The registry deletes nothing for anybody."""


@dataclass(frozen=True)
class Manifest:
    """One image, index or attestation, by its digest."""

    digest: str
    children: tuple[str, ...] = ()
    """Digests of the manifests that an index consists of."""
    subject: str = ""
    """Digest of what it says something about, as a signature does; empty for an image."""
    blobs: Mapping[str, int] = field(default_factory=dict)
    """Digest → bytes as they are stored: of itself, its configuration and its layers."""
    made: int | None = None
    """When it was built, in seconds since 1970; None where nothing says it."""


class Repository:
    """Everything under one name at a registry. May be asked from several threads."""

    def __init__(
        self, client: httpx.Client, name: Reference, credentials: Credentials | None
    ) -> None:
        self._registry = Registry(client, name, credentials)
        self._name = name
        self.name = f"{name.registry}/{name.repository}"
        """With its registry, however it was written."""
        self._whose = f"user {credentials.username}" if credentials else "nobody in particular"

    def tags(self) -> list[str]:
        """Every tag; none where there is no such repository. Raises ImageError."""
        found: list[str] = []
        path = f"/tags/list?n={_PAGE}"
        while path:
            try:
                answer = self._registry.request("GET", path, None, {"Accept": "application/json"})
            except NoImageError:
                return found
            found += self._json(answer, path).get("tags") or []
            after = answer.links.get("next", {}).get("url", "")
            path = f"/tags/list?{httpx.URL(after).query.decode()}" if after else ""
        return found

    def look(self, reference: str, *, dated: bool = True) -> Manifest:
        """What a tag or a digest stands for. Raises NoImageError, ImageError.

        dated  ask for its configuration as well, which says when it was built
        """
        path = f"/manifests/{quote(reference, safe=':')}"
        answer = self._registry.request("GET", path, None, {"Accept": ACCEPT})
        manifest = self._json(answer, path)
        config = manifest.get("config") or {}
        digest = digest_of(answer.content)
        parts = [config, *(manifest.get("layers") or [])]
        when = (manifest.get("annotations") or {}).get("org.opencontainers.image.created")
        if dated and config.get("mediaType") in _CONFIGS:
            blob = f"/blobs/{config['digest']}"
            told = self._registry.request("GET", blob, None, {"Accept": "*/*"})
            when = self._json(told, blob).get("created") or when
        return Manifest(
            digest=digest,
            children=tuple(str(each["digest"]) for each in manifest.get("manifests") or []),
            subject=str((manifest.get("subject") or {}).get("digest") or ""),
            blobs={
                digest: len(answer.content),
                **{str(each["digest"]): int(each.get("size") or 0) for each in parts if each},
            },
            made=_seconds(when),
        )

    def check_deletion(self) -> None:
        """Raises DeletionDisabledError, or ImageError where one may not delete; deletes nothing."""
        self.delete(_NOTHING)

    def delete(self, digest: str) -> None:
        """Remove a manifest and every tag on it; that it is gone already is fine.

        Raises DeletionDisabledError, ImageError.
        """
        try:
            self._registry.request("DELETE", f"/manifests/{digest}", None, {})
        except NoImageError:
            return
        except ImageError as error:
            host = self._name.registry
            if error.status == httpx.codes.METHOD_NOT_ALLOWED:
                raise DeletionDisabledError(
                    f"the registry {host} has deletion switched off, so nothing can be removed "
                    "there. Where it is Docker's: set REGISTRY_STORAGE_DELETE_ENABLED=true (or "
                    "storage.delete.enabled in its configuration) and restart it",
                    error.status,
                ) from None
            if error.status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
                raise ImageError(
                    f"the registry {host} lets {self._whose} delete nothing of {self._name.name} "
                    f"(it answered {error.status}); export REGISTRY_PUSH_USERNAME and "
                    "REGISTRY_PUSH_PASSWORD of somebody who may",
                    error.status,
                ) from None
            raise

    def _json(self, answer: httpx.Response, path: str) -> Mapping[str, Any]:
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ImageError(
                f"the registry {self._name.registry} answered no JSON object for "
                f"{self._name.name}{path}; it may be no registry: check `images` in the settings"
            )
        return found


def _seconds(when: Any) -> int | None:
    """A time as registries write it; None for none, and for one that is only a stand-in."""
    try:
        found = datetime.datetime.fromisoformat(str(when))
    except ValueError:
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=datetime.UTC)
    return int(found.timestamp()) if found.year >= _FIRST_YEAR else None
