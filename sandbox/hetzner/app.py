"""The Hetzner Cloud API as a Starlette application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.hetzner import control
from sandbox.hetzner.access import Credentials, RateLimits, Tokens
from sandbox.hetzner.cloud import Cloud
from sandbox.hetzner.errors import ApiError
from sandbox.hetzner.faults import Faults
from sandbox.hetzner.gateway import Gateway
from sandbox.hetzner.jobs import Jobs
from sandbox.hetzner.routing import Endpoint, collect
from sandbox.hetzner.validation import ValidationMiddleware, Violations
from sandbox.hosts.interface import Hosts
from sandbox.store import Store


def create_app(
    store: Store,
    hosts: Hosts,
    credentials: Credentials,
    *,
    pace: float = 0.2,
    limits: RateLimits | None = None,
    validate: bool = False,
    violations_log: Path | None = None,
) -> Starlette:
    """The API under /v1 and the sandbox's own paths under /_sandbox.

    `credentials` maps each project to its `token` and `read_only_token`. `pace`
    is the least number of seconds an action is seen running. With `validate`
    every answer is compared with the API's description; differences are counted
    at /_sandbox/violations and appended to `violations_log`. Running actions of
    an earlier process on the same store are taken up as the application starts.
    """
    jobs = Jobs(store, pace)
    cloud = Cloud(store, hosts, jobs, Faults(store, hosts))
    tokens = Tokens(credentials, store)
    gateway = Gateway(cloud, tokens, limits or RateLimits())
    violations = Violations(violations_log) if validate else None

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        jobs.resume(cloud)
        yield
        jobs.close()

    app = Starlette(
        routes=[
            *control.routes(cloud, tokens, violations),
            *(_route(gateway, endpoint) for endpoint in collect()),
        ],
        middleware=[
            Middleware(Dated, store=store),
            *([Middleware(ValidationMiddleware, violations=violations)] if violations else []),
        ],
        exception_handlers={HTTPException: _unknown},
        lifespan=lifespan,
    )
    app.state.cloud = cloud
    app.state.violations = violations
    return app


class Dated:
    """Answers carry the time of the sandbox's clock, which a test may move."""

    def __init__(self, app: ASGIApp, store: Store) -> None:
        self._app = app
        self._store = store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. The server itself must give no Date."""

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                now = formatdate(self._store.now(), usegmt=True)
                message["headers"] = [*message.get("headers", []), (b"date", now.encode())]
            await send(message)

        await self._app(scope, receive, dated)


def _route(gateway: Gateway, endpoint: Endpoint) -> Route:
    async def answer(request: Request) -> Response:
        # For whoever looks at answers on their way out: which endpoint it was.
        request.scope["template"] = endpoint.path
        return await gateway.answer(request, endpoint.handler)

    return Route("/v1" + endpoint.path, answer, methods=[endpoint.method])


async def _unknown(_request: Request, _error: Exception) -> Response:
    """What no file answers, in the API's own words; a wrong method is no path either."""
    refusal = ApiError("not_found", "path not found")
    return JSONResponse(refusal.body(), refusal.status)
