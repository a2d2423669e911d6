"""One OpenSSH session with a pinned host key, deadlines of our own, and no secret in sight.

Standard library only: this runs under whatever `python3` is on PATH when the
Pulumi command provider starts it.
"""

from __future__ import annotations

import contextlib
import io
import os
import queue
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

from remote.server.agent.lines import cut_lines

LINE_LIMIT = 8192
"""Longest line passed on, in bytes: the command provider hangs on one over 64 KiB."""

CONNECT_SECONDS = 10
ALIVE_SECONDS = 10
ALIVE_COUNT = 3

_KEY_TYPE = re.compile(r"^(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+$")
_ALIAS = "deployment-flow-host"

Reason = Literal[
    "refused", "timeout", "unreachable", "closed", "denied", "host-key", "name", "other"
]
_REASONS: tuple[tuple[Reason, tuple[str, ...]], ...] = (
    # A changed key also says "closed" and "denied" in some versions: it comes first.
    (
        "host-key",
        (
            "REMOTE HOST IDENTIFICATION HAS CHANGED",
            "Host key verification failed",
            "no matching host key type",
        ),
    ),
    ("denied", ("Permission denied", "Too many authentication failures")),
    ("refused", ("Connection refused",)),
    ("name", ("Could not resolve hostname",)),
    ("timeout", ("timed out", "not responding")),
    ("unreachable", ("No route to host", "Network is unreachable")),
    ("closed", ("Connection closed", "Connection reset", "kex_exchange", "Broken pipe")),
)


class SessionError(Exception):
    """A session that could not be held; `reason` says why in one word."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Connection:
    """Where and as whom: `key` is a private key in PEM, `known_hosts` lines or bare keys."""

    host: str
    key: str
    known_hosts: str
    user: str = "root"
    port: int = 22

    @classmethod
    def parse(cls, given: Mapping[str, object]) -> Connection:
        """From the hand-over's JSON. Raises ValueError naming the field that is wrong."""
        for field in ("host", "key", "known_hosts"):
            if not isinstance(given.get(field), str) or not given[field]:
                raise ValueError(f"connection.{field} is missing or empty")
        host = str(given["host"])
        user = str(given.get("user") or "root")
        if host.startswith("-") or not re.fullmatch(r"[A-Za-z0-9_.:%-]+", host):
            raise ValueError("connection.host is not an address or a host name")
        if not re.fullmatch(r"[a-z_][a-z0-9_.-]*", user):
            raise ValueError("connection.user is not a user name")
        port = int(str(given.get("port") or 22))
        known_hosts = str(given["known_hosts"])
        if not _host_keys(known_hosts):
            raise ValueError(
                "connection.known_hosts holds no host key; a line like 'ssh-ed25519 AAAA…' is "
                "needed, from `ssh-keyscan` checked against the server's console"
            )
        return cls(host, str(given["key"]), known_hosts, user, port)


def _host_keys(known_hosts: str) -> list[str]:
    """Every 'type base64' pair of known_hosts lines or of bare public keys."""
    found = []
    for line in known_hosts.splitlines():
        words = line.split()
        for at, word in enumerate(words[:-1]):
            if _KEY_TYPE.match(word):
                found.append(f"{word} {words[at + 1]}")
                break
    return found


def host_key_types(connection: Connection) -> list[str]:
    """Types of the pinned keys, so that hardening never turns off the one we rely on."""
    return sorted({key.split()[0] for key in _host_keys(connection.known_hosts)})


def classify(text: str) -> Reason:
    """Why ssh gave up, from what it printed."""
    for reason, signs in _REASONS:
        if any(sign in text for sign in signs):
            return reason
    return "other"


class Feeding:
    """A thread that writes to a session's stdin; `check` raises what went wrong in it."""

    def __init__(self, stdin: IO[bytes], work: Callable[[IO[bytes]], None]) -> None:
        self._stdin = stdin
        self._work = work
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what the work raised."""
        self._thread.join(timeout=5)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._work(self._stdin)
        except Exception as error:  # noqa: BLE001 (raised where somebody waits for it)
            # A pipe that was closed is the other end's to explain.
            self._failure = None if isinstance(error, OSError | ValueError) else error
            with contextlib.suppress(OSError, ValueError):
                self._stdin.close()


class Session:
    """A running ssh; use `open_session`. Lines come from the remote command's stdout."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._lines: queue.Queue[str | None] = queue.Queue(maxsize=1000)
        self._complaints = bytearray()
        self._threads = [
            threading.Thread(target=self._read_lines, daemon=True),
            threading.Thread(target=self._read_complaints, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def send(self, data: bytes) -> None:
        """Write to the remote command's stdin, without ever blocking the caller."""
        thread = threading.Thread(target=self._write, args=(data,), daemon=True)
        thread.start()

    def feed(self, work: Callable[[IO[bytes]], None]) -> Feeding:
        """Have `work` write to the remote command's stdin, beside the caller.

        Where it fails, stdin is closed: the other end must not take a part for the whole.
        """
        return Feeding(cast(IO[bytes], self._process.stdin), work)

    def next_line(self, seconds: float) -> str | None:
        """The next line, or None at the end. Raises SessionError after `seconds` of silence."""
        try:
            return self._lines.get(timeout=max(seconds, 0.01))
        except queue.Empty:
            raise SessionError("timeout", f"nothing was heard for {seconds:.0f} s") from None

    def lines(self, silence: float, until: float) -> Iterator[str]:
        """Lines to the end. Raises SessionError after `silence` seconds without one, and at
        `until` (monotonic), however much is still being said."""
        while True:
            left = until - time.monotonic()
            if left > 0:
                try:
                    line = self.next_line(min(silence, left))
                except SessionError:
                    if silence < left:
                        raise
                    continue
                if line is None:
                    return
                yield line
            else:
                raise SessionError("timeout", "it did not end before the deadline")

    def complaints(self) -> str:
        """What ssh itself (and the remote shell) said on stderr, at most 16 KiB of it."""
        return self._complaints.decode("utf-8", "replace").strip()

    def finish(self) -> int:
        """Exit status after the last line; 255 is ssh's own failure."""
        try:
            status = self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            status = 255
        self._threads[1].join(timeout=2)
        return status

    def failure(self) -> SessionError:
        """The session's end as an error, for when the remote command did not finish."""
        self.finish()
        text = self.complaints()
        last = text.splitlines()[-1] if text else "the connection ended without a word"
        return SessionError(classify(text) if text else "closed", last)

    def _write(self, data: bytes) -> None:
        stdin = cast(IO[bytes], self._process.stdin)
        with contextlib.suppress(OSError, ValueError):
            stdin.write(data)
            stdin.flush()

    def _read_lines(self) -> None:
        for line in cut_lines(cast(IO[bytes], self._process.stdout), LINE_LIMIT):
            self._lines.put(line)
        self._lines.put(None)

    def _read_complaints(self) -> None:
        while chunk := cast(io.BufferedReader, self._process.stderr).read1(4096):
            room = 16384 - len(self._complaints)
            self._complaints += chunk[: max(room, 0)]


def options(connection: Connection, folder: Path) -> list[str]:
    """ssh's arguments up to the command. Nothing of the user's or the machine's config counts."""
    settings = {
        "BatchMode": "yes",
        "CheckHostIP": "no",
        "ClearAllForwardings": "yes",
        "ConnectTimeout": CONNECT_SECONDS,
        "ControlMaster": "no",
        "ControlPath": "none",
        "ForwardAgent": "no",
        "GlobalKnownHostsFile": "/dev/null",
        # The pin holds whatever the address or port: it is looked up under this name.
        "HostKeyAlias": _ALIAS,
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "IdentityFile": f'"{folder / "key"}"',
        "LogLevel": "INFO",
        "PreferredAuthentications": "publickey",
        "ServerAliveCountMax": ALIVE_COUNT,
        "ServerAliveInterval": ALIVE_SECONDS,
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "UserKnownHostsFile": f'"{folder / "known_hosts"}"',
        "VisualHostKey": "no",
    }
    flags = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
    return ["-F", "/dev/null", "-T", *flags, "-p", str(connection.port), "-l", connection.user]


@contextlib.contextmanager
def open_session(connection: Connection, command: str) -> Iterator[Session]:
    """Run `command` on the server; the key exists in a private folder for that long."""
    if shutil.which("ssh") is None:
        raise SessionError("other", "no `ssh` on PATH; install OpenSSH's client")
    with tempfile.TemporaryDirectory(prefix="deployment-flow-") as name:
        folder = Path(name)
        _write_private(folder / "key", connection.key.strip() + "\n")
        pins = "".join(f"{_ALIAS} {key}\n" for key in _host_keys(connection.known_hosts))
        _write_private(folder / "known_hosts", pins)
        arguments = ["ssh", *options(connection, folder), "--", connection.host, command]
        # If this process is killed outright, ssh must not live on.
        if shutil.which("setpriv"):
            arguments = ["setpriv", "--pdeathsig", "TERM", *arguments]
        process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            yield Session(process)
        finally:
            _end(process)


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=5)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.close()
