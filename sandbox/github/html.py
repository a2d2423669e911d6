"""A page of HTML for people: plain, without scripts, and nothing from elsewhere."""

from collections.abc import Callable, Iterable
from html import escape

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #8884 }
pre { font: 13px/1.45 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere }
.success { color: #1a7f37 } .failure, .startup_failure { color: #cf222e }
.cancelled, .skipped { color: #777 } .in_progress, .waiting, .queued, .pending { color: #9a6700 }
"""


def page(title: str, body: Iterable[str], *, moving: bool = False) -> Response:
    """A page of parts that are HTML already; `moving` ones are asked for again every 2 s."""
    refresh = "<meta http-equiv=refresh content=2>" if moving else ""
    return HTMLResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8>{refresh}"
        "<meta name=viewport content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>"
        + "\n".join(body),
        headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"},
    )


def nothing() -> Response:
    """The page for what is not there."""
    return HTMLResponse("<!doctype html><title>404</title><h1>Not Found</h1>", 404)


def link(address: str, text: str = "") -> str:
    """A link; an address that no browser should follow stays text."""
    if address.startswith(("http://", "https://")):
        return f"<a href='{escape(address)}'>{escape(text or address)}</a>"
    return escape(text or address)


def off_the_loop(work: Callable[[Request], Response]) -> Callable[[Request], object]:
    """An endpoint of a function that may take its time."""

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(work, request)

    return endpoint
