"""Releases on disk: immutable folders, and a link to the one that runs."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import DeployError
from .slots import SLOTS, name_in

KEEP = 5
KEEP_FAILED = 1
FILES = frozenset({"compose.yaml", "Caddyfile", "acme-root.pem"})
STEERS = re.compile(r"(DOCKER|COMPOSE|BUILDKIT|LD)_.*|PATH|HOME|BASH_ENV|ENV")
"""Variables that would steer Docker or a shell run by root instead of the application."""
_NEVER_SERVED = "never-served"
"""A file in a release's folder, until the release is the current one for the first time."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ID = re.compile(r"^[a-z0-9][a-z0-9-]{5,63}$")
_NAME = re.compile(r"^[a-z0-9][a-z0-9_.-]{0,62}$")


@dataclass(frozen=True)
class Release:
    """One folder under releases/, and the slot it runs in."""

    path: Path
    slot: str = SLOTS[0]

    @property
    def id(self) -> str:
        """Hash of its contents, secrets included."""
        return self.path.name

    @property
    def folder(self) -> Path:
        """What its slot runs: compose.yaml and Caddyfile."""
        found = self.path / self.slot
        # One that was written before there were slots is as it would be in the first.
        return found if found.is_dir() else self.path

    @property
    def doubled(self) -> list[str]:
        """Services that run beside their successors for a while."""
        return list(self.manifest.get("doubled") or []) if self.folder != self.path else []

    def called(self, services: Iterable[str]) -> list[str]:
        """Services as they are called in the release's slot, sorted."""
        doubled = self.doubled
        return [name_in(self.slot, n) if n in doubled else n for n in sorted(services)]

    @property
    def compose(self) -> dict[str, Any]:
        """The Compose file as it was handed over."""
        loaded: dict[str, Any] = json.loads((self.path / "compose.yaml").read_text())
        return loaded

    @property
    def manifest(self) -> dict[str, Any]:
        """What it consists of; nothing secret."""
        loaded: dict[str, Any] = json.loads((self.path / "manifest.json").read_text())
        return loaded

    @property
    def environment(self) -> dict[str, str]:
        """Variables for Compose, secrets included."""
        loaded: dict[str, str] = json.loads((self.path / "environment.json").read_text())
        return loaded


def check_request(request: Mapping[str, Any]) -> None:
    """Refuse a request whose names could reach outside their folders or that lacks a part."""
    bundle = request.get("bundle")
    wrong = ""
    if request.get("protocol") != 1:
        wrong = "its protocol is not 1"
    elif not isinstance(bundle, dict) or not isinstance(bundle.get("files"), dict):
        wrong = "it holds no bundle with files"
    elif not _ID.fullmatch(str(bundle.get("id"))):
        wrong = "bundle.id is not an id"
    elif not {"compose.yaml", "Caddyfile"} <= set(bundle["files"]) <= FILES:
        wrong = f"bundle.files are not among {', '.join(sorted(FILES))}"
    elif not all(
        _NAME.fullmatch(str(name))
        for part in ("data", "jobs", "doubled")
        for name in bundle.get(part) or []
    ):
        wrong = "a name in bundle.data, bundle.jobs or bundle.doubled is not a name"
    elif steering := [name for name in _variables(request, bundle) if not _is_harmless(name)]:
        wrong = f"the variable {steering[0]!r} is not for an application"
    if wrong:
        raise DeployError(
            f"the hand-over cannot be used: {wrong}",
            "run `pulumi up` of the whole stack, so that program and agent are of one version",
        )


def _variables(request: Mapping[str, Any], bundle: Mapping[str, Any]) -> list[str]:
    return [*(bundle.get("environment") or {}), *(request.get("secrets") or {})]


def _is_harmless(name: str) -> bool:
    return bool(_VARIABLE.fullmatch(name)) and not STEERS.fullmatch(name)


class Store:
    """The releases of this server."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._releases = state / "releases"

    def release_id(self, request: Mapping[str, Any]) -> str:
        """The bundle's id plus a keyed hash of everything else that makes the release.

        Keyed, so that an id in a log says nothing about a weak secret in it.
        """
        parts = {key: request.get(key) for key in ("bundle", "secrets", "auth")}
        digest = self.keyed(json.dumps(parts, sort_keys=True))
        return f"{request['bundle']['id']}-{digest[:8]}"

    def keyed(self, text: str) -> str:
        """A text's hash, in hex, that only this server can make."""
        return hmac.new(self._key(), text.encode(), hashlib.sha256).hexdigest()

    def write(
        self,
        release_id: str,
        files: Mapping[str, str],
        environment: Mapping[str, str],
        manifest: Mapping[str, Any],
    ) -> Release:
        """Write a release whole or not at all; one that exists is left as it is.

        files  name → text; a name may be in a folder of the release
        """
        target = self._releases / release_id
        if (target / "manifest.json").exists():
            return Release(target)
        partial = self._releases / f".{release_id}.{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, mode=0o700)
        contents = {
            **files,
            "environment.json": json.dumps(environment, sort_keys=True),
            "manifest.json": json.dumps(manifest, sort_keys=True, indent=2),
            _NEVER_SERVED: "",
        }
        for name, text in contents.items():
            (partial / name).parent.mkdir(mode=0o700, exist_ok=True)
            write_private(partial / name, text)
        partial.rename(target)
        return Release(target)

    def current(self) -> Release | None:
        """The release that runs, or None before the first one."""
        return self._linked("current")

    def previous(self) -> Release | None:
        """The release that ran before, or None."""
        return self._linked("previous")

    def switch(self, release: Release) -> None:
        """Make `release` the current one; atomic, so that a crash leaves the old or the new."""
        current = self.current()
        if current is not None and current.id != release.id:
            self._link("previous", current)
        self._link("current", release)
        (release.path / _NEVER_SERVED).unlink(missing_ok=True)
        os.utime(release.path)

    def prune(self, keep: int = KEEP) -> tuple[list[str], set[str]]:
        """Remove old releases. Returns their ids, and images no release needs any more.

        The last `keep` that served stay, whatever has failed since, and the last that failed.
        """
        pinned = {r.id for r in (self.current(), self.previous()) if r is not None}
        found = [
            Release(path)
            for path in self._releases.iterdir()
            if (path / "manifest.json").exists() and not path.name.startswith(".")
        ]
        found.sort(key=lambda release: release.path.stat().st_mtime, reverse=True)
        others = [release for release in found if release.id not in pinned]
        failed = [release for release in others if (release.path / _NEVER_SERVED).exists()]
        served = [release for release in others if release not in failed]
        old = [*served[max(keep - len(pinned), 0) :], *failed[KEEP_FAILED:]]
        kept_images = {i for r in found if r not in old for i in r.manifest["images"].values()}
        freed = {i for r in old for i in r.manifest["images"].values()} - kept_images
        self._remove_partial()
        for release in old:
            # Half of one would be in the way of the same release when it comes again.
            release.path.rename(self._releases / f".{release.id}")
        self._remove_partial()
        return [release.id for release in old], freed

    def _remove_partial(self) -> None:
        for partial in self._releases.glob(".*"):
            shutil.rmtree(partial, ignore_errors=True)

    def hashed(self, password: str, make: Callable[[str], str]) -> str:
        """The hash that was made of the password before, else a new one.

        A new one has new salt: every release's routes would differ, and be loaded anew for it.
        """
        path = self._state / "password.json"
        digest = self.keyed(password)
        known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        if known.get("of") != digest:
            known = {"of": digest, "hash": make(password)}
            write_private(path, json.dumps(known))
        return known["hash"]

    def _key(self) -> bytes:
        path = self._state / "key"
        if not path.exists():
            write_private(path, secrets.token_hex(32))
        return path.read_bytes()

    def _linked(self, name: str) -> Release | None:
        path = (self._state / name).resolve()
        found = Release(path.parent, path.name) if path.name in SLOTS else Release(path)
        return found if (found.path / "manifest.json").exists() else None

    def _link(self, name: str, release: Release) -> None:
        new = self._state / f".{name}.new"
        new.unlink(missing_ok=True)
        new.symlink_to(release.folder.relative_to(self._state))
        new.rename(self._state / name)
        # A boot after a power cut must find what was said to serve.
        sync(self._state)


def write_private(path: Path, text: str) -> None:
    """Write a root-only file; replaces what was there in one step.

    After a power cut it is the old or the new one, and the new one once its folder is synced.
    """
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)


def sync(path: Path) -> None:
    """Have a file, or a folder's names, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
