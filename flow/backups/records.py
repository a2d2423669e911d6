"""What is known of a backup: a JSON object beside its files, in clear and without secrets. Pure."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from flow.errors import FlowError

FILE = "backup.json"
"""Written last: a backup without it was never finished."""
IDENTITY = "identity.age"
"""The key the files are sealed to, itself sealed with the passphrase; absent for a public key."""
FORMAT = 1
ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")
_SERVICE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")

NIGHTLY, ASKED, SAFETY = "nightly", "asked", "safety"


@dataclass(frozen=True)
class Part:
    """One service's dump. Sizes are in bytes, in clear and sealed; hashes are SHA-256."""

    service: str
    bytes: int
    sha256: str
    sealed_bytes: int
    sealed_sha256: str

    @property
    def file(self) -> str:
        """Its name beside the record."""
        return f"{self.service}.age"


@dataclass(frozen=True)
class Backup:
    """One backup. `time` is in seconds since 1970, `seconds` how long it took to make."""

    id: str
    environment: str
    stage: str
    version: str
    commit: str
    release: str
    time: int
    seconds: float
    why: str
    sealed: str
    """To what: "passphrase", or a public key of age."""
    parts: tuple[Part, ...]
    rows: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Of all its dumps, in clear."""
        return sum(part.bytes for part in self.parts)

    def output(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "bytes": self.bytes}

    def text(self) -> str:
        """The record's text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2, sort_keys=True) + "\n"


def new_id(now: float, word: str) -> str:
    """An id that sorts by time; `word` is four hexadecimal digits nobody else has."""
    when = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return f"{when:%Y%m%dT%H%M%SZ}-{word}"


def folder(project: str, environment: str, backup: str = "") -> str:
    """Where a backup's files are in the bucket, or all of an environment's; ends with a slash."""
    return f"{project}/{environment}/" + (f"{backup}/" if backup else "")


def check_id(given: str) -> str:
    """The id; raises FlowError for what is none: it becomes part of a path."""
    if not ID.fullmatch(given):
        raise FlowError(f"{given!r} is no backup's id", "flow backup list shows them", code=2)
    return given


def parse(text: str) -> Backup:
    """A record's Backup. Raises ValueError for what is none: a bucket is not ours alone."""
    try:
        given = json.loads(text)
        if given["format"] != FORMAT:
            raise ValueError(f"it is of format {given['format']}, this reads {FORMAT}")
        parts = tuple(
            Part(
                _matching(_SERVICE, each["service"]),
                int(each["bytes"]),
                _matching(re.compile("[0-9a-f]{64}"), each["sha256"]),
                int(each["sealed_bytes"]),
                _matching(re.compile("[0-9a-f]{64}"), each["sealed_sha256"]),
            )
            for each in given["parts"]
        )
        rows = {
            str(service): {str(name): int(number) for name, number in counted.items()}
            for service, counted in (given.get("rows") or {}).items()
        }
        words = ("environment", "stage", "version", "commit", "release", "why", "sealed")
        return Backup(
            id=_matching(ID, given["id"]),
            time=int(given["time"]),
            seconds=float(given["seconds"]),
            parts=parts,
            rows=rows,
            **{word: str(given[word]) for word in words},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it lacks or has another {error}") from None


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{str(value)[:80]!r} is not what it should be")
    return value
