"""What listens on loopback answers this machine's own programs, and no stranger's page.

A page in a browser here can have its own name resolve to 127.0.0.1 and read what it is answered as
its own. The control paths give out tokens, and a run of a workflow is a process of this person's.
"""

from typing import Final

from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

NAMES: Final = ("127.0.0.1", "localhost")


def guarded(app: ASGIApp) -> ASGIApp:
    """The app for requests that name this machine as their host; any other is answered 400."""
    return TrustedHostMiddleware(app, NAMES, www_redirect=False)
