"""What a server would not take is a mistake in the settings, found before one is made."""

import base64
import json

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from components import ssh_keys
from tests.unit.conftest import ROOT
from tests.unit.test_settings import KEY, PRIVATE, mistakes, parse


def test_a_servers_processor_is_known_by_its_type_and_a_given_machines_is_not() -> None:
    assert parse().architecture == "amd64"
    assert parse(values={"serverType": "cax11"}).architecture == "arm64"
    given = {"host": "203.0.113.9", "hostKey": KEY, "hostSshKey": PRIVATE}
    assert parse(values=given).architecture is None
    in_a_sandbox = parse().model_copy(update={"hcloud_endpoint": "http://127.0.0.1:8099/v1"})
    assert in_a_sandbox.architecture is None


def test_an_rsa_key_that_servers_would_refuse_is_a_mistake() -> None:
    short, long = (rsa.generate_private_key(65537, bits) for bits in (2048, 3072))
    line = short.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    (found,) = mistakes(values={"adminKeys": json.dumps([KEY, line])})
    assert "adminKeys[1]" in found
    assert "RSA key of 2048 bits" in found
    line = long.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert parse(values={"adminKeys": json.dumps([line])}).admin_keys == (line,)
    for form in (PrivateFormat.OpenSSH, PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8):
        given = {"host": "203.0.113.9", "hostKey": KEY}
        pem = short.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
        (found,) = mistakes(values={**given, "hostSshKey": pem})
        assert "hostSshKey = (secret): is an RSA key of 2048 bits" in found
        assert pem.splitlines()[1] not in found
        pem = long.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
        assert parse(values={**given, "hostSshKey": pem})


def test_ssh_may_be_kept_to_no_more_networks_than_a_rule_of_hetzners_takes() -> None:
    networks = [f"198.51.100.{each}/32" for each in range(101)]
    assert "sshFrom" in str(mistakes(values={"sshFrom": json.dumps(networks)}))
    assert len(parse(values={"sshFrom": json.dumps(networks[:100])}).ssh_from) == 100


def test_what_counts_as_short_is_what_servers_are_told() -> None:
    told = (ROOT / "remote/server/files/sshd.conf").read_text()
    assert f"RequiredRSASize {ssh_keys.RSA_AT_LEAST}\n" in told


def test_a_key_that_lives_in_a_security_key_is_taken() -> None:
    kind, point, application = b"sk-ssh-ed25519@openssh.com", bytes(32), b"ssh:"
    blob = b"".join(len(part).to_bytes(4) + part for part in (kind, point, application))
    line = f"{kind.decode()} {base64.b64encode(blob).decode()} ada@example.org"
    assert parse(values={"adminKeys": json.dumps([line])}).admin_keys == (line,)
