"""The sandbox's own paths under `/_sandbox`, which the real API does not have.

GET    /_sandbox/health
GET    /_sandbox/faults, POST, DELETE; DELETE /_sandbox/faults/<id>   see faults.py
GET    /_sandbox/projects                    names
POST   /_sandbox/projects {"name": "x"}      a new project; answers its two tokens
GET    /_sandbox/clock, POST {"offset": 86400}   seconds the clock is ahead
GET    /_sandbox/violations                  answers unlike the API's description
"""

import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.hetzner.access import Tokens
from sandbox.hetzner.cloud import Cloud
from sandbox.hetzner.errors import ApiError, invalid
from sandbox.hetzner.validation import Violations

Body = dict[str, Any]


def routes(cloud: Cloud, tokens: Tokens, violations: Violations | None) -> list[Route]:
    """What is mounted beside the API."""

    def health(_body: Body, _params: Body) -> Any:
        return {"status": "ok", "servers": len(cloud.store.all("server"))}

    def list_faults(_body: Body, _params: Body) -> Any:
        return {"faults": cloud.faults.all()}

    def add_fault(body: Body, _params: Body) -> Any:
        return {"fault": cloud.faults.add(body)}

    def remove_faults(_body: Body, params: Body) -> Any:
        cloud.faults.remove(params.get("id"))
        return {}

    def list_projects(_body: Body, _params: Body) -> Any:
        return {"projects": sorted(tokens.projects())}

    def add_project(body: Body, _params: Body) -> Any:
        name = body.get("name")
        if not isinstance(name, str) or not name or name in tokens.projects():
            raise invalid(name="must be a name no project has")
        made = {"token": secrets.token_hex(32), "read_only_token": secrets.token_hex(32)}
        cloud.store.add("project", name, {"id": name, "tokens": made})
        return {"project": {"name": name, **made}}

    def clock(body: Body, _params: Body) -> Any:
        if "offset" in body:
            cloud.store.set_setting("clock_offset", float(body["offset"]))
        offset = cloud.store.setting("clock_offset", 0.0)
        return {"offset": offset, "now": cloud.store.now()}

    def list_violations(_body: Body, _params: Body) -> Any:
        if violations is None:
            return {"enabled": False, "checked": 0, "count": 0, "violations": []}
        found = violations.found
        return {
            "enabled": True,
            "checked": violations.checked,
            "count": len(found),
            "violations": found[-100:],
        }

    return [
        Route("/_sandbox/health", _endpoint(health), methods=["GET"]),
        Route("/_sandbox/faults", _endpoint(list_faults), methods=["GET"]),
        Route("/_sandbox/faults", _endpoint(add_fault), methods=["POST"]),
        Route("/_sandbox/faults", _endpoint(remove_faults), methods=["DELETE"]),
        Route("/_sandbox/faults/{id:int}", _endpoint(remove_faults), methods=["DELETE"]),
        Route("/_sandbox/projects", _endpoint(list_projects), methods=["GET"]),
        Route("/_sandbox/projects", _endpoint(add_project), methods=["POST"]),
        Route("/_sandbox/clock", _endpoint(clock), methods=["GET", "POST"]),
        Route("/_sandbox/violations", _endpoint(list_violations), methods=["GET"]),
    ]


def _endpoint(
    work: Callable[[Body, Body], Any],
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            raw = await request.body()
            body = json.loads(raw) if raw else {}
            if not isinstance(body, dict):
                raise ApiError("json_error", "the request body must be an object")
            return JSONResponse(await run_in_threadpool(work, body, request.path_params))
        except ValueError:
            error = ApiError("json_error", "the request body is not valid JSON")
            return JSONResponse(error.body(), error.status)
        except ApiError as error:
            return JSONResponse(error.body(), error.status)

    return endpoint
