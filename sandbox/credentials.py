"""Tokens and passwords of a sandbox, made once and kept for its owner only."""

import json
import os
import secrets
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.services import acme, object_store, registry

API_PORT = 7080
ENDPOINT = f"http://127.0.0.1:{API_PORT}/v1"
GITHUB_PORT = 7090
GITHUB_URL = f"http://127.0.0.1:{GITHUB_PORT}"
# Who is there from the beginning (sandbox/github/seeds.py says what they may).
PEOPLE = ("maintainer", "developer", "reviewer", "outsider")
APP_ID = 1001
INSTALLATION_ID = 2001
# Each project has the zone a team would give it: a domain of its own, as Hetzner keeps no zone
# for a subdomain.
ZONES = {
    "prod": "example.test",
    "nonprod": "example-nonprod.test",
    "demo": "example-demo.test",
}


def ensure(directory: Path) -> dict[str, Any]:
    """The content of credentials.json, written when it is not there."""
    file = directory / "credentials.json"
    made = _new(directory)
    known = json.loads(file.read_text()) if file.exists() else {}
    # A sandbox of an older version gets what has been added since.
    if made.keys() - known.keys() or "app" not in known["github"]:
        whole = {**made, **known}
        whole["github"] = {"app": _app(), **whole["github"]}
        new = file.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as output:
            json.dump(whole, output, indent=2)
        new.rename(file)
    return read(directory)


def read(directory: Path) -> dict[str, Any]:
    """The content of credentials.json. Raises FileNotFoundError before a first `up`."""
    content: dict[str, Any] = json.loads((directory / "credentials.json").read_text())
    return content


def _new(directory: Path) -> dict[str, Any]:
    def user(name: str) -> dict[str, str]:
        return {"username": name, "password": secrets.token_urlsafe(24)}

    return {
        "endpoint": ENDPOINT,
        "projects": {
            name: {"token": secrets.token_hex(32), "read_only_token": secrets.token_hex(32)}
            for name in ZONES
        },
        "registry": {"server": registry.SERVER, "push": user("push"), "pull": user("pull")},
        "github": {
            "url": GITHUB_URL,
            "api": f"{GITHUB_URL}/api/v3",
            "users": {login: {"token": f"ghp_{secrets.token_hex(20)}"} for login in PEOPLE},
        },
        "acme": {"directory": acme.DIRECTORY},
        "objects": {
            "endpoint": object_store.ENDPOINT,
            "region": object_store.REGION,
            "access_key": f"SANDBOX{secrets.token_hex(6).upper()}",
            "secret_key": secrets.token_urlsafe(30),
        },
        "ca": str(directory / "ca" / "ca.pem"),
        "trust": str(directory / "ca" / "trust.pem"),
        "passphrase": secrets.token_urlsafe(24),
        # One for what each project's owners keep to themselves.
        "passphrases": {name: secrets.token_urlsafe(24) for name in ZONES},
    }


def _app() -> dict[str, Any]:
    """A GitHub App with its key: what GitHub gives a team that registers one."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return {"id": APP_ID, "installation_id": INSTALLATION_ID, "private_key": pem.decode()}
