"""Makes a running sandbox fail, from a test or a shell. What can be asked: `hetzner/faults.py`.

faults = Faults("http://127.0.0.1:7080")
with faults.during({"status": 503}, method="POST", path="/servers", count=1):
    …
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx


class Faults:
    """The `/_sandbox/faults` path of a sandbox; `address` is without `/v1`."""

    def __init__(self, address: str = "http://127.0.0.1:7080") -> None:
        self._client = httpx.Client(base_url=address.rstrip("/").removesuffix("/v1"), timeout=60)

    def add(
        self,
        do: dict[str, Any],
        *,
        count: int | None = None,
        after: int = 0,
        **match: str,
    ) -> int:
        """Put a fault in force and return its number; `match`: method, path, project."""
        fault = {"do": do, "count": count, "after": after, "match": match}
        return int(self._ask("POST", "", fault)["fault"]["id"])

    def all(self) -> list[dict[str, Any]]:
        """Those in force, with their `hits`."""
        faults: list[dict[str, Any]] = self._ask("GET", "")["faults"]
        return faults

    def remove(self, number: int) -> None:
        """End one; what it did to servers is undone."""
        self._ask("DELETE", f"/{number}")

    def clear(self) -> None:
        """End all."""
        self._ask("DELETE", "")

    @contextmanager
    def during(
        self, do: dict[str, Any], *, count: int | None = None, after: int = 0, **match: str
    ) -> Iterator[int]:
        """A fault for as long as the block runs."""
        number = self.add(do, count=count, after=after, **match)
        try:
            yield number
        finally:
            self.remove(number)

    def close(self) -> None:
        """Close connections; the faults stay in force."""
        self._client.close()

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = self._client.request(method, f"/_sandbox/faults{path}", json=body)
        if answer.is_error:
            raise ValueError(answer.json()["error"])
        result: dict[str, Any] = answer.json()
        return result
