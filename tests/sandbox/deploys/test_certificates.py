"""A name without a certificate: what runs there runs on, and nobody is asked in a storm."""

import json
import secrets
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from sandbox.hosts import network
from sandbox.lifecycle import Sandbox
from sandbox.services import acme
from sandbox.services.authority import Authority
from tests.sandbox.deploys.conftest import (
    Applications,
    Host,
    MakeHost,
    await_version,
    canaries_in,
)


@pytest.fixture(scope="module")
def host(make_host: MakeHost, applications: Applications) -> Host:
    """A server on which nothing was deployed."""
    made = make_host(f"certificates-{secrets.token_hex(2)}")
    applications.build("base")
    made.provision()
    return made


def test_without_dns_a_release_serves_and_its_certificate_comes_by_itself_once_it_is_there(
    host: Host, applications: Applications, sandbox: Sandbox
) -> None:
    log = sandbox.directory / "logs/pebble.log"
    before = log.stat().st_size

    def orders() -> int:
        with log.open() as file:
            file.seek(before)
            return file.read().count("Added order")

    # Nobody knows this name.
    made = applications.bundle("1.8.0", hostname="later")
    warning = deployed_without_certificate(host, applications, made)
    assert f"DNS record of {made['hostname']} point here" in warning
    assert "The last answer: HTTP 400 " in warning
    assert "Could not resolve" in warning
    begun = time.monotonic()
    again = host.deploy(made)
    assert (again["changed"], again["tls"]) == (False, "pending")
    assert orders() > 0, "it was never tried"
    with pytest.raises(httpx.ConnectError):
        host.get(made)
    applications.point("later", host.address)
    await_version(host, made, "1.8.0")
    assert time.monotonic() - begun > 20, "it came before it was tried again"
    # Two kinds of challenge at the first try and the one that succeeds: not one a second.
    assert orders() <= 6
    again = host.deploy(made)
    assert (again["changed"], again["tls"]) == (False, "issued")


def test_while_the_certificate_authority_fails_a_release_serves_and_it_is_asked_seldom(
    host: Host, applications: Applications, sandbox: Sandbox
) -> None:
    with ailing_authority(sandbox) as ailing:
        asks_it = replace(applications, acme={"directory": ailing.url})
        made = asks_it.bundle("1.9.0", hostname="ailing")
        applications.point("ailing", host.address)
        warning = deployed_without_certificate(host, applications, made)
        assert "The last answer: " in warning
        assert "503" in warning
        begun = time.monotonic()
        ailing.recovers()
        await_version(host, made, "1.9.0")
        assert time.monotonic() - begun > 20, "it came before it was tried again"
        # The client itself repeats a request three times, for each kind of challenge.
        assert 0 < ailing.refused <= 12
    again = host.deploy(made)
    assert (again["changed"], again["tls"]) == (False, "issued")


def deployed_without_certificate(
    host: Host, applications: Applications, made: dict[str, Any]
) -> str:
    """Deploy what gets no certificate, and runs all the same; the warning that is given."""
    # How long a deploy waits for a first certificate is not what is tested.
    library = "/usr/local/lib/deployment-flow/agent/switching.py"
    host.run(f"sed -i.kept 's/^CERTIFICATE_SECONDS = .*/CERTIFICATE_SECONDS = 5/' {library}")
    host.said.clear()
    try:
        answer = host.deploy(made, registry=applications.pull)
    finally:
        host.run(f"mv {library}.kept {library}")
    assert (answer["version"], answer["changed"], answer["tls"]) == (
        made["version"],
        True,
        "pending",
    )
    assert canaries_in("\n".join(host.said)) == []
    told = json.loads(host.ssh("status", user="flow", key=host.deploy_key).stdout)["result"]
    assert told["release"]["version"] == made["version"]
    assert all(each["State"] == "running" for each in told["containers"])
    (warning,) = [line for line in host.said if "no certificate yet" in line]
    return warning


class Ailing(ThreadingHTTPServer):
    """An ACME authority that answers 503, and after `recovers` sends everybody to the real one."""

    def __init__(self, authority: Authority, real: bytes) -> None:
        """`real` is what the real one's directory says."""
        super().__init__((network.GATEWAY4, 0), _Directory)
        self.refused = 0
        self.directory = b""
        self._real = real
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue(acme.NAME))
        self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def url(self) -> str:
        """Of its directory."""
        return f"https://{acme.NAME}:{self.server_port}/dir"

    def recovers(self) -> None:
        """From here on it answers, with the addresses of the real one."""
        self.directory = self._real


class _Directory(BaseHTTPRequestHandler):
    server: Ailing

    def do_GET(self) -> None:
        if not self.server.directory:
            self.server.refused += 1
        self.send_response(200 if self.server.directory else 503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.server.directory)))
        self.end_headers()
        self.wfile.write(self.server.directory)

    def log_message(self, *_said: Any) -> None:
        """Nobody reads it."""


@contextmanager
def ailing_authority(sandbox: Sandbox) -> Iterator[Ailing]:
    """Serves while the block runs, where the servers reach it."""
    authority = Authority(sandbox.directory / "ca")
    trust = ssl.create_default_context(cafile=str(authority.certificate))
    real = httpx.get(acme.DIRECTORY, verify=trust, timeout=10, trust_env=False)
    server = Ailing(authority, real.raise_for_status().content)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield server
    finally:
        server.shutdown()
        serving.join(10)
        server.server_close()
