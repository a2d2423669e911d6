"""One comment on a pull request, renewed by every run: the text of the variable TEXT.

    TEXT=… GITHUB_TOKEN=… python3 -m preview.comment NUMBER

Needs Python's standard library alone: it runs where the token may write, and installs nothing.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

MARK = "<!-- deployment-flow: settings -->"
_SECONDS = 20


def write(number: int, environment: Mapping[str, str]) -> str:
    """Write or renew it; its address. Raises urllib.error.URLError."""
    api = environment.get("GITHUB_API_URL", "https://api.github.com")
    issues = f"{api}/repos/{environment['GITHUB_REPOSITORY']}/issues"
    body = {"body": f"{MARK}\n{environment['TEXT']}"}

    def call(method: str, address: str, content: Any = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 (the run's own GitHub)
            address,
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {environment['GITHUB_TOKEN']}",
                "Content-Type": "application/json",
            },
        )
        answering = urllib.request.urlopen(request, timeout=_SECONDS)  # noqa: S310  # nosec B310
        with answering as answer:
            return json.load(answer)

    for page in range(1, 11):
        found = call("GET", f"{issues}/{number}/comments?per_page=100&page={page}")
        for each in found:
            # Anybody can write the mark; only a run's own is renewed.
            if each["body"].startswith(MARK) and each["user"]["type"] == "Bot":
                return str(call("PATCH", f"{issues}/comments/{each['id']}", body)["html_url"])
        if len(found) < 100:
            break
    return str(call("POST", f"{issues}/{number}/comments", body)["html_url"])


if __name__ == "__main__":
    try:
        print(write(int(sys.argv[1]), os.environ))
    except urllib.error.URLError as error:
        print(f"warning: no comment was written: {error}", file=sys.stderr)
