"""Hand a release to the agent on the server and follow it to its end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

from remote.errors import HandOverError, host_key_error, session_error
from remote.ssh import Connection, Session, SessionError, open_session

Report = Callable[[str], None]

PROTOCOL = 1
CONNECT_SECONDS = 40
"""How long connecting may be tried; together with ssh's own timeout under a minute."""
SILENCE_SECONDS = 40
"""The agent says something every five seconds: longer silence is a cut line."""
DEADLINE_SECONDS = 1500
PAUSE_SECONDS = 2
_SENT = ("bundle", "secrets", "registry", "auth", "behind", "who")


def deploy(request: Mapping[str, object], report: Report) -> dict[str, object]:
    """Deploy `request["bundle"]`; returns release, version, url, changed and tls.

    Nothing is sent before the agent said hello over a connection whose host key was
    checked. A connection lost later does not stop the release: it runs on in a unit
    of its own, and the next hand-over of the same release follows that one.
    """
    given = request.get("connection")
    try:
        connection = Connection.parse(given if isinstance(given, Mapping) else {})
    except ValueError as error:
        raise HandOverError(str(error), "correct the component's arguments") from None
    deadline = float(str(request.get("deadline") or DEADLINE_SECONDS))
    payload = {"protocol": PROTOCOL, **{key: request.get(key) for key in _SENT}}
    line = json.dumps(payload).encode() + b"\n"
    started = time.monotonic()
    while True:
        try:
            return _attempt(connection, line, deadline, report)
        except SessionError as error:
            if error.reason == "host-key":
                raise host_key_error(connection.host) from None
            waited = time.monotonic() - started
            if error.reason in ("denied", "name", "other") or waited >= CONNECT_SECONDS:
                raise session_error(connection.host, error.reason, str(error)) from None
            time.sleep(PAUSE_SECONDS)


def _attempt(
    connection: Connection, line: bytes, deadline: float, report: Report
) -> dict[str, object]:
    with open_session(connection, "deploy") as session:
        hello = session.next_line(20)
        if hello is None:
            raise session.failure()
        if _parse(hello).get("hello") != "deployment-flow":
            raise HandOverError(
                f"{connection.host} did not answer as the deploy agent does ({hello[:200]})",
                "run `pulumi up` of the whole stack: it installs the agent",
            )
        session.send(line)
        return _follow(connection, session, time.monotonic() + deadline, report)


def _follow(
    connection: Connection, session: Session, until: float, report: Report
) -> dict[str, object]:
    last = ""
    try:
        for line in session.lines(SILENCE_SECONDS, until):
            message = _parse(line)
            if "log" in message:
                last = str(message["log"])
                report(last)
            if "result" in message:
                return _result(connection, message["result"])
        error = session.failure()
    except SessionError as caught:
        error = caught
    problem = session_error(connection.host, error.reason, str(error))
    raise HandOverError(
        f"lost the server in the middle of a deploy: {problem}; the last it said was "
        f"{last!r}. The release goes on there, or the previous one serves",
        "run `pulumi up` again: it follows the running deploy, or starts it anew",
    )


def _result(connection: Connection, result: object) -> dict[str, object]:
    if not isinstance(result, dict):
        raise HandOverError("the agent's result is not an object", "run `pulumi up` again")
    if result.get("ok"):
        return {key: value for key, value in result.items() if key != "ok"}
    raise HandOverError(
        f"{connection.host}: {result.get('cause') or 'the deploy failed'}",
        str(result.get("remedy") or "correct the cause and run `pulumi up` again"),
    )


def _parse(line: str) -> dict[str, object]:
    """A message of the agent; what is not one counts as a line to show."""
    try:
        message = json.loads(line)
    except ValueError:
        return {"log": line}
    return message if isinstance(message, dict) else {"log": line}
