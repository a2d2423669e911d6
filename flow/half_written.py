"""What an engine that was killed leaves half written in a state that is a folder."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

SETTLED_SECONDS = 0.5
"""What is being written just now is whole a moment later."""


def mend(url: str, project: str, stack: str) -> bool:
    """Remove an empty file of attributes beside the stack's state; whether there was one.

    The engine puts the state in place in one step, and writes its attributes beside it in two:
    killed between those, it reads neither any more. They say nothing that it needs.

    url  of the backend; nothing is done for one that is no folder
    """
    parts = urlsplit(url)
    if parts.scheme != "file":
        return False
    file = Path(unquote(parts.path)) / ".pulumi/stacks" / project / f"{stack}.json.attrs"
    with contextlib.suppress(OSError):
        known = file.stat()
        if known.st_size == 0 and time.time() - known.st_mtime > SETTLED_SECONDS:
            file.unlink()
            return True
    return False
