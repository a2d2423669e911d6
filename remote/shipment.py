"""What `provision` ships: the files under remote/server, and the hash that names them."""

from __future__ import annotations

import hashlib
import io
import shlex
import tarfile
from collections.abc import Mapping
from pathlib import Path

SERVER = Path(__file__).parent / "server"
_LEAVINGS = (".pyc", "~", ".orig", ".rej", ".bak")


def contents() -> dict[str, bytes]:
    """Relative path → bytes of everything that goes to a server, sorted by path.

    What editors and desktops leave lying about does not count: the hash has to be the same on
    every machine.
    """
    return {
        path.relative_to(SERVER).as_posix(): path.read_bytes()
        for path in sorted(SERVER.rglob("*"))
        if path.is_file()
        and "__pycache__" not in path.parts
        and not path.name.startswith(".")
        and not path.name.endswith(_LEAVINGS)
    }


def fingerprint() -> str:
    """Hash of what is shipped; a server with the same one has nothing to install."""
    digest = hashlib.sha256()
    for name, data in contents().items():
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()[:16]


def pack(parameters: Mapping[str, str]) -> bytes:
    """A tar of the files and of `parameters` as a shell file; the same bytes every time."""
    files = {
        **contents(),
        "fingerprint": fingerprint().encode(),
        "parameters.sh": "".join(
            f"{name}={shlex.quote(value)}\n" for name, value in sorted(parameters.items())
        ).encode(),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            entry.mode = 0o600
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
