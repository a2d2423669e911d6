"""Errors as the API words them: `{"error": {"code", "message", "details"}}`."""

from typing import Any

STATUS = {
    "json_error": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "token_readonly": 403,  # a status  # nosec
    "resource_limit_exceeded": 403,
    "not_found": 404,
    "firewall_resource_not_found": 404,
    "uniqueness_error": 409,
    "deprecated_api_endpoint": 410,
    "conflict": 409,
    "resource_unavailable": 412,
    "placement_error": 412,
    "locked": 423,
    "protected": 423,
    "rate_limit_exceeded": 429,
    "server_error": 500,
    "service_error": 500,
    "bad_gateway": 502,
    "maintenance": 503,
    "unavailable": 503,
    "timeout": 504,
}


class ApiError(Exception):
    """An answer other than success; 422 for every code not in `STATUS`."""

    def __init__(
        self, code: str, message: str, details: dict[str, Any] | None = None, status: int = 0
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.status = status or STATUS.get(code, 422)

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        error["details"] = {} if self.details is None else self.details
        return {"error": error}


def invalid(**fields: str) -> ApiError:
    """`invalid_input` naming each field (double underscores stand for dots)."""
    named = {name.replace("__", "."): text for name, text in fields.items()}
    return ApiError(
        "invalid_input",
        "invalid input in " + ", ".join(f"field '{name}'" for name in named),
        {"fields": [{"name": name, "messages": [text]} for name, text in named.items()]},
    )


def not_found(kind: str, reference: object) -> ApiError:
    """A thing that is not there, or is another project's."""
    return ApiError("not_found", f"{kind} with ID '{reference}' not found")
