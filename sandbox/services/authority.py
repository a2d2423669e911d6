"""The sandbox's own certificate authority, which signs its services' certificates.

Its key stays in `ca/`, for the owner only. `trust.pem` is what a client on this
machine needs to believe both the services and the environments' certificates,
which Pebble signs with a root of its own at every start.
"""

import datetime
import ipaddress
import os
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = datetime.timedelta(days=3650)
_LEAF_LIFE = datetime.timedelta(days=820)  # more is refused by some clients
_KEPT_ROOTS = 6


class Authority:
    """The authority below `directory`, made when it is first asked for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.certificate = directory / "ca.pem"
        self.trust = directory / "trust.pem"
        self._key = directory / "ca-key.pem"

    def ensure(self) -> None:
        """Make key and certificate where they are missing."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.certificate.exists() and self._key.exists():
            return
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "deployment-flow sandbox")])
        certificate = (
            _builder(name, name, key.public_key(), _LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write(self._key, _pem(key))
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.trust.write_bytes(self.certificate.read_bytes())

    def issue(self, name: str, addresses: tuple[str, ...] = ()) -> tuple[Path, Path]:
        """Certificate and key files for a service, made once and kept."""
        certificate_file = self._directory / f"{name}.pem"
        key_file = self._directory / f"{name}-key.pem"
        if certificate_file.exists() and key_file.exists():
            return certificate_file, key_file
        issuer_key = cast(
            ec.EllipticCurvePrivateKey,
            serialization.load_pem_private_key(self._key.read_bytes(), None),
        )
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names: list[x509.GeneralName] = [x509.DNSName(name)]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        certificate = (
            _builder(subject, issuer.subject, key.public_key(), _LEAF_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(server, critical=False)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .sign(issuer_key, hashes.SHA256())
        )
        _write(key_file, _pem(key))
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return certificate_file, key_file

    def trust_root(self, pem: str) -> None:
        """Add a root of environments' certificates; older ones stay, up to a handful.

        A server keeps its certificate through a restart of the sandbox.
        """
        own = self.certificate.read_bytes()
        known = self._directory / "roots.pem"
        roots = x509.load_pem_x509_certificates(known.read_bytes()) if known.exists() else []
        new = x509.load_pem_x509_certificate(pem.encode())
        roots = [*[root for root in roots if root != new][1 - _KEPT_ROOTS :], new]
        encoded = b"".join(root.public_bytes(serialization.Encoding.PEM) for root in roots)
        known.write_bytes(encoded)
        self.trust.write_bytes(own + encoded)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # A rehearsal may set a server's clock a day back.
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
