"""A commit's files in one archive, from an address that is good for five minutes."""

import hashlib
import hmac
import secrets
import time

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sandbox.github.errors import GithubError
from sandbox.github.git import GitError
from sandbox.github.hub import Hub

_KEY = secrets.token_bytes(32)
_SECONDS = 300
_FORMATS = {"tar.gz": "application/x-gzip", "zip": "application/zip"}


def address(hub: Hub, full_name: str, form: str, sha: str) -> str:
    """Where a commit can be had; `form` is tar.gz or zip. The address itself lets in."""
    until = int(time.time()) + _SECONDS
    token = _signature(full_name, sha, until)
    return f"{hub.url}/{full_name}/legacy.{form}/{sha}?until={until}&token={token}"


def _signature(full_name: str, sha: str, until: int) -> str:
    return hmac.new(_KEY, f"{full_name} {sha} {until}".encode(), hashlib.sha256).hexdigest()


def routes(hub: Hub) -> list[Route]:
    """What is mounted beside the API."""

    def packed(owner: str, name: str, form: str, sha: str) -> bytes:
        repository = hub.repository(owner, name)
        prefix = f"{owner}-{name}-{sha[:7]}/"
        git = hub.git(repository)
        return git.exact("archive", f"--format={form}", f"--prefix={prefix}", sha)

    async def archive(request: Request) -> Response:
        owner, name, sha = (str(request.path_params[key]) for key in ("owner", "repo", "sha"))
        form = str(request.path_params["form"])
        until = request.query_params.get("until", "0")
        given = request.query_params.get("token", "").encode()
        signed = until.isdecimal() and hmac.compare_digest(
            given, _signature(f"{owner}/{name}", sha, int(until)).encode()
        )
        if not signed or int(until) < time.time() or form not in _FORMATS:
            return PlainTextResponse("404: Not Found\n", 404)
        try:
            content = await run_in_threadpool(packed, owner, name, form, sha)
        except (GithubError, GitError):
            return PlainTextResponse("404: Not Found\n", 404)
        file = f"{owner}-{name}-{sha[:7]}.{form}"
        headers = {"content-disposition": f"attachment; filename={file}"}
        return Response(content, 200, headers, _FORMATS[form])

    return [Route("/{owner}/{repo}/legacy.{form}/{sha}", archive, methods=["GET"])]
