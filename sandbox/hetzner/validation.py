"""Checks every answer of the API against its description.

Off by default: it costs milliseconds an answer. Tests have it on, and a running
sandbox can switch it on to watch what the real provider is answered.
"""

import json
import logging
from pathlib import Path
from threading import Lock
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.hetzner import spec

log = logging.getLogger(__name__)


class Violations:
    """Answers that differed from the description, kept and optionally logged."""

    def __init__(self, log_file: Path | None = None) -> None:
        self._log_file = log_file
        self._lock = Lock()
        self.checked = 0
        self.found: list[str] = []
        self.answered: set[tuple[str, str, int]] = set()
        """Method, path template and status of every kind of answer there was."""

    def check(
        self, method: str, path: str, status: int, body: bytes, template: str | None = None
    ) -> None:
        """Look at one answer; `path` and the endpoint's `template` without /v1."""
        problems = spec.answer_errors(method, path, status, json.loads(body) if body else None)
        lines = [f"{method} {path} {status}: {problem}" for problem in problems]
        with self._lock:
            self.checked += 1
            if template is not None:
                self.answered.add((method, template, status))
            self.found += lines
            if lines and self._log_file:
                with self._log_file.open("a") as file:
                    file.writelines(line + "\n" for line in lines)
        for line in lines:
            log.warning("an answer differs from the API's description: %s", line)


class ValidationMiddleware:
    """Passes everything through and looks at what goes out under /v1."""

    def __init__(self, app: ASGIApp, violations: Violations) -> None:
        self.app = app
        self.violations = violations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self.app(scope, receive, send)
            return
        status, parts = 0, []

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                parts.append(message.get("body", b""))
                if not message.get("more_body"):
                    path = unquote(scope["path"]).removeprefix("/v1")
                    self.violations.check(
                        scope["method"], path, status, b"".join(parts), scope.get("template")
                    )
            await send(message)

        await self.app(scope, receive, watch)
