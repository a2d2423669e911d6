"""The deploy agent on an environment's server, asked with the stack's own key and pinned host key.

The key runs the agent and nothing else: what it knows no verb for needs an admin's own key.
"""

from __future__ import annotations

import base64
import getpass
import hashlib
import json
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

from flow.errors import FlowError
from flow.state import State
from remote.ssh import Connection, Feeding, SessionError, open_session

AGENT_USER = "flow"
SILENCE_SECONDS = 60.0
DUMP_SECONDS = 2000.0  # the agent's own deadline is shorter
ROWS_SECONDS = 400.0
RESTORE_SECONDS = 5400.0  # taking it in, and what the agent's own unit may take
FOLLOW_SECONDS = 4 * 3600.0 + 60
DUMP_LIMIT = 1 << 30
"""Bytes: a dump is held in memory, so that it is nowhere in clear."""


def connection(stack: str, found: State) -> Connection:
    """Where the stack's agent is. Raises FlowError for a stack without a server."""
    outputs = found.outputs
    check_awake(stack, found)
    if not outputs.get("deploy_key") or not outputs.get("ssh"):
        raise FlowError(f"{stack} has no server", f"flow deploy {stack}")
    _, host, port = login(found)
    return Connection(
        host, str(outputs["deploy_key"]), str(outputs["known_hosts"]), AGENT_USER, port
    )


def check_awake(stack: str, found: State) -> None:
    """Raises FlowError for a demo that sleeps."""
    if found.asleep:
        raise FlowError(f"{stack} is asleep: its server is gone", f"flow demo wake {stack}")


def login(found: State) -> tuple[str, str, int]:
    """User, host and port a person logs in with, out of the output `ssh`."""
    words = shlex.split(str(found.outputs["ssh"]))
    user, _, host = words[-1].rpartition("@")
    return user or "root", host, int(words[words.index("-p") + 1]) if "-p" in words else 22


def logs(
    stack: str,
    found: State,
    service: str | None,
    lines: int,
    say: Callable[[str], None],
    *,
    follow: bool = False,
) -> None:
    """Pass on the last lines of one service or all, secrets blotted out by the agent.

    follow  and what is written from then on, for some hours at most
    """
    words = ["follow" if follow else "logs", *([service] if service else []), str(lines)]
    for message in ask(stack, found, " ".join(words), FOLLOW_SECONDS if follow else 120):
        if "log" in message:
            say(str(message["log"]))


def dump(
    stack: str, found: State, say: Callable[[str], None]
) -> tuple[dict[str, bytes], list[str]]:
    """The application's data, service → bytes, and the names of what holds data on the server."""
    saved: dict[str, bytearray] = {}
    service = ""
    result: Mapping[str, Any] = {}
    for message in ask(stack, found, "dump", DUMP_SECONDS):
        if "dump" in message:
            service = str(message["dump"])
            saved[service] = bytearray()
        elif "data" in message:
            saved[service] += base64.b64decode(str(message["data"]))
            say(f"{service}: {len(saved[service]) / 1e6:.1f} MB")
            if len(saved[service]) > DUMP_LIMIT:
                raise FlowError(
                    f"the dump of {service} on {stack} is larger than {DUMP_LIMIT >> 20} MiB",
                    f"save it by hand (flow ssh {stack}), then end it with --no-dump",
                )
        elif "end" in message:
            whole = hashlib.sha256(saved[service]).hexdigest() == message.get("sha256")
            if not whole:
                raise FlowError(f"the dump of {service} on {stack} was cut", "run it again")
        elif "result" in message:
            result = message["result"]
    return {name: bytes(data) for name, data in saved.items()}, list(result.get("data") or [])


def running(stack: str, found: State) -> Mapping[str, Any]:
    """The release that runs there now, as the server has it: id, version, revision, …"""
    for message in ask(stack, found, "status", 60):
        if "result" in message:
            return dict(message["result"].get("release") or {})
    return {}


def dump_to(
    stack: str, found: State, take: Callable[[str, Incoming], None], say: Callable[[str], None]
) -> list[str]:
    """Hand each service's data to `take`, to read to its end; the names of what holds data.

    Raises FlowError, out of a read as well, where it is cut or another than the agent sent.
    """
    messages = ask(stack, found, "dump", DUMP_SECONDS)
    for message in messages:
        if "dump" in message:
            incoming = Incoming(stack, str(message["dump"]), messages, say)
            take(incoming.service, incoming)
            incoming.finish()
        elif "result" in message:
            return list(message["result"].get("data") or [])
    return []


class Incoming:
    """One service's dump as it comes over the session: read it to its end."""

    def __init__(
        self,
        stack: str,
        service: str,
        messages: Iterator[Mapping[str, Any]],
        say: Callable[[str], None],
    ) -> None:
        self.service = service
        self._stack = stack
        self._messages = messages
        self._say = say
        self._held = bytearray()
        self._digest = hashlib.sha256()
        self._bytes = 0
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes, all that is left for -1; none at the end."""
        while not self._ended and (size < 0 or len(self._held) < size):
            self._take(next(self._messages, {}))
        wanted = len(self._held) if size < 0 else size
        piece = bytes(self._held[:wanted])
        del self._held[:wanted]
        return piece

    def finish(self) -> None:
        """Raises FlowError where it was not read to its end."""
        if self.read(1):
            raise FlowError(f"the dump of {self.service} on {self._stack} was not taken whole")

    def _take(self, message: Mapping[str, Any]) -> None:
        if "data" in message:
            piece = base64.b64decode(str(message["data"]))
            self._digest.update(piece)
            self._held += piece
            before, self._bytes = self._bytes, self._bytes + len(piece)
            if before >> 20 != self._bytes >> 20:
                self._say(f"{self.service}: {self._bytes / 1e6:.0f} MB")
        elif "end" in message and self._digest.hexdigest() == message.get("sha256"):
            self._ended = True
        elif "log" not in message:
            raise FlowError(f"the dump of {self.service} on {self._stack} was cut", "run it again")


def rows(stack: str, found: State) -> tuple[dict[str, dict[str, int]], list[str]]:
    """How much data there is, by service and table, and the services whose data can come back."""
    for message in ask(stack, found, "rows", ROWS_SECONDS):
        if "result" in message:
            result = message["result"]
            return dict(result.get("rows") or {}), list(result.get("restores") or [])
    return {}, []


def restore(
    stack: str,
    found: State,
    parts: Sequence[Mapping[str, Any]],
    write: Callable[[IO[bytes]], None],
    say: Callable[[str], None],
    *,
    scrubbed: bool = False,
) -> Mapping[str, Any]:
    """Send data and have it restored; the agent's result. Raises FlowError.

    parts     {"service", "bytes", "sha256"} each, in the order `write` writes them
    scrubbed  by the application's own command, before anything sees it
    """
    head = {"parts": [dict(part) for part in parts], "who": getpass.getuser()}
    verb = "restore-scrubbed" if scrubbed else "restore"
    until = time.monotonic() + RESTORE_SECONDS

    def send(pipe: IO[bytes]) -> None:
        pipe.write(json.dumps(head).encode() + b"\n")
        write(pipe)
        pipe.flush()

    try:
        with open_session(connection(stack, found), verb) as session:
            feeding: Feeding | None = None
            for line in session.lines(SILENCE_SECONDS, until):
                message = _parse(line)
                if "hello" in message:
                    feeding = session.feed(send)
                elif "result" in message:
                    if feeding is not None:
                        feeding.check()
                    _check(stack, message["result"])
                    return dict(message["result"])
                elif "log" in message:
                    say(str(message["log"]))
            if feeding is not None:
                feeding.check()
            raise session.failure()
    except SessionError as error:
        raise FlowError(
            f"the server of {stack} was lost ({error.reason}): {error}. A restore that had begun "
            "goes on there",
            f"look at it: flow status, flow logs {stack}; then run it again",
        ) from error


def ask(stack: str, found: State, words: str, seconds: float) -> Iterator[dict[str, Any]]:
    """Messages of the agent to one request, the result last. Raises FlowError."""
    until = time.monotonic() + seconds
    try:
        with open_session(connection(stack, found), words) as session:
            for line in session.lines(SILENCE_SECONDS, until):
                message = _parse(line)
                yield message
                if "result" in message:
                    _check(stack, message["result"])
                    return
            raise session.failure()
    except SessionError as error:
        raise FlowError(
            f"the server of {stack} does not answer ({error.reason}): {error}",
            "look at it: flow status; the host key is checked against the stack's own",
        ) from error


def _parse(line: str) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        return {"log": line}
    return message if isinstance(message, dict) else {"log": line}


def _check(stack: str, result: Any) -> None:
    if isinstance(result, Mapping) and result.get("ok"):
        return
    told = result if isinstance(result, Mapping) else {}
    raise FlowError(
        f"{stack}: {told.get('cause') or 'the agent could not do it'}",
        str(told.get("remedy") or f"flow deploy {stack}, which installs the agent anew"),
    )
