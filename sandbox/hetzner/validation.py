"""Checks every answer of the API against its description.

Off by default: it costs milliseconds an answer. Tests have it on, and a running
sandbox can switch it on to watch what the real provider is answered.
"""

from pathlib import Path
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox import openapi
from sandbox.hetzner import spec


class Violations(openapi.Violations):
    """Answers that differed from the description, kept and optionally logged."""

    def __init__(self, log_file: Path | None = None) -> None:
        super().__init__(spec.answer_errors, log_file)


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
