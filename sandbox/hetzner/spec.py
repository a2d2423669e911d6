"""The API's OpenAPI description: what a request and an answer must look like."""

from pathlib import Path
from typing import Any

from sandbox.openapi import Description

DESCRIPTION = Path(__file__).parent / "spec" / "hcloud.json.gz"

# The description says these are strings; clients send numbers too, and the real
# API takes both.
REFERENCES = ("image", "server_type", "location", "ssh_keys")
_REQUEST_PREFIXES = (
    "create_server_",
    "rebuild_server_",
    "change_type_of_server_",
    "create_volume_",
    "create_primary_ip_",
)


def _relax(content: dict[str, Any]) -> None:
    schemas = content["components"]["schemas"]
    # The only type of assignee there is may be left out.
    schemas["create_primary_ip_request"]["required"].remove("assignee_type")
    # Servers and primary IPs lost it in July 2026, as the description announces.
    primary_ips = "list_primary_ips_response"
    showing = [schemas["server"], schemas[primary_ips]["properties"]["primary_ips"]["items"]] + [
        schemas[f"{verb}_primary_ip_response"]["properties"]["primary_ip"]
        for verb in ("create", "get", "replace")
    ]
    for shown in showing:
        shown["required"].remove("datacenter")
    either = {"type": ["string", "integer"]}
    for name, schema in schemas.items():
        if name.endswith("_request") and name.startswith(_REQUEST_PREFIXES):
            for field in REFERENCES:
                if field in schema["properties"]:
                    many = field == "ssh_keys"
                    schema["properties"][field] = {"items": either} if many else either


_api = Description(DESCRIPTION, "urn:hcloud", _relax)
# One schema serves requests and answers; in requests its name may be null.
_IN_REQUESTS = {
    "urn:hcloud#/components/schemas/dns_ptr": _api.named(
        "change_reverse_dns_entry_for_this_server_request"
    )
}


def operation(method: str, path: str) -> dict[str, Any] | None:
    """The description of a request's operation, or None; `path` without /v1."""
    return _api.operation(method, path)


def request_errors(method: str, path: str, body: Any) -> list[tuple[str, str]]:
    """What is wrong with a request's body: (field, message), empty when nothing."""
    described = operation(method, path)
    schema = _api.schema(described.get("requestBody", {})) if described else None
    if schema is None:
        return []
    return _api.errors(_IN_REQUESTS.get(schema.get("$ref", ""), schema), body)


def answer_errors(method: str, path: str, status: int, body: Any) -> list[str]:
    """How an answer differs from its description; empty when it does not."""
    described = operation(method, path)
    if described is None:
        if status == 404:
            described = {
                "responses": {"4xx": _api.content["paths"]["/servers"]["get"]["responses"]["4xx"]}
            }
        else:
            return ["the description has no such operation"]
    answers = described["responses"]
    answer = answers.get(str(status)) or answers.get(f"{status // 100}xx")
    if answer is None:
        return [f"status {status} is not among {', '.join(answers)}"]
    schema = _api.schema(answer)
    if schema is None:
        return [] if body is None else ["a body where none is described"]
    return [f"{field}: {message}" for field, message in _api.errors(schema, body)]
