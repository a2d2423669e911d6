"""From an HTTP request to a resource's handler and back.

In this order: what is set to go wrong, whose token it is, which repository the path names and
whether the caller may, and then the handler, away from the event loop; one that writes in one
transaction of the store. Workflows are told of what happened once the transaction is written.
"""

import asyncio
import datetime
import hashlib
import json
import logging
from contextlib import nullcontext
from typing import Any
from urllib.parse import unquote

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.github import access, spec
from sandbox.github.access import Caller
from sandbox.github.call import Call
from sandbox.github.errors import GithubError
from sandbox.github.faults import LIMIT
from sandbox.github.hub import Hub
from sandbox.github.routing import Answer, Endpoint
from sandbox.openapi import Violations

log = logging.getLogger(__name__)

PREFIX = "/api/v3"


class Gateway:
    """Makes an endpoint of each handler."""

    def __init__(self, hub: Hub, violations: Violations | None = None) -> None:
        self._hub = hub
        self._violations = violations

    async def answer(self, request: Request, endpoint: Endpoint) -> Response:
        """Answer one request under /api/v3, and compare it with the description if that is on."""
        response = await self._answer(request, endpoint)
        if self._violations is not None:
            await self._compare(self._violations, request, endpoint, response)
        return response

    @staticmethod
    async def _compare(
        violations: Violations, request: Request, endpoint: Endpoint, response: Response
    ) -> None:
        method = "GET" if request.method == "HEAD" else request.method
        raw = bytes(response.body)
        is_json = response.headers.get("content-type", "").startswith("application/json")
        body = json.loads(raw) if raw and is_json else None
        problems: list[str] = []
        if response.status_code != 304:
            problems = spec.answer_errors(method, endpoint.template, response.status_code, body)
        asked = await request.body()
        if violations.with_requests and asked and response.status_code < 300:
            problems += spec.request_errors(method, endpoint.template, json.loads(asked))
        path = request.url.path.removeprefix(PREFIX)
        violations.add(method, path, response.status_code, problems, endpoint.template)

    async def _answer(self, request: Request, endpoint: Endpoint) -> Response:
        headers = {
            "x-ratelimit-limit": str(LIMIT),
            "x-ratelimit-remaining": str(LIMIT - 1),
            "x-ratelimit-reset": str(int(self._hub.store.now()) + 3600),
            "x-ratelimit-resource": "core",
            "x-github-media-type": "github.v3; format=json",
        }
        body: dict[str, Any] = {}
        try:
            path = request.url.path.removeprefix(PREFIX)
            delay = self._hub.faults.strike(request.method, path)
            if delay:
                await asyncio.sleep(delay)
            body = self._body(await request.body())
            caller = self._hub.tokens.caller(access.token_of(request.headers.get("Authorization")))
            call = Call(
                hub=self._hub,
                caller=caller,
                path=path,
                params={name: unquote(str(value)) for name, value in request.path_params.items()},
                query=request.query_params.multi_items(),
                body=body,
                permission=endpoint.permission,
                accept=request.headers.get("accept", ""),
            )
            headers |= _of_token(caller)
            answer = await to_thread.run_sync(self._work, call, endpoint)
        except GithubError as error:
            return JSONResponse(error.body(), error.status, {**headers, **error.headers})
        except Exception:
            # What a handler could not make sense of is the request's fault, or the sandbox's.
            wrong = spec.request_errors(request.method, endpoint.template, body)
            refusal = GithubError(422, "Invalid request.\n\n" + "\n".join(wrong))
            if wrong:
                log.info("%s %s was refused", request.method, request.url.path, exc_info=True)
            else:
                log.exception("%s %s broke", request.method, request.url.path)
                refusal = GithubError(500, "Server Error: the sandbox failed; see its log")
            return JSONResponse(refusal.body(), refusal.status, headers)
        headers = {**headers, **answer.headers}
        if answer.body is None:
            return Response(status_code=answer.status, headers=headers)
        if isinstance(answer.body, bytes):
            return Response(answer.body, answer.status, headers)
        response = JSONResponse(answer.body, answer.status, headers)
        if request.method == "GET" and answer.status == 200:
            tag = f'W/"{hashlib.sha256(bytes(response.body)).hexdigest()}"'
            headers = {**headers, "etag": tag}
            if tag in request.headers.get("if-none-match", ""):
                return Response(status_code=304, headers=headers)
            response.headers["etag"] = tag
        return response

    def _work(self, call: Call, endpoint: Endpoint) -> Answer:
        # What only reads need not wait for what writes, nor keep it waiting.
        reads = endpoint.method == "GET"
        with nullcontext() if reads else self._hub.store.transaction():
            if {"owner", "repo"} <= call.params.keys():
                call.found = self._hub.repository(call.params["owner"], call.params["repo"])
            elif "repository_id" in call.params:
                call.found = self._hub.repository_by_id(call.params["repository_id"])
            access.check(
                self._hub.store, call.caller, call.found, endpoint.permission, endpoint.role
            )
            answer = endpoint.handler(call)
        self._hub.publish(call.events)
        return answer

    @staticmethod
    def _body(raw: bytes) -> dict[str, Any]:
        try:
            body = json.loads(raw) if raw else {}
        except ValueError:
            raise GithubError(400, "Problems parsing JSON") from None
        # Some endpoints take a bare list (labels of an issue).
        return body if isinstance(body, dict) else {"": body}


def _of_token(caller: Caller) -> dict[str, str]:
    """What GitHub tells of a token in each answer: its scopes, and when it ends."""
    told = {}
    if caller.kind == "classic":
        told["x-oauth-scopes"] = "admin:org, repo, workflow"
    if caller.expires and caller.kind in ("classic", "fine_grained"):
        at = datetime.datetime.fromtimestamp(caller.expires, datetime.UTC)
        told["github-authentication-token-expiration"] = at.strftime("%Y-%m-%d %H:%M:%S UTC")
    return told
