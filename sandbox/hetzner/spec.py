"""The API's OpenAPI description: what a request and an answer must look like.

OpenAPI 3.0's `nullable` is rewritten to plain JSON Schema on loading, so that
one validator library serves both directions.
"""

import gzip
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

DESCRIPTION = Path(__file__).parent / "spec" / "hcloud.json.gz"

# The description says these are strings; clients send numbers too, and the real
# API takes both.
REFERENCES = ("image", "server_type", "location", "datacenter", "ssh_keys")
_REQUEST_PREFIXES = (
    "create_server_",
    "rebuild_server_",
    "change_type_of_server_",
    "create_volume_",
    "create_primary_ip_",
)


# One schema serves requests and answers; in requests its name may be null.
_IN_REQUESTS = {
    "#/components/schemas/dns_ptr": (
        "#/components/schemas/change_reverse_dns_entry_for_this_server_request"
    )
}


def _as_json_schema(node: Any) -> Any:
    """A copy without `nullable`, which JSON Schema says with types."""
    if isinstance(node, list):
        return [_as_json_schema(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    copy = {key: _as_json_schema(value) for key, value in node.items() if key != "example"}
    if copy.pop("nullable", False) is True:
        if isinstance(copy.get("type"), str):
            copy["type"] = [copy["type"], "null"]
            if "enum" in copy:
                copy["enum"] = [*copy["enum"], None]
        else:
            copy = {"anyOf": [copy, {"type": "null"}]}
    return copy


def _relax(schemas: dict[str, Any]) -> None:
    # The only type of assignee there is may be left out.
    schemas["create_primary_ip_request"]["required"].remove("assignee_type")
    either = {"type": ["string", "integer"]}
    for name, schema in schemas.items():
        if name.endswith("_request") and name.startswith(_REQUEST_PREFIXES):
            for field in REFERENCES:
                if field in schema["properties"]:
                    many = field == "ssh_keys"
                    schema["properties"][field] = {"items": either} if many else either


@cache
def load() -> dict[str, Any]:
    """The whole description, rewritten."""
    raw = json.loads(gzip.decompress(DESCRIPTION.read_bytes()))
    whole: dict[str, Any] = {"paths": raw["paths"]}
    whole["components"] = {"schemas": _as_json_schema(raw["components"]["schemas"])}
    _relax(whole["components"]["schemas"])
    return whole


@cache
def _registry() -> Registry[Any]:
    resource: Resource[Any] = DRAFT202012.create_resource(load())
    empty: Registry[Any] = Registry()
    filled: Registry[Any] = empty.with_resource("urn:hcloud", resource)
    return filled


@cache
def _templates() -> list[tuple[re.Pattern[str], str]]:
    # Longer and more literal templates first: /servers/actions before /servers/{id}.
    ordered = sorted(load()["paths"], key=lambda path: [p.startswith("{") for p in path.split("/")])
    return [
        (re.compile(re.sub(r"\\\{[^/]+?\\\}", "[^/]+", re.escape(path))), path) for path in ordered
    ]


@cache
def operation(method: str, path: str) -> dict[str, Any] | None:
    """The description of a request's operation, or None; `path` without /v1."""
    for pattern, template in _templates():
        if pattern.fullmatch(path):
            found: dict[str, Any] | None = load()["paths"][template].get(method.lower())
            return found
    return None


@cache
def _validator(reference: str) -> Draft202012Validator:
    return Draft202012Validator(
        {"$ref": "urn:hcloud" + reference},
        registry=_registry(),
        format_checker=FormatChecker(["date-time"]),
    )


def _reference(content: dict[str, Any]) -> str | None:
    schema = content.get("content", {}).get("application/json", {}).get("schema", {})
    found: str | None = schema.get("$ref")
    return found


def request_errors(method: str, path: str, body: Any) -> list[tuple[str, str]]:
    """What is wrong with a request's body: (field, message), empty when nothing."""
    described = operation(method, path)
    reference = _reference(described.get("requestBody", {})) if described else None
    if reference is None:
        return []
    reference = _IN_REQUESTS.get(reference, reference)
    return [(_field(error), error.message) for error in _errors(reference, body)]


def answer_errors(method: str, path: str, status: int, body: Any) -> list[str]:
    """How an answer differs from its description; empty when it does not."""
    described = operation(method, path)
    if described is None:
        if status == 404:
            described = {
                "responses": {"4xx": load()["paths"]["/servers"]["get"]["responses"]["4xx"]}
            }
        else:
            return ["the description has no such operation"]
    answers = described["responses"]
    answer = answers.get(str(status)) or answers.get(f"{status // 100}xx")
    if answer is None:
        return [f"status {status} is not among {', '.join(answers)}"]
    reference = _reference(answer)
    if reference is None:
        return [] if body is None else ["a body where none is described"]
    return [f"{_field(error)}: {error.message}" for error in _errors(reference, body)]


def _errors(reference: str, body: Any) -> Iterator[ValidationError]:
    errors = _validator(reference).iter_errors(body)
    return iter(sorted(errors, key=lambda error: list(map(str, error.absolute_path))))


def _field(error: ValidationError) -> str:
    path = [str(part) for part in error.absolute_path]
    if error.validator == "required" and isinstance(error.instance, dict):
        # One error a missing field: its message begins with the field's name.
        path.append(error.message.split("'")[1])
    return ".".join(path)
