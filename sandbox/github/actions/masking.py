"""Secrets out of logs."""

import base64
from collections.abc import Iterable

_SHORTEST = 3  # GitHub masks shorter ones, too, and makes logs of asterisks


class Masker:
    """Replaces secrets by `***`: the whole, each line of it, and its base64."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._values: list[str] = []
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """One more that must not be seen."""
        encoded = base64.b64encode(secret.encode()).decode()
        found = {secret.strip(), encoded, *(line.strip() for line in secret.splitlines())}
        found |= set(self._values)
        # The longest first, or the end of one would stay behind another.
        self._values = sorted(
            (value for value in found if len(value) >= _SHORTEST), key=len, reverse=True
        )

    def __call__(self, text: str) -> str:
        """The text without them."""
        for value in self._values:
            text = text.replace(value, "***")
        return text

    def hides(self, text: str) -> bool:
        """Whether there is a secret in it."""
        return any(value in text for value in self._values)
