"""Copies of a stack's state, taken before each change and kept beside it.

They are the engine's own checkpoint, secrets as encrypted as it wrote them, in the form that
`pulumi stack import` reads. Read from where the state is (a folder, a bucket): that costs no start
of the engine. Pulumi Cloud keeps a history of its own.
"""

from __future__ import annotations

import datetime
import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flow import clock, state_files
from flow.diagnostics import damaged
from flow.errors import FlowError
from flow.state_files import Files

KEEP = 30
FOLDER = "copies"
_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")


@dataclass(frozen=True)
class Copy:
    """One copy. `time` is in seconds since 1970."""

    id: str
    time: int
    bytes: int
    resources: int
    engine: str


class Copies:
    """The copies of a project's states, where those are."""

    def __init__(self, files: Files, project: str) -> None:
        self._files = files
        self._project = project

    def take(self, stack: str) -> str | None:
        """Copy the state as it is; the copy's id.

        None where there is nothing in it. The same as the last one is no other copy. Raises
        FlowError for one that cannot be read: it never takes the place of a good one.
        """
        text = self._current(stack)
        if text is None:
            return None
        folder, digest = self._folder(stack), _digest(text)
        had = self._ids(stack)
        if had and had[-1].endswith(f"-{digest}"):
            return had[-1]
        when = datetime.datetime.fromtimestamp(clock.now(), datetime.UTC)
        made = f"{when:%Y%m%dT%H%M%SZ}-{digest}"
        self._files.write(f"{folder}/{made}.json", text)
        old = [each for each in had if each != made][: len(had) + 1 - KEEP] if had else []
        self._files.remove([f"{folder}/{each}.json" for each in old])
        return made

    def is_due(self, stack: str) -> bool:
        """Whether `take` would make another copy. Raises FlowError as that does."""
        text = self._current(stack)
        newest = self.newest(stack) or ""
        return text is not None and not newest.endswith(f"-{_digest(text)}")

    def found(self, stack: str) -> list[Copy]:
        """Every copy, oldest first."""
        return [_about(each, self.text(stack, each)) for each in self._ids(stack)]

    def text(self, stack: str, wanted: str | None = None) -> bytes:
        """A copy's content, for `pulumi stack import`; the newest one's. Raises FlowError."""
        if wanted is not None and not _ID.fullmatch(wanted):
            raise FlowError(f"{wanted!r} is no copy's id", f"flow state list {stack}", code=2)
        had = self._ids(stack)
        if not had or (wanted is not None and wanted not in had):
            raise FlowError(
                f"there is no copy {wanted} of the state of {stack}"
                if wanted
                else f"there is no copy of the state of {stack}",
                f"flow state list {stack}" if wanted else f"flow state backup {stack}",
            )
        content = self._files.read(f"{self._folder(stack)}/{wanted or had[-1]}.json")
        _read(content or b"", f"the copy {wanted or had[-1]} of {stack}")
        return content or b""

    def newest(self, stack: str) -> str | None:
        """The id of the newest copy."""
        had = self._ids(stack)
        return had[-1] if had else None

    def remove(self, stack: str) -> None:
        """Remove every copy: a later stack of the same name is another. Raises FlowError."""
        folder = self._folder(stack)
        # One that was being written when its process was killed begins with a dot.
        ours = (each for each in self._files.names(folder) if _ID.match(each.removeprefix(".")))
        self._files.remove([f"{folder}/{each}" for each in ours])

    def _ids(self, stack: str) -> list[str]:
        names = (name.removesuffix(".json") for name in self._files.names(self._folder(stack)))
        return sorted(name for name in names if _ID.fullmatch(name))

    def _folder(self, stack: str) -> str:
        return f"{FOLDER}/{self._project}/{stack}"

    def _current(self, stack: str) -> bytes | None:
        """The state now, as the engine exports it; None where nothing is in it."""
        name = f".pulumi/stacks/{self._project}/{stack}.json"
        content = self._files.read(name)
        if content is None and (packed := self._files.read(f"{name}.gz")) is not None:
            try:
                content = gzip.decompress(packed)
            except (OSError, EOFError) as error:
                raise damaged(stack, str(error)) from None
        if content is None:
            return None
        try:
            checkpoint = json.loads(content)
            latest = (checkpoint.get("checkpoint") or {}).get("latest")
        except (ValueError, AttributeError) as error:
            raise damaged(stack, str(error)) from None
        if not latest or not latest.get("resources"):
            return None
        kept = {key: checkpoint[key] for key in ("version", "features") if key in checkpoint}
        return json.dumps({**kept, "deployment": latest}, sort_keys=True).encode()


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:8]


def _read(content: bytes, what: str) -> Mapping[str, Any]:
    try:
        deployment: Mapping[str, Any] = json.loads(content)["deployment"]
    except (ValueError, KeyError, TypeError) as error:
        raise FlowError(f"{what} cannot be read: {error}", "restore an older one") from None
    return deployment


def _about(made: str, content: bytes) -> Copy:
    deployment = _read(content, f"the copy {made}")
    when = datetime.datetime.strptime(made.partition("-")[0], "%Y%m%dT%H%M%SZ")  # noqa: DTZ007
    return Copy(
        id=made,
        time=int(when.replace(tzinfo=datetime.UTC).timestamp()),
        bytes=len(content),
        resources=len(deployment.get("resources") or []),
        engine=str((deployment.get("manifest") or {}).get("version") or ""),
    )


def at(environment: Mapping[str, str], project: str) -> Copies | None:
    """The copies beside the state that PULUMI_BACKEND_URL names; None where it keeps its own.

    Raises FlowError for a bucket without keys.
    """
    files = state_files.beside(environment)
    return None if files is None else Copies(files, project)
