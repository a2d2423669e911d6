"""The one error a deploy ends with."""

from __future__ import annotations


class DeployError(Exception):
    """Cause (the message) and what to do next (`remedy`)."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.remedy = remedy
