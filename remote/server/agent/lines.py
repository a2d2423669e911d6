"""Lines of any length, cut to a length every reader downstream can take."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import IO, cast


def cut_lines(stream: IO[bytes], limit: int) -> Iterator[str]:
    """Lines of a stream, each cut at `limit` bytes with a word on how much is missing.

    Holds at most `limit` bytes of a line in memory, however long it is.
    """
    reader = cast(io.BufferedReader, stream)
    buffer = bytearray()
    dropped = 0
    while chunk := reader.read1(65536):
        pieces = chunk.split(b"\n")
        for at, piece in enumerate(pieces):
            room = max(limit - len(buffer), 0)
            buffer += piece[:room]
            dropped += max(len(piece) - room, 0)
            if at < len(pieces) - 1:
                yield _text(buffer, dropped)
                buffer, dropped = bytearray(), 0
    if buffer:
        yield _text(buffer, dropped)


def _text(buffer: bytearray, dropped: int) -> str:
    text = buffer.decode("utf-8", "replace").rstrip("\r")
    return f"{text}… ({dropped} bytes more)" if dropped else text


_TERMINAL = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])")


class Blot:
    """Takes secrets and terminal commands out of a line that somebody will read."""

    def __init__(self, secrets: Iterator[str] | list[str]) -> None:
        pieces = {line for secret in secrets for line in secret.splitlines() if len(line) >= 6}
        self._secrets = sorted(pieces, key=len, reverse=True)

    def __call__(self, line: str) -> str:
        line = _TERMINAL.sub("", line)
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return "".join(c if c.isprintable() or c == "\t" else " " for c in line)
