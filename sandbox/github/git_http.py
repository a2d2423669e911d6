"""git over HTTP: clone, fetch and push, with the same tokens as the API.

A push is read first: which refs it moves. Rules decide before git does, the hook of a repository
checks what only git can tell (whether history is rewritten), and workflows are told afterwards.
"""

import asyncio
import gzip
import os
from pathlib import Path

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from sandbox.github import access, pushes
from sandbox.github.access import Caller
from sandbox.github.errors import GithubError
from sandbox.github.hub import Hub
from sandbox.store import Record

SECONDS = 300
SERVICES = ("git-upload-pack", "git-receive-pack")


class GitHttp:
    """`/<owner>/<name>.git/…`, and without the `.git`."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def references(self, request: Request) -> Response:
        """What there is to fetch, or to push onto: GET …/info/refs?service=git-upload-pack."""
        service = request.query_params.get("service", "")
        if service not in SERVICES:
            return PlainTextResponse("Please upgrade your git client.\n", 403)
        try:
            repository, _ = await to_thread.run_sync(self._admit, request, service)
        except GithubError as error:
            return _refusal(error)
        protocol = request.headers.get("git-protocol", "")
        code, told, _ = await _git(
            self._hub.git(repository).folder, service, ["--advertise-refs"], b"", protocol, {}
        )
        head = f"# service={service}\n"
        body = f"{len(head) + 4:04x}{head}0000".encode() + told
        return Response(
            body if code == 0 else b"",
            200 if code == 0 else 500,
            {"Cache-Control": "no-cache"},
            f"application/x-{service}-advertisement",
        )

    async def exchange(self, request: Request) -> Response:
        """A fetch or a push: POST …/git-upload-pack or …/git-receive-pack."""
        service = request.path_params["service"]
        if service not in SERVICES:
            return PlainTextResponse("Not Found\n", 404)
        try:
            repository, caller = await to_thread.run_sync(self._admit, request, service)
            body = await request.body()
            if request.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            environment: dict[str, str] = {}
            before: dict[str, str] = {}
            if service == "git-receive-pack":
                environment = await to_thread.run_sync(
                    pushes.prepare, self._hub, repository, caller, body
                )
                before = await to_thread.run_sync(self._hub.git(repository).refs, "refs/")
        except GithubError as error:
            return _refusal(error)
        protocol = request.headers.get("git-protocol", "")
        code, told, _ = await _git(
            self._hub.git(repository).folder, service, [], body, protocol, environment
        )
        if service == "git-receive-pack":
            await to_thread.run_sync(pushes.finish, self._hub, repository, caller, before, body)
        return Response(
            told, 200 if told or code == 0 else 500, {"Cache-Control": "no-cache"},
            f"application/x-{service}-result",
        )  # fmt: skip

    def _admit(self, request: Request, service: str) -> tuple[Record, Caller]:
        caller = self._hub.tokens.caller(access.token_of(request.headers.get("Authorization")))
        name = request.path_params["repo"].removesuffix(".git")
        writes = service == "git-receive-pack"
        if writes and not caller.login:
            raise GithubError(401, "Authentication required")
        try:
            repository = self._hub.repository(request.path_params["owner"], name)
            permission = "contents:write" if writes else "contents:read"
            access.check(self._hub.store, caller, repository, permission)
        except GithubError as error:
            # Who has not said who they are is asked; git sends no password before.
            if not caller.login:
                raise GithubError(401, "Authentication required") from error
            raise
        return repository, caller


async def _git(
    folder: Path,
    service: str,
    options: list[str],
    body: bytes,
    protocol: str,
    environment: dict[str, str],
) -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        "git",
        service.removeprefix("git-"),
        "--stateless-rpc",
        *options,
        str(folder),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            **({"GIT_PROTOCOL": protocol} if protocol else {}),
            **environment,
        },
    )
    try:
        told, complained = await asyncio.wait_for(process.communicate(body), SECONDS)
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    return int(process.returncode or 0), told, complained


def _refusal(error: GithubError) -> Response:
    headers = {"WWW-Authenticate": 'Basic realm="GitHub"'} if error.status == 401 else {}
    return PlainTextResponse(f"{error.message}\n", error.status, headers)
