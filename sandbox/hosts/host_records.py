"""What a server's host has to remember to be started again: one JSON file a server."""

import dataclasses
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.hosts.interface import HostSpec, Rule


@dataclass(frozen=True)
class HostRecord:
    """`powered` is what was asked for, not what is: an `up` restores it."""

    spec: HostSpec
    powered: bool = True
    rules: tuple[Rule, ...] | None = None
    cut: bool = False
    refuse_ssh: bool = False


class HostRecords:
    """The records below one directory, and which volume is at which server."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._volumes = directory / "volumes.json"
        directory.mkdir(parents=True, exist_ok=True)

    def get(self, server_id: int) -> HostRecord | None:
        """One server's record, or None."""
        try:
            content = json.loads(self._path(server_id).read_text())
        except FileNotFoundError:
            return None
        spec = HostSpec(**{**content["spec"], "ssh_keys": tuple(content["spec"]["ssh_keys"])})
        rules = content.pop("rules")
        if rules is not None:
            rules = tuple(Rule(**{**r, "networks": tuple(r["networks"])}) for r in rules)
        return HostRecord(**{**content, "spec": spec, "rules": rules})

    def put(self, record: HostRecord) -> None:
        """Write a record, whole or not at all."""
        _write(self._path(record.spec.server_id), dataclasses.asdict(record))

    def remove(self, server_id: int) -> None:
        """Forget a server."""
        self._path(server_id).unlink(missing_ok=True)

    def all(self) -> Iterator[HostRecord]:
        """Every server's record."""
        for path in sorted(self._directory.glob("[0-9]*.json")):
            if record := self.get(int(path.stem)):
                yield record

    def attachments(self) -> dict[int, int]:
        """Volume number → server number."""
        try:
            content = json.loads(self._volumes.read_text())
        except FileNotFoundError:
            return {}
        return {int(volume): int(server) for volume, server in content.items()}

    def attach(self, volume_id: int, server_id: int | None) -> None:
        """Note where a volume is; None: nowhere."""
        attachments = self.attachments()
        attachments.pop(volume_id, None)
        if server_id is not None:
            attachments[volume_id] = server_id
        _write(self._volumes, attachments)

    def _path(self, server_id: int) -> Path:
        return self._directory / f"{server_id}.json"


def _write(path: Path, content: object) -> None:
    """User data may hold a host key: the file is the owner's alone."""
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file)
    new.rename(path)
