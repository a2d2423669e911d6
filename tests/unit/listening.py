"""One listening server of a kind for all tests of a process; what it serves is exchanged."""

import socket
import threading
import time
from functools import cache

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send


class Switch:
    """What a listening server serves at the moment."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        assert self.app is not None
        await self.app(scope, receive, send)


@cache
def listening(kind: str) -> tuple[str, Switch]:
    """Address of the server of a kind (`github`), and what it serves."""
    switch = Switch()
    server = uvicorn.Server(uvicorn.Config(switch, log_level="critical", lifespan="off"))
    # With its protocol named asyncio sets TCP_NODELAY: else every answer takes 40 ms.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.005)
    assert server.started, kind
    return f"http://127.0.0.1:{listener.getsockname()[1]}", switch
