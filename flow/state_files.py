"""The files of a backend of one's own, a folder or a bucket: what `flow` keeps beside a state.

Read and written as files are: that costs no start of the engine. The engine lists nothing but what
is below `.pulumi`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from flow import backends
from flow.backups.bucket import Bucket, Place
from flow.errors import FlowError

_KEYS = (backends.KEY, backends.KEY_SECRET)


class Files(Protocol):
    """What a backend of one's own is: files with names. Raises FlowError."""

    def read(self, name: str) -> bytes | None:
        """The content; None where there is no such file."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write it, whole or not at all."""
        ...

    def names(self, folder: str) -> list[str]:
        """Every file directly below a folder, without the folder's name."""
        ...

    def remove(self, names: list[str]) -> None:
        """Remove files."""
        ...


def beside(environment: Mapping[str, str]) -> Files | None:
    """The files of the backend that PULUMI_BACKEND_URL names; None where it has none of ours.

    Raises FlowError for a bucket without keys.
    """
    url = environment.get(backends.URL) or ""
    if url.startswith("file://"):
        path = unquote(url.removeprefix("file://").partition("?")[0])
        return _Folder(Path(path).expanduser())
    if url.startswith("s3://"):
        place, prefix = _place(url, environment)
        return _InBucket(Bucket(place), prefix)
    return None


def _place(url: str, environment: Mapping[str, str]) -> tuple[Place, str]:
    parts, asked = urlsplit(url), parse_qs(urlsplit(url).query)

    def given(*names: str) -> str:
        return next((asked[name][-1] for name in names if name in asked), "")

    region = given("region") or environment.get("AWS_REGION") or "us-east-1"
    endpoint = given("endpoint") or f"s3.{region}.amazonaws.com"
    if "://" not in endpoint:
        plain = given("disable_https", "disableSSL") == "true"
        endpoint = f"{'http' if plain else 'https'}://{endpoint}"
    key, secret = (environment.get(name) or "" for name in _KEYS)
    if not key or not secret:
        raise FlowError(
            f"no key for the bucket of the state, {parts.netloc}",
            f"export {' and '.join(_KEYS)}",
        )
    prefix = parts.path.strip("/")
    of = (backends.URL, *_KEYS)
    place = Place(parts.netloc, endpoint, region, key, secret, of)
    return place, f"{prefix}/" if prefix else ""


class _Folder:
    """A backend that is a folder here."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> bytes | None:
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FlowError(f"{self._root / name} cannot be read: {error.strerror}") from error

    def write(self, name: str, content: bytes) -> None:
        path = self._root / name
        if not self._root.is_dir():
            # Made here it would hide from the engine that the backend is missing.
            raise FlowError(f"there is no folder {self._root}", f"look at {backends.URL}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = path.with_name(f".{path.name}.{os.getpid()}")
            part.touch(mode=0o600)
            part.write_bytes(content)
            part.rename(path)
        except OSError as error:
            raise FlowError(
                f"nothing can be kept beside the state, in {path.parent}: {error.strerror}",
                "make room or give the folder to this user",
            ) from error

    def names(self, folder: str) -> list[str]:
        path = self._root / folder
        return [each.name for each in path.iterdir()] if path.is_dir() else []

    def remove(self, names: list[str]) -> None:
        for name in names:
            path = self._root / name
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise FlowError(
                    f"{path} cannot be removed: {error.strerror}", "give it to this user"
                ) from error
            with contextlib.suppress(OSError):
                path.parent.rmdir()  # once nothing is in it


class _InBucket:
    """A backend that is a bucket, or a folder in one."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = prefix

    def read(self, name: str) -> bytes | None:
        if f"{self._prefix}{name}" not in self._bucket.listed(f"{self._prefix}{name}"):
            return None
        return self._bucket.get(f"{self._prefix}{name}", limit=1 << 28)

    def write(self, name: str, content: bytes) -> None:
        self._bucket.put(f"{self._prefix}{name}", content)

    def names(self, folder: str) -> list[str]:
        above = f"{self._prefix}{folder}/"
        return [key.removeprefix(above) for key in self._bucket.listed(above)]

    def remove(self, names: list[str]) -> None:
        self._bucket.delete([f"{self._prefix}{name}" for name in names])
