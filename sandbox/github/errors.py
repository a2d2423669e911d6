"""Refusals in GitHub's own words."""

from collections.abc import Mapping, Sequence
from typing import Any

DOCUMENTATION = "https://docs.github.com/rest"


class GithubError(Exception):
    """An answer that is no success: status, message, and for a 422 the fields it is about."""

    def __init__(
        self,
        status: int,
        message: str,
        errors: Sequence[Mapping[str, Any] | str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = list(errors)
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        told: dict[str, Any] = {"message": self.message}
        if self.errors:
            told["errors"] = self.errors
        return {**told, "documentation_url": DOCUMENTATION, "status": str(self.status)}


def not_found() -> GithubError:
    """What does not exist, or what the caller may not know of."""
    return GithubError(404, "Not Found")


def invalid(resource: str, field: str, code: str = "invalid", message: str = "") -> GithubError:
    """A 422 about one field; `code`: missing, missing_field, invalid, already_exists, custom."""
    told = {"resource": resource, "field": field, "code": code}
    if message:
        told["message"] = message
    return GithubError(422, "Validation Failed", [told])


def refused(message: str) -> GithubError:
    """A 422 that is about no single field."""
    return GithubError(422, message)
