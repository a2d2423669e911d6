"""Requests set to go wrong, through `/_sandbox/faults`.

    {"match": {"method": "POST", "path": "/repos/*/releases"}, "count": 1, "after": 0, "do": {…}}

`match` may be left out or name any of its keys; `path` (without /api/v3) is a shell pattern.
`count` bounds how often it strikes, `after` lets that many pass first. `do` is one of:

    {"status": 502, "message": "…"}    answers so and does nothing
    {"delay": 2.5}                     waits so many seconds, then does what was asked
    {"rate_limit": 10}                 answers 403 with x-ratelimit-* headers for so many seconds
    {"secondary_limit": 5}             answers 403 with retry-after
"""

import threading
import time
from fnmatch import fnmatchcase
from typing import Any

from sandbox.github.errors import GithubError, not_found
from sandbox.store import Record, Store

KINDS = ("status", "delay", "rate_limit", "secondary_limit")
LIMIT = 5000


class Faults:
    """The faults in force. Their counts hold though the request they struck was undone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._seen: dict[int, int] = {}

    def add(self, given: dict[str, Any]) -> Record:
        """Put one in force. Raises 422 for one that is not understood."""
        do = given.get("do")
        if not isinstance(do, dict) or sum(kind in do for kind in KINDS) != 1:
            raise GithubError(422, f"`do` must hold exactly one of {', '.join(KINDS)}")
        match = given.get("match") or {}
        if unknown := set(match) - {"method", "path"}:
            raise GithubError(422, f"`match` does not know {sorted(unknown)[0]}")
        record = {
            "match": match,
            "count": given.get("count"),
            "after": int(given.get("after", 0)),
            "do": do,
            "since": time.time(),
        }
        return self._store.add("fault", "", record)

    def all(self) -> list[Record]:
        """Those in force, with how many requests matched."""
        return [{**f, "seen": self._seen.get(f["id"], 0)} for f in self._store.all("fault")]

    def remove(self, number: int | None = None) -> None:
        """End one, or all. Raises 404."""
        found = [f for f in self._store.all("fault") if number in (None, f["id"])]
        if number is not None and not found:
            raise not_found()
        for fault in found:
            self._store.remove("fault", fault["id"])

    def strike(self, method: str, path: str) -> float:
        """Raise what is set to go wrong with a request; else the seconds it has to wait."""
        delay = 0.0
        for fault in self._store.all("fault"):
            match, do = fault["match"], fault["do"]
            if match.get("method", method) != method or not fnmatchcase(
                path, match.get("path", "*")
            ):
                continue
            with self._lock:
                number = self._seen.get(fault["id"], 0)
                self._seen[fault["id"]] = number + 1
            if number < fault["after"] or (
                fault["count"] is not None and number >= fault["after"] + fault["count"]
            ):
                continue
            delay += float(do.get("delay", 0))
            self._refuse(do, fault["since"])
        return delay

    @staticmethod
    def _refuse(do: dict[str, Any], since: float) -> None:
        if "status" in do:
            raise GithubError(int(do["status"]), str(do.get("message", "a fault was injected")))
        if "rate_limit" in do and time.time() < since + float(do["rate_limit"]):
            headers = {
                "x-ratelimit-limit": str(LIMIT),
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": str(int(since + float(do["rate_limit"])) + 1),
            }
            raise GithubError(403, "API rate limit exceeded for user.", headers=headers)
        if "secondary_limit" in do:
            headers = {"retry-after": str(int(do["secondary_limit"]))}
            raise GithubError(403, "You have exceeded a secondary rate limit.", headers=headers)
