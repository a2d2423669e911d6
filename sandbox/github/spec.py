"""GitHub's OpenAPI description: what the answers given here are compared with.

In tests every answer is, and so is each request that was taken: what GitHub would refuse, the
sandbox must not accept. The description names few refusals; each is held to GitHub's usual shape.
"""

import re
from pathlib import Path
from typing import Any

from sandbox.openapi import Description

FILE = Path(__file__).parent / "spec" / "github.json.gz"
# Served, and not described: older forms that clients still use.
UNDESCRIBED = frozenset(
    {
        ("GET", "/repos/{}/{}/contents"),
        ("GET", "/repos/{}/{}/git/refs"),
        ("GET", "/repos/{}/{}/statuses/{}"),
        ("GET", "/repositories/{}"),
    }
)
# Described, and not served: the tests of what asks for them compare their own answers.
ONLY_DESCRIBED = tuple(
    (method, f"/{owner}/packages/{{package_type}}/{{package_name}}/versions{below}")
    for owner in ("orgs/{org}", "users/{username}")
    for method, below in (("GET", ""), ("DELETE", "/{package_version_id}"))
)
_UNDESCRIBED_UNDER = "/repositories/{}/environments/"


def nameless(template: str) -> str:
    """A path's template without the names of its variables: `/repos/{}/{}`."""
    return re.sub(r"\{[^}]*\}", "{}", template)


def _adjust(content: dict[str, Any]) -> None:
    # An answer can be several of the kinds it may be one of.
    def loosen(node: Any) -> None:
        if isinstance(node, list):
            for entry in node:
                loosen(entry)
        elif isinstance(node, dict):
            if "oneOf" in node and "anyOf" not in node:
                node["anyOf"] = node.pop("oneOf")
            for value in node.values():
                loosen(value)

    loosen(content)
    # Here an account would have to be a person and an enterprise at once; elsewhere it need not.
    listed = content["paths"]["/app/installations"]["get"]["responses"]["200"]
    one = {"$ref": "urn:github#/components/schemas/installation"}
    listed["content"]["application/json"]["schema"]["items"] = one
    # A bare list of names is taken, too, and clients send it.
    labels = content["paths"]["/repos/{owner}/{repo}/issues/{issue_number}/labels"]
    for method in ("post", "put"):
        body = labels[method]["requestBody"]["content"]["application/json"]["schema"]
        body["anyOf"].append({"type": "array", "items": {"type": "string"}})


api = Description(FILE, "urn:github", _adjust)


def operation(method: str, template: str) -> dict[str, Any] | None:
    """An operation by its template, whatever its variables are called here."""
    wanted = nameless(template)
    for path, operations in api.content["paths"].items():
        if nameless(path) == wanted:
            found: dict[str, Any] | None = operations.get(method.lower())
            return found
    return None


def is_undescribed(method: str, template: str) -> bool:
    """Whether the description is known to lack an operation."""
    path = nameless(template)
    return (method, path) in UNDESCRIBED or path.startswith(_UNDESCRIBED_UNDER)


def request_errors(method: str, template: str, body: Any) -> list[str]:
    """What GitHub would have against a request's body."""
    described = operation(method, template)
    schema = api.schema(described.get("requestBody", {})) if described else None
    if schema is None:
        return []
    if isinstance(body, list) and template.endswith("/labels"):
        # A bare list is taken for the object, as the description's words say, not its schema.
        body = {"labels": body}
    return [f"request {field}: {message}" for field, message in api.errors(schema, body)]


def answer_errors(method: str, template: str, status: int, body: Any) -> list[str]:
    """How an answer differs from its description; `body` is None for one that is no JSON."""
    described = operation(method, template)
    if described is None:
        known = is_undescribed(method, template)
        return [] if known else ["the description has no such operation"]
    answer = described["responses"].get(str(status))
    if answer is None:
        if status < 400:
            return [f"status {status} is not among {', '.join(described['responses'])}"]
        return _told(api.errors(_ERROR_SCHEMA, body))
    schema = api.schema(answer)
    if schema is None or body is None:
        return []
    return _told(api.errors(schema, body))


_ERROR_SCHEMA = {"type": "object", "required": ["message", "documentation_url", "status"]}


def _told(errors: list[tuple[str, str]]) -> list[str]:
    return [f"{field}: {message[:300]}" for field, message in errors]
