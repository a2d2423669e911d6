"""The ACME authority environments get their certificates from: Pebble, as it is."""

import json
import os
import shutil
import ssl
from pathlib import Path

import httpx

from sandbox.hosts import network
from sandbox.services.authority import Authority

NAME = "acme.sandbox.test"
PORT = 14000
MANAGEMENT_PORT = 15000
DIRECTORY = f"https://{NAME}:{PORT}/dir"


class PebbleMissingError(RuntimeError):
    """There is no `pebble` on this machine."""


def program(root: Path) -> Path:
    """Where Pebble is: in the checkout's toolchain, or on PATH."""
    own = root / ".toolchain" / "bin" / "pebble"
    found = own if own.exists() else shutil.which("pebble")
    if found is None:
        raise PebbleMissingError(
            "Pebble, the sandbox's certificate authority, is not installed. "
            "Run `python3 -m toolchain.install` in the checkout and try again."
        )
    return Path(found)


def command(root: Path, run_dir: Path, authority: Authority) -> list[str]:
    """The command line that serves ACME; writes its configuration."""
    certificate, key = authority.issue(NAME, (network.GATEWAY4, "127.0.0.1"))
    config = {
        "pebble": {
            "listenAddress": f"{network.GATEWAY4}:{PORT}",
            "managementListenAddress": f"127.0.0.1:{MANAGEMENT_PORT}",
            "certificate": str(certificate),
            "privateKey": str(key),
            "httpPort": 80,
            "tlsPort": 443,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
            # None: Pebble sends half of them as dates, which the Caddy of Debian 13 refuses
            # as an invalid answer and waits minutes before it asks again.
            "retryAfter": {"authz": 0, "order": 0},
            "keyAlgorithm": "ecdsa",
            "profiles": {"default": {"description": "90 days", "validityPeriod": 7776000}},
        }
    }
    file = run_dir / "pebble.json"
    file.write_text(json.dumps(config, indent=2))
    return [str(program(root)), "-config", str(file), "-dnsserver", f"{network.GATEWAY4}:53"]


def environment() -> dict[str, str]:
    """Pebble's own switches: no random waits, no random refusals."""
    return {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}


def root_certificate(authority: Authority) -> str | None:
    """The root this Pebble signs with (PEM), or None when it does not answer."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    url = f"https://127.0.0.1:{MANAGEMENT_PORT}/roots/0"
    try:
        reply = httpx.get(url, verify=context, timeout=2.0, trust_env=False)
    except httpx.HTTPError:
        return None
    return reply.text if reply.status_code == 200 else None
