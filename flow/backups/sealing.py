"""Dumps sealed and opened as streams, as age does: nothing in clear touches a disk here.

To the public key FLOW_DUMP_RECIPIENT, else to a key made for this one backup, which is itself
sealed with the passphrase: `age -d -i identity.age FILE` asks for that.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import IO, Any, Protocol, cast

import pyrage

from flow import backends, saving
from flow.errors import FlowError

IDENTITY = "FLOW_DUMP_IDENTITY"
BY_PASSPHRASE = "passphrase"  # noqa: S105  # nosec B105


class Readable(Protocol):
    """What can be read piece by piece."""

    def read(self, size: int = -1, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


@dataclass(frozen=True)
class Seal:
    """What a backup is sealed to. `identity` is the file that opens it, itself sealed."""

    to: str
    recipient: Any = field(repr=False)
    identity: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Size:
    """How much it was, and its SHA-256."""

    bytes: int
    sha256: str


def new_seal(stack: str) -> Seal:
    """A seal for a backup of `stack`. Raises FlowError where there is no key and no passphrase."""
    if recipient := os.environ.get(saving.RECIPIENT):
        return Seal(recipient, saving.recipient(recipient))
    if passphrase := _passphrase(stack):
        key = pyrage.x25519.Identity.generate()
        sealed = bytes(pyrage.passphrase.encrypt(f"{key}\n".encode(), passphrase))
        return Seal(BY_PASSPHRASE, key.to_public(), sealed)
    raise saving.no_key()


def seal(clear: Readable, sealed: IO[bytes], to: Seal) -> tuple[Size, Size]:
    """Seal all of `clear` into `sealed`; what went in and what came out."""
    source, target = _Measured(clear), _Measured(sealed)
    try:
        pyrage.encrypt_io(source, target, [to.recipient])
    except (pyrage.EncryptError, OSError):
        if (failure := source.failure or target.failure) is not None:
            raise failure from None
        raise
    return source.size(), target.size()


def opener(stack: str, sealed: str, identity: bytes | None) -> Any:
    """What opens a backup of `stack`. Raises FlowError where it is not here or does not fit.

    sealed    to what, by its record
    identity  the content of its identity file, where it has one
    """
    if sealed != BY_PASSPHRASE:
        return _private_key(sealed)
    passphrase = _passphrase(stack)
    if not passphrase or identity is None:
        raise FlowError(
            "the backup is sealed with the passphrase of its environment's state",
            f"export {backends.PASSPHRASE}, as it was when the backup was made",
        )
    try:
        text = pyrage.passphrase.decrypt(identity, passphrase).decode()
    except pyrage.DecryptError:
        raise FlowError(
            f"{backends.PASSPHRASE} does not open the backup: it was sealed with another",
            "export the passphrase the environment's state had when the backup was made",
        ) from None
    return pyrage.x25519.Identity.from_str(text.strip())


def _passphrase(stack: str) -> str:
    """What the state of `stack` is encrypted with; empty where nothing says."""
    return backends.passphrase(backends.group_of(stack), os.environ)


def _private_key(public: str) -> Any:
    given = os.environ.get(IDENTITY)
    if not given:
        raise FlowError(
            f"the backup is sealed to {public}, and its private key is not here",
            f"export {IDENTITY}: the line AGE-SECRET-KEY-… of that key's file",
        )
    try:
        key = pyrage.x25519.Identity.from_str(given.strip())
    except pyrage.IdentityError:
        raise FlowError(
            f"{IDENTITY} is no private key of age", "give the line AGE-SECRET-KEY-…"
        ) from None
    if str(key.to_public()) != public:
        raise FlowError(
            f"{IDENTITY} is another key than {public}, which the backup is sealed to",
            "export that key's line AGE-SECRET-KEY-…",
        )
    return key


def unseal(sealed: IO[bytes], clear: Any, key: Any) -> None:
    """Open all of `sealed` into `clear`, piece by piece. Raises FlowError for what was changed,
    and OSError where `clear` takes no more.
    """
    target = _Measured(clear)
    try:
        pyrage.decrypt_io(sealed, target, [key])
    except (pyrage.DecryptError, OSError) as error:
        if target.failure is not None:
            raise target.failure from None
        raise FlowError(
            f"the backup cannot be opened: {error}", "restore an older one: flow backup list"
        ) from None


class _Measured:
    """Counts and hashes what passes, and knows what the stream itself raised."""

    def __init__(self, stream: Any) -> None:
        self.failure: Exception | None = None
        self._stream = stream
        self._digest = hashlib.sha256()
        self._bytes = 0

    def read(self, size: int = -1) -> bytes:
        try:
            return self._note(self._stream.read(size))
        except Exception as error:
            self.failure = error
            raise

    def write(self, content: bytes) -> int:
        self._note(content)
        try:
            return cast(int, self._stream.write(content))
        except (OSError, ValueError) as error:
            # Through pyrage it would come back as an error of the file it reads.
            self.failure = error
            raise

    def flush(self) -> None:
        self._stream.flush()

    def size(self) -> Size:
        return Size(self._bytes, self._digest.hexdigest())

    def _note(self, content: bytes) -> bytes:
        self._digest.update(content)
        self._bytes += len(content)
        return content
