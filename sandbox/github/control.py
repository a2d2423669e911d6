"""The sandbox's own paths under `/_sandbox`, which the real GitHub does not have.

GET    /_sandbox/health
GET    /_sandbox/violations                 answers unlike the API's description
GET    /_sandbox/faults, POST, DELETE; DELETE /_sandbox/faults/<id>   see faults.py
POST   /_sandbox/tokens {"login", "kind", "permissions", "repositories", "expires"}   a new token
POST   /_sandbox/users {"login", "name"}     a new user, if there is none of that name
GET    /_sandbox/clock, POST {"offset": 86400}   seconds the clock is ahead
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.github import accounts
from sandbox.github.errors import GithubError
from sandbox.github.hub import Hub
from sandbox.openapi import Violations

Body = dict[str, Any]


def routes(hub: Hub, violations: Violations | None = None) -> list[Route]:
    """What is mounted beside the API."""

    def health(_body: Body, _params: Body) -> Any:
        return {"status": "ok", "repositories": len(hub.store.all("repository"))}

    def list_violations(_body: Body, _params: Body) -> Any:
        if violations is None:
            return {"enabled": False, "checked": 0, "count": 0, "violations": []}
        found = violations.found
        told = {"checked": violations.checked, "count": len(found), "violations": found[-100:]}
        return {"enabled": True, **told}

    def list_faults(_body: Body, _params: Body) -> Any:
        return {"faults": hub.faults.all()}

    def add_fault(body: Body, _params: Body) -> Any:
        return {"fault": hub.faults.add(body)}

    def remove_faults(_body: Body, params: Body) -> Any:
        hub.faults.remove(params.get("id"))
        return {}

    def add_token(body: Body, _params: Body) -> Any:
        given = {k: body.get(k) for k in ("permissions", "repositories", "expires")}
        return {"token": hub.tokens.mint(body["login"], body.get("kind", "classic"), **given)}

    def add_user(body: Body, _params: Body) -> Any:
        return accounts.user(hub, body["login"], body.get("name", ""))

    def clock(body: Body, _params: Body) -> Any:
        if "offset" in body:
            hub.store.set_setting("clock_offset", float(body["offset"]))
        return {"offset": hub.store.setting("clock_offset", 0.0), "now": hub.store.now()}

    return [
        Route("/_sandbox/health", _endpoint(health), methods=["GET"]),
        Route("/_sandbox/violations", _endpoint(list_violations), methods=["GET"]),
        Route("/_sandbox/faults", _endpoint(list_faults), methods=["GET"]),
        Route("/_sandbox/faults", _endpoint(add_fault), methods=["POST"]),
        Route("/_sandbox/faults", _endpoint(remove_faults), methods=["DELETE"]),
        Route("/_sandbox/faults/{id:int}", _endpoint(remove_faults), methods=["DELETE"]),
        Route("/_sandbox/tokens", _endpoint(add_token), methods=["POST"]),
        Route("/_sandbox/users", _endpoint(add_user), methods=["POST"]),
        Route("/_sandbox/clock", _endpoint(clock), methods=["GET", "POST"]),
    ]


def _endpoint(
    work: Callable[[Body, Body], Any],
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            raw = await request.body()
            return JSONResponse(
                await run_in_threadpool(work, json.loads(raw) if raw else {}, request.path_params)
            )
        except GithubError as error:
            return JSONResponse(error.body(), error.status)
        except (KeyError, ValueError) as error:
            return JSONResponse({"message": f"not understood: {error}"}, 422)

    return endpoint
