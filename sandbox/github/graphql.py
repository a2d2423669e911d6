"""The little of GitHub's GraphQL that clients ask here: who they are, and what is left.

The GitHub provider reaches for GraphQL only where a team's members are set in bulk and for rules
of the older kind, neither of which is served; what is not known is refused as GitHub refuses it.
"""

import re

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sandbox.github import access, accounts
from sandbox.github.access import Caller
from sandbox.github.errors import GithubError
from sandbox.github.faults import LIMIT
from sandbox.github.hub import Hub

# The fields asked of a query: `query($x: Int) { viewer { login } rateLimit { remaining } }`.
_FIELD = re.compile(r"(\w+)\s*(?:\([^)]*\))?\s*(\{)?")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


class Graphql:
    """POST /api/graphql."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def answer(self, request: Request) -> Response:
        """Answer one query."""
        try:
            body = await request.json()
            header = request.headers.get("Authorization")
            caller = self._hub.tokens.caller(access.token_of(header))
            if not caller.login:
                raise GithubError(401, "This endpoint requires you to be authenticated.")
            told = await run_in_threadpool(self._told, caller, str(body.get("query", "")))
        except GithubError as error:
            return JSONResponse(error.body(), error.status)
        except ValueError:
            return JSONResponse(GithubError(400, "Problems parsing JSON").body(), 400)
        return JSONResponse(told)

    def _told(self, caller: Caller, query: str) -> dict[str, object]:
        known: dict[str, object] = {
            "viewer": {
                name: accounts.simple(self._hub, caller.login)[key]
                for name, key in (("login", "login"), ("id", "node_id"), ("databaseId", "id"))
            },
            "rateLimit": {"limit": LIMIT, "remaining": LIMIT - 1, "cost": 1, "used": 1},
        }
        asked = _fields(query)
        unknown = [name for name in asked if name not in known]
        if query.lstrip().startswith("mutation") or unknown or not asked:
            name = (unknown or ["?"])[0]
            message = f"Field '{name}' doesn't exist on type 'Query'"
            return {"errors": [{"type": "undefinedField", "message": message, "path": ["query"]}]}
        return {"data": {name: known[name] for name in asked}}


def _fields(query: str) -> list[str]:
    """The names at the first level of a query's braces."""
    _, _, inside = _STRING.sub('""', query).partition("{")
    found, depth, at = [], 0, 0
    while at < len(inside) and depth >= 0:
        if inside[at] in "{}":
            depth += 1 if inside[at] == "{" else -1
            at += 1
        elif depth == 0 and (match := _FIELD.match(inside, at)):
            found.append(match[1])
            # The brace that opens what is asked of the field is counted by itself.
            at = match.end() - (1 if match[2] else 0)
        else:
            at += 1
    return found
