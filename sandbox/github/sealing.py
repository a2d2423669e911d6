"""Sealed boxes: how clients hand over a secret that only the repository can open."""

import base64
import binascii

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

from sandbox.github.errors import refused
from sandbox.store import Record, Store


def key_of(store: Store, project: str, environment: str = "") -> Record:
    """The key pair of a repository, organisation or environment; made when first asked for.

    {"key_id", "public": base64 of 32 bytes, "private": base64}
    """
    # Two may ask at once for a place's first secrets.
    with store.transaction():
        for record in store.all("sealing_key", project):
            if record["environment"] == environment:
                return record
        private = PrivateKey.generate()
        record = {
            "environment": environment,
            "public": base64.b64encode(bytes(private.public_key)).decode(),
            "private": base64.b64encode(bytes(private)).decode(),
        }
        added = store.add("sealing_key", project, record)
        # GitHub's are numbers of 18 digits, as text.
        added["key_id"] = str(568_250_000_000_000_000 + added["id"])
        store.save("sealing_key", added)
        return added


def opened(key: Record, sealed: object, key_id: object) -> str:
    """What was sealed with a key. Raises 422 for what it cannot open."""
    if str(key_id) != key["key_id"]:
        raise refused("The key_id is not the one of this scope's public key.")
    try:
        box = SealedBox(PrivateKey(base64.b64decode(key["private"])))
        return box.decrypt(base64.b64decode(str(sealed), validate=True)).decode()
    except (CryptoError, binascii.Error, ValueError):
        raise refused("Improperly encrypted secret") from None
