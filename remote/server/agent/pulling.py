"""Images come side by side: a first deploy waits for the slowest of them, not for their sum."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event

from .compose import Compose
from .errors import DeployError

AT_ONCE = 4
SECONDS = 900
"""What a try has for an image; as many times that as are pulled at once, which share the line."""
TRIES = 3
_FOR_GOOD = ("denied", "unauthorized", "not found", "unknown")
"""Words of a registry that says the same however often it is asked."""

Say = Callable[[str], None]


class Pulls:
    """The images of one release."""

    def __init__(
        self,
        compose: Compose,
        say: Say,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self._compose = compose
        self._say = say
        self._sleep = sleep
        self._clock = clock
        self._given_up = Event()

    def pull(self, references: Collection[str]) -> None:
        """Pull those that are not here. Raises DeployError, of the first that fails.

        What is pulled beside that one is ended before the error is raised.
        """
        wanted = sorted(set(references))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                here = list(pool.map(self._is_here, wanted))
                missing = [each for each, is_here in zip(wanted, here, strict=True) if not is_here]
                self._pull_all(missing, pool)
            finally:
                # Also of an interrupt: leaving the pool waits for what is at work in it.
                self._given_up.set()

    def _pull_all(self, missing: list[str], pool: ThreadPoolExecutor) -> None:
        left = deque(missing)
        seconds = SECONDS * min(len(missing), AT_ONCE)
        # However many there are: an error that is told in time is better than a unit that is ended.
        until = self._clock() + SECONDS * TRIES
        running: dict[Future[None], str] = {}
        done = 0
        # What is said is said here: a log is written by one thread at a time.
        while left or running:
            while left and len(running) < AT_ONCE:
                reference = left.popleft()
                self._say(f"pulling {_name(reference)}")
                running[pool.submit(self._pull_one, reference, seconds, until)] = reference
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for each in [future for future in running if future in ended]:
                reference = running.pop(each)
                each.result()
                done += 1
                self._say(f"pulled {_name(reference)} ({done} of {len(missing)})")

    def _is_here(self, reference: str) -> bool:
        return self._compose.docker("image", "inspect", "--format", "{{.Id}}", reference).ok

    def _pull_one(self, reference: str, seconds: float, until: float) -> None:
        why = "there was no time left for it"
        for attempt in range(TRIES):
            if attempt:
                self._pause(5 * attempt)
            left = min(seconds, until - self._clock())
            if left <= 0 or self._given_up.is_set():
                break
            ended = self._compose.docker(
                "pull", "--quiet", reference, seconds=left, cancelled=self._given_up
            )
            if ended.ok:
                return
            why = ended.last() if ended.status is not None else f"not done in {round(left)} s"
            if any(word in why.lower() for word in _FOR_GOOD):
                break
        raise DeployError(
            f"the image {reference} could not be pulled: {why[:400]}; "
            "what ran before was not touched",
            "check registryUsername and registryPassword in the settings, and that it exists",
        )

    def _pause(self, seconds: int) -> None:
        """In pieces, as another image's failure ends it."""
        for _ in range(seconds):
            if not self._given_up.is_set():
                self._sleep(1)


def _name(reference: str) -> str:
    return reference.split("@")[0]
