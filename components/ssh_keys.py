"""Keys people log in with: whether a server takes them at all. Pure."""

from typing import Final

RSA_AT_LEAST: Final = 3072
"""Bits; `RequiredRSASize` of remote/server/files/sshd.conf."""


def check_public(line: str) -> None:
    """Raise ValueError for an RSA key (`ssh-rsa AAAA…`) that servers refuse."""
    if line.startswith("ssh-rsa "):
        _check(line.encode(), "load_ssh_public_key")


def check_private(pem: str) -> None:
    """The same of a private key, OpenSSH's or PEM; what cannot be read passes."""
    loader = "load_ssh_private_key" if "OPENSSH PRIVATE KEY" in pem else "load_pem_private_key"
    _check(pem.encode(), loader, None)


def _check(key: bytes, loader: str, *password: None) -> None:
    # It takes a while, and few have keys to look at.
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    try:
        read = getattr(serialization, loader)(key, *password)
    except Exception:  # noqa: BLE001 # whatever it is: OpenSSH has more to say of it
        return
    if isinstance(read, rsa.RSAPublicKey | rsa.RSAPrivateKey) and read.key_size < RSA_AT_LEAST:
        raise ValueError(
            f"is an RSA key of {read.key_size} bits, and servers take none with less than "
            f"{RSA_AT_LEAST}: make another (ssh-keygen -t ed25519)"
        )
