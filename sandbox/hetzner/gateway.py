"""From an HTTP request to a resource's handler and back.

In this order: who calls, how often, what is set to go wrong, what the body must
look like, and then the handler, in one transaction of the store and away from
the event loop. Work that takes time starts once the transaction is written.
"""

import asyncio
import json
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from sandbox.hetzner import spec
from sandbox.hetzner.access import Caller, RateLimits, Tokens
from sandbox.hetzner.cloud import Call, Cloud
from sandbox.hetzner.errors import STATUS, ApiError
from sandbox.hetzner.faults import kind_of
from sandbox.hetzner.listing import Answer
from sandbox.hetzner.routing import Handler
from sandbox.store import Record


class CutConnection(Response):
    """An answer that never arrives: its body ends before it should."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """ASGI; the server notices the missing bytes and closes the connection."""
        headers = [(b"content-length", b"1000000"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        raise ConnectionAbortedError("a fault cut this connection")


class Gateway:
    """Makes an endpoint of each handler."""

    def __init__(self, cloud: Cloud, tokens: Tokens, limits: RateLimits) -> None:
        self._cloud = cloud
        self._tokens = tokens
        self._limits = limits

    async def answer(self, request: Request, handler: Handler) -> Response:
        """Answer one request under /v1."""
        headers: dict[str, str] = {}
        try:
            caller = self._tokens.caller(request.headers.get("Authorization"))
            allowed, headers = self._limits.take(caller.project)
            if not allowed:
                raise ApiError("rate_limit_exceeded", "limit of 3600 requests per hour reached")
            faults = self._cloud.faults.on_request(
                request.method, request.url.path.removeprefix("/v1"), caller.project
            )
            lost = await self._before(faults, headers)
            answer = await self._run(request, handler, caller)
            if lost == "cut":
                return CutConnection()
            if lost:
                raise ApiError("timeout", "the request could not be answered in time")
        except ApiError as error:
            return JSONResponse(error.body(), error.status, headers)
        headers = {**headers, **answer.headers}
        if answer.body is None:
            return Response(status_code=answer.status, headers=headers)
        return JSONResponse(answer.body, answer.status, headers)

    async def _before(self, faults: list[Record], headers: dict[str, str]) -> str | None:
        """Strike; how the answer is to be lost, if it is."""
        lost = None
        for fault in faults:
            do, kind = fault["do"], kind_of(fault)
            if kind == "delay":
                await asyncio.sleep(float(do["delay"]))
            elif kind == "lose_answer":
                lost = str(do["lose_answer"])
            elif kind == "rate_limit":
                headers.update(self._limits.headers(0, fault["since"] + do["rate_limit"]))
                raise ApiError("rate_limit_exceeded", "limit of 3600 requests per hour reached")
            else:
                status = int(do["status"])
                default = next((c for c, s in STATUS.items() if s == status), "service_error")
                message = do.get("message", "a fault was injected")
                raise ApiError(do.get("code", default), message, status=status)
        return lost

    async def _run(self, request: Request, handler: Handler, caller: Caller) -> Answer:
        self._tokens.check(caller, request.method)
        body = await self._body(request)
        call = Call(
            cloud=self._cloud,
            project=caller.project,
            path=request.url.path,
            params={name: str(value) for name, value in request.path_params.items()},
            query=request.query_params.multi_items(),
            body=body,
            started=[],
        )
        return await to_thread.run_sync(self._work, call, handler)

    def _work(self, call: Call, handler: Handler) -> Answer:
        with call.store.transaction():
            answer = handler(call)
        self._cloud.jobs.launch(self._cloud, call.started)
        return answer

    @staticmethod
    async def _body(request: Request) -> dict[str, Any]:
        raw = await request.body()
        try:
            body = json.loads(raw) if raw else {}
        except ValueError:
            raise ApiError("json_error", "the request body is not valid JSON") from None
        if not isinstance(body, dict):
            raise ApiError("json_error", "the request body must be an object")
        if request.method in ("POST", "PUT"):
            path = request.url.path.removeprefix("/v1")
            if errors := spec.request_errors(request.method, path, body):
                raise ApiError(
                    "invalid_input",
                    "invalid input in " + ", ".join(f"field '{name}'" for name, _ in errors),
                    {"fields": [{"name": n, "messages": [message]} for n, message in errors]},
                )
        return body
