"""Wait for a server, then give it its software. Safe to repeat; instant when nothing changed."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable, Mapping

from remote.errors import HandOverError, host_key_error, session_error
from remote.shipment import fingerprint, pack
from remote.ssh import Connection, Session, SessionError, host_key_types, open_session

Report = Callable[[str], None]

BOOT_SECONDS = 300
"""How long a new server may take until it accepts SSH."""
DENIED_SECONDS = 60
"""How long a key may be refused: cloud-init installs keys some time after boot."""
INSTALL_SECONDS = 1500
SILENCE_SECONDS = 300
"""Longest silence while installing; provision.sh says something far more often."""
PAUSE_SECONDS = 2
GREETING_LINES = 50

READY = "deployment-flow: ready"
RESULT = "deployment-flow: result "

_DEVICE = re.compile(r"^/dev/disk/by-id/[A-Za-z0-9._:-]+$")
_PUBLIC_KEY = re.compile(r"^(ssh-ed25519|ssh-rsa|ecdsa-[a-z0-9-]+) [A-Za-z0-9+/=]+( [\w@.+-]*)?$")


def provision(request: Mapping[str, object], report: Report) -> dict[str, object]:
    """Make the server of `request["connection"]` ready for releases.

    Reads `deploy_public_key`, `admin_keys` (who may log in as root), `volume_device` (a
    /dev/disk/by-id path, or none), `volume_size` (GB) and `boot_deadline` (seconds). Returns the
    software's fingerprint, whether anything changed, and how cloud-init ended.
    """
    connection, parameters, deadline = read(request)
    archive = pack(parameters)
    started = time.monotonic()
    said_at = -60.0
    while True:
        try:
            return _attempt(connection, archive, report)
        except SessionError as error:
            waited = time.monotonic() - started
            if error.reason == "host-key":
                raise host_key_error(connection.host) from None
            limit = min(deadline, DENIED_SECONDS) if error.reason == "denied" else deadline
            if error.reason in ("name", "other") or waited >= limit:
                problem = session_error(connection.host, error.reason, str(error))
                raise HandOverError(
                    f"{problem}, after {waited:.0f} s of waiting", problem.remedy
                ) from None
            if waited - said_at >= 15:
                said_at = waited
                report(f"{connection.host} is not ready ({error}); {waited:.0f} s of {limit:.0f} s")
            time.sleep(PAUSE_SECONDS)


def read(request: Mapping[str, object]) -> tuple[Connection, dict[str, str], float]:
    """Connection, what provision.sh is told, and the boot deadline; refuses what is malformed."""
    try:
        given = request.get("connection")
        connection = Connection.parse(given if isinstance(given, Mapping) else {})
        key = str(request.get("deploy_public_key") or "").strip()
        if not _PUBLIC_KEY.fullmatch(key):
            raise ValueError("deploy_public_key is not one OpenSSH public key")
        admins = _admin_keys(request.get("admin_keys"))
        device = str(request.get("volume_device") or "")
        if device and not _DEVICE.fullmatch(device):
            raise ValueError("volume_device is not a path under /dev/disk/by-id")
        deadline = float(str(request.get("boot_deadline") or BOOT_SECONDS))
    except ValueError as error:
        raise HandOverError(str(error), "correct the component's arguments") from None
    return (
        connection,
        {
            "ADMIN_KEYS": admins,
            "DEPLOY_KEY": key,
            "HOST_KEY_TYPES": " ".join(host_key_types(connection)),
            "SSH_PORT": str(connection.port),
            "VOLUME_DEVICE": device,
            # Only so that a volume made larger is not taken for provisioned already.
            "VOLUME_SIZE": str(int(str(request.get("volume_size") or 0))),
        },
        deadline,
    )


def _admin_keys(given: object) -> str:
    """Lines of an authorized_keys file: kind and key, with the comment where it is one word."""
    lines = []
    for key in given if isinstance(given, list) else []:
        kind, blob, *comment = str(key).split()
        line = " ".join([kind, blob, *(comment if len(comment) == 1 else [])])
        if not _PUBLIC_KEY.fullmatch(line):
            raise ValueError(f"{line[:40]!r} in admin_keys is not an OpenSSH public key")
        lines.append(line)
    return "\n".join(lines)


def _attempt(connection: Connection, archive: bytes, report: Report) -> dict[str, object]:
    """One session: nothing is sent before the server, whose key is checked, says it is ready."""
    with open_session(connection, bootstrap(connection.user, len(archive))) as session:
        # Some shells greet even those who only run a command.
        for _ in range(GREETING_LINES):
            if (line := session.next_line(30)) in (READY, None):
                break
        if line != READY:
            raise _no_root(connection, session)
        report(f"{connection.host} answers over SSH with the pinned key")
        session.send(archive)
        return _follow(connection, session, report)


def bootstrap(user: str, size: int) -> str:
    """The remote command: say ready, unpack exactly `size` bytes, run provision.sh as root."""
    script = (
        f"set -eu; umask 077; echo {shlex.quote(READY)}; d=$(mktemp -d); "
        "trap 'rm -rf \"$d\"' EXIT; "
        f'head -c {size} | tar -xf - -C "$d"; sh "$d/provision.sh" </dev/null 2>&1'
    )
    return f"{'' if user == 'root' else 'sudo -n '}sh -c {shlex.quote(script)}"


def _no_root(connection: Connection, session: Session) -> Exception:
    failure = session.failure()
    if "sudo" in str(failure):
        return HandOverError(
            f"{connection.user}@{connection.host} may not become root ({failure})",
            "use root as hostUser, or give that user sudo without a password (NOPASSWD)",
        )
    return failure


def _follow(connection: Connection, session: Session, report: Report) -> dict[str, object]:
    """Pass lines on until the result comes. A lost session is an error: the next run repeats."""
    until = time.monotonic() + INSTALL_SECONDS
    try:
        for line in session.lines(SILENCE_SECONDS, until):
            if line.startswith(RESULT):
                result = json.loads(line[len(RESULT) :])
                return {"software": fingerprint(), **result}
            report(line)
        status = session.finish()
        failure = session.failure() if status == 255 else None
    except SessionError as error:
        failure, status = error, 255
    if failure is not None:
        problem = session_error(connection.host, failure.reason, str(failure))
        raise HandOverError(f"lost the server while installing: {problem}", problem.remedy)
    raise HandOverError(
        f"installing the software on {connection.host} failed (status {status}): see above",
        "the whole log is /var/log/deployment-flow/provision.log there; it is safe to run "
        "`pulumi up` again",
    )
