"""Hand a server its software (`provision`) or a release (`deploy`): `python3 -m remote.hand_over`.

One JSON object comes on stdin, one JSON line goes to stdout at the end; everything
for people goes to stderr in short lines with every secret blotted out. The Pulumi
program starts it through `local.Command`, so that the command line kept in state is
the same on every machine and carries nothing secret. Standard library only.
"""

from __future__ import annotations

import getpass
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from typing import NoReturn

from remote.deploying import deploy
from remote.errors import HandOverError
from remote.provisioning import provision
from remote.server.agent.lines import Blot

Report = Callable[[str], None]

VERBS: dict[str, Callable[[Mapping[str, object], Report], dict[str, object]]] = {
    "provision": provision,
    "deploy": deploy,
}


def secrets_of(request: Mapping[str, object]) -> list[str]:
    """Every value of the request that must never be printed."""
    found: set[str] = set()

    def collect(value: object) -> None:
        if isinstance(value, Mapping):
            for part in value.values():
                collect(part)
        elif isinstance(value, str):
            found.add(value)

    collect(request.get("secrets"))
    for holder, fields in (
        ("registry", ("password",)),
        ("auth", ("password",)),
        ("connection", ("key",)),
    ):
        part = request.get(holder)
        if isinstance(part, Mapping):
            collect({field: part.get(field) for field in fields})
    return sorted(found)


def reporter(secrets: list[str]) -> Report:
    """Prints a line to stderr, secrets blotted out and control characters removed."""
    blot = Blot(secrets)

    def report(line: str) -> None:
        print(blot(line), file=sys.stderr, flush=True)

    return report


def who() -> str:
    """Who hands over: the GitHub actor in a workflow, else user@machine."""
    if actor := os.environ.get("GITHUB_ACTOR"):
        return f"{actor} (GitHub)"
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _stop(number: int, _frame: object) -> NoReturn:
    # An exception instead of sudden death: the ssh process and the key's folder get cleaned up.
    raise SystemExit(128 + number)


def main(arguments: list[str]) -> int:
    """Run one verb; 0 when done, 1 with cause and next step on stderr, 2 on a wrong call."""
    if len(arguments) != 1 or arguments[0] not in VERBS:
        print(
            f"usage: python3 -m remote.hand_over {'|'.join(VERBS)} < request.json", file=sys.stderr
        )
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        request = json.load(sys.stdin)
    except ValueError:
        print("hand_over: stdin holds no JSON object", file=sys.stderr)
        return 2
    if not isinstance(request, dict):
        print("hand_over: stdin holds JSON, but not an object", file=sys.stderr)
        return 2
    report = reporter(secrets_of(request))
    try:
        answer = VERBS[arguments[0]]({"who": who(), **request}, report)
    except HandOverError as error:
        report(f"error: {error}")
        report(f"next: {error.remedy}")
        return 1
    print(json.dumps(answer, sort_keys=True), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
