"""The one exception a command raises for a person to read."""

from __future__ import annotations


class FlowError(Exception):
    """Something a person can put right: what is wrong, and what to do next.

    `app.main` alone prints it and turns it into `code`, the exit status.
    """

    def __init__(self, problem: str, remedy: str = "", *, code: int = 1) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.code = code
