"""Is a service well? Asked on its loopback port and through the public route."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass

PROBE_SECONDS = 10


@dataclass(frozen=True)
class Answer:
    """Status code of an answer; 0 when none came, and then `problem` says why."""

    status: int
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Any answer below 400 but an informational one."""
        return 200 <= self.status < 400

    def __str__(self) -> str:
        return self.problem or f"status {self.status}"


class Probe:
    """Asks over HTTP. Faked in unit tests."""

    def direct(self, port: int, path: str, host: str) -> Answer:
        """The service itself, on its loopback port."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_SECONDS)
        return self._ask(connection, path, host)

    def public(self, host: str, path: str, tls: bool) -> Answer:
        """Through Caddy, as a browser would, but from this machine to itself.

        The certificate is not verified here: a private authority's root is not
        trusted by this machine, and a handshake with the right name is proof
        enough that Caddy holds a certificate for it.
        """
        if not tls:
            return self._ask(
                http.client.HTTPConnection("127.0.0.1", 80, timeout=PROBE_SECONDS), path, host
            )
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return self._ask(_ToSelf(host, context), path, host)

    def _ask(self, connection: http.client.HTTPConnection, path: str, host: str) -> Answer:
        try:
            connection.request(
                "GET", path, headers={"Host": host, "User-Agent": "deployment-flow-agent"}
            )
            response = connection.getresponse()
            # What is there: one that streams would go on for as long as it is read.
            response.read1(65536)
            return Answer(response.status)
        except ssl.SSLError as error:
            return Answer(0, f"no certificate yet ({error.reason or 'handshake failed'})")
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, f"{type(error).__name__}: {error}"[:200])
        finally:
            connection.close()


class _ToSelf(http.client.HTTPSConnection):
    """HTTPS to 127.0.0.1 that asks for the certificate of the public name."""

    def __init__(self, name: str, context: ssl.SSLContext) -> None:
        super().__init__("127.0.0.1", 443, timeout=PROBE_SECONDS, context=context)
        self._name = name
        self._tls = context

    def connect(self) -> None:
        plain = socket.create_connection(("127.0.0.1", 443), PROBE_SECONDS)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self._name)
