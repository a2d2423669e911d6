"""Tells a chat, or any program, what the reaper did: one POST of JSON to an address of the team's.

The address is a secret: who has it can post. It is never printed, and neither is an error that
may quote it. A webhook that fails stops nothing; one line says that it did.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import httpx

from flow.reaping import Verdict
from flow.survey import day

URL = "FLOW_WEBHOOK_URL"
KIND = "FLOW_WEBHOOK_KIND"
SECONDS = 20.0
"""All messages together; after that the rest is given up."""
_TIMEOUT = httpx.Timeout(5.0)
_MOST_LINES = 50

Kind = Literal["slack", "matrix", "generic"]
_EVENTS = {
    "announced": "demo.announced",
    "ended": "demo.ended",
    "removed": "demo.removed",
    "failed": "demo.failed",
}


class WebhookError(Exception):
    """Why it cannot be used; nothing of its address is in it."""


@dataclass(frozen=True)
class Webhook:
    """Where to tell, and in which words."""

    url: str = field(repr=False)
    kind: Kind

    def bodies(self, verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
        """What is posted: of a chat one message of all, else one for each; pure."""
        told = [each for each in verdicts if each.action in _EVENTS]
        if self.kind == "generic":
            return [_fields(each) for each in told]
        if not told:
            return []
        lines = [_line(each, self.kind) for each in told[:_MOST_LINES]]
        if len(told) > _MOST_LINES:
            lines.append(f"and {len(told) - _MOST_LINES} more: flow demo list")
        return [{"text": "\n".join(lines)}]


def read(environment: Mapping[str, str]) -> Webhook | None:
    """The one the environment names; None where it names none. Raises WebhookError.

    Without FLOW_WEBHOOK_KIND an address of Slack's is Slack's, and any other generic.
    """
    url = environment.get(URL, "").strip()
    if not url:
        return None
    try:
        parts = urlsplit(url)
        host, scheme = parts.hostname or "", parts.scheme
        _ = parts.port
    except ValueError:
        host = scheme = ""
    if scheme not in ("http", "https") or not host:
        raise WebhookError(f"{URL} is no address as https://…")
    if scheme == "http" and not _is_here(host):
        raise WebhookError(f"{URL} is not https://: its secret would go in the clear")
    kind = environment.get(KIND, "").strip() or (
        "slack" if host == "hooks.slack.com" else "generic"
    )
    if kind not in get_args(Kind):
        raise WebhookError(f"{KIND} is {kind!r}, and not one of {', '.join(get_args(Kind))}")
    return Webhook(url, kind)  # type: ignore[arg-type]


def tell(verdicts: Sequence[Verdict], environment: Mapping[str, str]) -> str:
    """Post what was announced and ended, within SECONDS; what to say of it, empty for nothing."""
    try:
        webhook = read(environment)
    except WebhookError as error:
        return f"warning: the webhook was not told: {error}"
    if webhook is None or not (bodies := webhook.bodies(verdicts)):
        return ""
    sent: list[str] = []
    # Not waited for beyond its time, whatever the other side does with the connection.
    sender = threading.Thread(target=_send, args=(webhook.url, bodies, sent), daemon=True)
    sender.start()
    sender.join(SECONDS)
    answers = list(sent)
    answers += [f"no answer within {SECONDS:.0f} s"] * (len(bodies) - len(answers))
    failed = [each for each in answers if each]
    if not failed:
        return f"the webhook was told ({len(bodies)})"
    return (
        f"warning: the webhook was not told ({len(failed)} of {len(bodies)} message(s)): "
        f"{failed[0]}"
    )


def _send(url: str, bodies: list[dict[str, Any]], sent: list[str]) -> None:
    """Post one after the other; of each why it failed, or nothing."""
    with httpx.Client(timeout=_TIMEOUT, follow_redirects=False) as client:
        for body in bodies:
            sent.append(_post(client, url, body))


def _post(client: httpx.Client, url: str, body: dict[str, Any]) -> str:
    try:
        # The answer's body is nobody's business, and may be without end.
        with client.stream("POST", url, json=body) as answer:
            return "" if answer.is_success else f"it answers {answer.status_code}"
    except Exception as error:  # noqa: BLE001 (nobody waits for this thread who could say it)
        return type(error).__name__  # its words may hold the address


def _fields(verdict: Verdict) -> dict[str, Any]:
    return {
        "event": _EVENTS[verdict.action],
        "environment": verdict.environment,
        "branch": verdict.branch,
        "url": verdict.url,
        "expires": verdict.expires,
        "ends": day(verdict.expires),
        "dump": verdict.dump,
        "why": verdict.why,
        "text": _line(verdict, "generic"),
    }


def _line(verdict: Verdict, kind: Kind) -> str:
    name = f"{verdict.environment} {verdict.url}".strip()
    if verdict.action == "announced":
        said = (
            f"{name} ends soon: {verdict.why}. A push to its branch keeps it, and so does "
            f"flow demo extend {verdict.branch} --until DATE"
        )
    elif verdict.action == "failed":
        said = f"{name} was not ended: {verdict.why}"
    else:
        saved = f"; its data: {verdict.dump}" if verdict.dump else ""
        said = f"{name} has ended: {verdict.why}{saved}"
    if kind == "slack":
        # Slack reads <…> as links and mentions, and a branch may be called anything.
        said = said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return said


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
