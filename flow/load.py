"""A constant load of requests on one page, and what became of each."""

from __future__ import annotations

import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import httpx

CLIENTS = 4
PAUSE_SECONDS = 0.02
ANSWER_SECONDS = 60.0

Ask = Callable[[httpx.Client], httpx.Response]


class Load:
    """Asks from several clients at once for as long as its block lasts.

    Each keeps its connection from one request to the next, as a browser does. A request is lost
    where no answer comes, or one of 500 and above.
    """

    def __init__(self, client: Callable[[], httpx.Client], ask: Ask) -> None:
        self._client = client
        self._ask = ask
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]
        self._lock = threading.Lock()
        self.answers: Counter[str] = Counter()
        """How often each text was answered; the last hundred characters of it."""
        self.lost: list[str] = []
        """Why, for each request that was lost."""
        self.slowest = 0.0
        """Seconds. Each client's first request is not in it: it connects, and where there is a
        password, Caddy hashes it once, which takes seconds when several come at once."""

    @property
    def sent(self) -> int:
        """Requests that have ended, one way or the other."""
        return self.answers.total() + len(self.lost)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(ANSWER_SECONDS + 5)

    def _run(self) -> None:
        with self._client() as client:
            first = True
            while not self._over.is_set():
                started = time.monotonic()
                try:
                    answer = self._ask(client)
                    text = answer.text[-100:]
                    lost = f"{answer.status_code}: {text}" if answer.status_code >= 500 else ""
                except httpx.HTTPError as problem:
                    text, lost = "", f"{type(problem).__name__}: {problem}"
                with self._lock:
                    if not first:
                        self.slowest = max(self.slowest, time.monotonic() - started)
                    if lost:
                        self.lost.append(lost)
                    else:
                        self.answers[text] += 1
                first = False
                self._over.wait(PAUSE_SECONDS)


def on(url: str, trust: Path, password: str = "") -> Load:  # nosec B107
    """A load on a deployed stage's page, whose certificate is verified against `trust` alone."""
    context = ssl.create_default_context(cafile=str(trust))
    auth = httpx.BasicAuth("demo", password) if password else None
    return Load(
        lambda: httpx.Client(verify=context, timeout=ANSWER_SECONDS, trust_env=False, auth=auth),
        lambda client: client.get(url),
    )
