"""The servers' resolver: the sandbox's own names, and this machine's view of the rest."""

import logging
import socket
import socketserver
import struct
import threading
from collections.abc import Callable
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver

from sandbox.services import zones
from sandbox.store import Store

log = logging.getLogger(__name__)

_UPSTREAM_SECONDS = 4.0
_PLAIN_UDP = 512  # bytes a client without EDNS takes


def resolve(wire: bytes, store: Store, *, udp: bool) -> bytes | None:
    """The reply to a query as it came from the wire; None for what is no query."""
    try:
        query = dns.message.from_wire(wire)
    except dns.exception.DNSException:
        return None
    if query.flags & dns.flags.QR:
        return None
    try:
        reply = zones.answer(query, store) or _forward(query)
    except Exception:
        log.exception("a question could not be answered: %s", query.question)
        reply = dns.message.make_response(query)
        reply.set_rcode(dns.rcode.SERVFAIL)
    if not udp:
        return reply.to_wire()
    size = max(query.payload or 0, _PLAIN_UDP)
    try:
        return reply.to_wire(max_size=size)
    except dns.exception.TooBig:
        short = dns.message.make_response(query)
        short.flags |= dns.flags.TC
        return short.to_wire()


def _forward(query: dns.message.Message) -> dns.message.Message:
    """What this machine's resolvers say.

    There is no way from the servers to IPv6 addresses elsewhere, so names
    elsewhere have none: a client would wait for a timeout at each.
    """
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.RA
    if query.question and query.question[0].rdtype == dns.rdatatype.AAAA:
        return reply
    for server in dns.resolver.get_default_resolver().nameservers:
        try:
            found, _ = dns.query.udp_with_fallback(query, str(server), timeout=_UPSTREAM_SECONDS)
        except (dns.exception.DNSException, OSError) as error:
            log.info("the resolver %s did not answer: %s", server, error)
            continue
        return found
    reply.set_rcode(dns.rcode.SERVFAIL)
    return reply


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    allow_reuse_address = True
    max_packet_size = 4096

    def __init__(self, address: str, port: int, store: Store) -> None:
        self.address_family = _family(address)
        self.store = store
        super().__init__((address, port), _UdpHandler, bind_and_activate=False)
        _bind(self.socket, self.server_bind)


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: str, port: int, store: Store) -> None:
        self.address_family = _family(address)
        self.store = store
        super().__init__((address, port), _TcpHandler, bind_and_activate=False)
        _bind(self.socket, self.server_bind)
        self.server_activate()


class _UdpHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        wire, sender = self.request
        if reply := resolve(wire, cast(_Udp, self.server).store, udp=True):
            sender.sendto(reply, self.client_address)


class _TcpHandler(socketserver.StreamRequestHandler):
    timeout = 10

    def handle(self) -> None:
        store = cast(_Tcp, self.server).store
        try:
            while head := self.rfile.read(2):
                wire = self.rfile.read(struct.unpack("!H", head)[0])
                reply = resolve(wire, store, udp=False)
                if reply is None:
                    return
                self.wfile.write(struct.pack("!H", len(reply)) + reply)
        except OSError:
            return


def start(addresses: tuple[str, ...], port: int, store: Store) -> Callable[[], None]:
    """Serve UDP and TCP on each address in threads; returns what stops them."""
    servers: list[socketserver.BaseServer] = []
    for address in addresses:
        servers += [_Udp(address, port, store), _Tcp(address, port, store)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True, name="dns").start()

    def stop() -> None:
        for server in servers:
            server.shutdown()
            server.server_close()

    return stop


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _bind(sock: socket.socket, bind: Callable[[], None]) -> None:
    # The bridge's IPv6 address cannot be bound to before a first server is on it.
    sock.setsockopt(socket.SOL_IP, getattr(socket, "IP_FREEBIND", 15), 1)
    bind()
