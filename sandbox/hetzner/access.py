"""Who may call: tokens of projects, and how often."""

import hmac
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.hetzner.errors import ApiError
from sandbox.store import Store

Credentials = Mapping[str, Mapping[str, str]]
"""Project name → {"token": …, "read_only_token": …}."""


@dataclass(frozen=True)
class Caller:
    """The project a token belongs to, and whether it may change anything."""

    project: str
    read_only: bool


class Tokens:
    """Finds the caller of a request: configured projects, and those made later."""

    def __init__(self, credentials: Credentials, store: Store) -> None:
        self._credentials = credentials
        self._store = store

    def projects(self) -> dict[str, dict[str, str]]:
        """Every project with its tokens."""
        made = {record["id"]: record["tokens"] for record in self._store.all("project")}
        return {**made, **{name: dict(tokens) for name, tokens in self._credentials.items()}}

    def caller(self, header: str | None) -> Caller:
        """Who sends this Authorization header; raises `unauthorized`."""
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() == "bearer" and token:
            for project, tokens in self.projects().items():
                for name in ("token", "read_only_token"):
                    known = tokens.get(name) or ""
                    if known and hmac.compare_digest(known.encode(), token.encode()):
                        return Caller(project, name == "read_only_token")
        raise ApiError("unauthorized", "unable to authenticate")

    @staticmethod
    def check(caller: Caller, method: str) -> None:
        """Raise `token_readonly` when a read-only token is to change something."""
        if caller.read_only and method not in ("GET", "HEAD"):
            raise ApiError("token_readonly", "the token is only allowed to perform GET requests")


class RateLimits:
    """A bucket of requests for each project that fills up at a steady rate."""

    def __init__(self, limit: int = 3600, per_second: float = 1.0) -> None:
        self.limit = limit
        self.per_second = per_second
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, project: str) -> tuple[bool, dict[str, str]]:
        """Spend a request: whether there was one, and the headers that tell."""
        now = time.time()
        with self._lock:
            left, since = self._buckets.get(project, (float(self.limit), now))
            left = min(self.limit, left + (now - since) * self.per_second)
            allowed = left >= 1
            left -= allowed
            self._buckets[project] = (left, now)
        return allowed, self.headers(left, now + (self.limit - left) / self.per_second)

    def headers(self, left: float, reset: float) -> dict[str, str]:
        """`RateLimit-*`: the most, what is left, and when all of it is back."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(int(left)),
            "RateLimit-Reset": str(int(reset) + 1),
        }
