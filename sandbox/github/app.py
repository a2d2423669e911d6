"""The GitHub of the sandbox as a Starlette application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox.github import archives, control, pages
from sandbox.github.actions import Actions
from sandbox.github.actions import pages as run_pages
from sandbox.github.errors import not_found
from sandbox.github.gateway import PREFIX, Gateway
from sandbox.github.git_http import GitHttp
from sandbox.github.graphql import Graphql
from sandbox.github.hub import Hub
from sandbox.github.routing import Endpoint, collect
from sandbox.openapi import Violations
from sandbox.store import Store


def create_app(
    store: Store, folder: Path, url: str, *, violations: Violations | None = None
) -> Starlette:
    """The API under /api/v3, git under /<owner>/<name>.git, the sandbox's own under /_sandbox.

    `folder` holds the repositories and the runs' logs; `url` is where people find it. Workflows
    run from the application's startup to its shutdown. With `violations` each answer is compared
    with GitHub's description, and kept there where it differs.
    """
    hub = Hub(store, folder, url)
    gateway = Gateway(hub, violations)
    git = GitHttp(hub)
    app = Starlette(
        routes=[
            *control.routes(hub, violations),
            *(_route(gateway, endpoint) for endpoint in collect()),
            Route(PREFIX + "/{rest:path}", _unknown_path, methods=_METHODS),
            Route("/api/graphql", Graphql(hub).answer, methods=["POST"]),
            *run_pages.routes(hub),
            *archives.routes(hub),
            *pages.routes(hub),
            Route("/{owner}/{repo}/info/refs", git.references, methods=["GET"]),
            Route("/{owner}/{repo}/{service}", git.exchange, methods=["POST"]),
        ],
        lifespan=lambda _app: _workflows(hub),
        middleware=[Middleware(RawPaths)],
        exception_handlers={HTTPException: _unknown},
    )
    app.state.hub = hub
    app.state.violations = violations
    return app


@asynccontextmanager
async def _workflows(hub: Hub) -> AsyncIterator[None]:
    actions = Actions(hub)
    hub.listen(actions.on_event)
    await to_thread.run_sync(actions.start)
    try:
        yield
    finally:
        await to_thread.run_sync(actions.stop)


class RawPaths:
    """Routes the API by the path as it was sent: `environments/demo%2Fx` is one segment.

    The gateway decodes each variable afterwards.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            raw = scope.get("raw_path") or scope["path"].encode()
            scope = {**scope, "path": raw.split(b"?")[0].decode("latin-1")}
        await self._app(scope, receive, send)


_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def _route(gateway: Gateway, endpoint: Endpoint) -> Route:
    async def answer(request: Request) -> Response:
        return await gateway.answer(request, endpoint)

    return Route(PREFIX + endpoint.path, answer, methods=[endpoint.method])


async def _unknown_path(_request: Request) -> Response:
    return JSONResponse(not_found().body(), 404)


async def _unknown(_request: Request, _error: Exception) -> Response:
    return JSONResponse(not_found().body(), 404)
