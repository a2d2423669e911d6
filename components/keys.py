"""Keys and passwords made once for a stack and kept, encrypted, in its state.

Each is a `pulumi.Stash`: a fresh value is offered at every run and ignored once one is kept
(`ignore_changes=["input"]`), so a second `up` changes nothing and no key is ever in a file.
"""

import secrets
from collections.abc import Callable
from typing import Any

import pulumi
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

PASSWORD_BYTES = 18  # 24 characters of URL-safe base64


def new_key_pair(comment: str) -> dict[str, str]:
    """{"private": OpenSSH PEM, "public": "ssh-ed25519 AAAA… comment"}."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return {"private": private, "public": f"{public} {comment}"}


def _kept(name: str, make: Callable[[], Any], parent: pulumi.Resource) -> pulumi.Output[Any]:
    stash = pulumi.Stash(
        name,
        input=pulumi.Output.secret(make()),
        opts=pulumi.ResourceOptions(
            parent=parent, ignore_changes=["input"], additional_secret_outputs=["output", "input"]
        ),
    )
    return stash.output


class KeyPair:
    """An ed25519 key pair that stays the same for the life of its stack.

    Not a component: a component would add a level to every address for no gain.
    """

    private: pulumi.Output[str]
    """OpenSSH PEM; secret."""
    public: pulumi.Output[str]
    """`ssh-ed25519 AAAA… comment`; not secret."""

    def __init__(self, name: str, parent: pulumi.Resource) -> None:
        pair = _kept(name, lambda: new_key_pair(name), parent)
        self.private = pulumi.Output.secret(pair.apply(lambda kept: str(kept["private"])))
        self.public = pulumi.Output.unsecret(pair.apply(lambda kept: str(kept["public"])))


def kept_password(name: str, parent: pulumi.Resource) -> pulumi.Output[str]:
    """A password that stays the same for the life of its stack; secret."""
    password = _kept(name, lambda: secrets.token_urlsafe(PASSWORD_BYTES), parent)
    return pulumi.Output.secret(password.apply(str))
