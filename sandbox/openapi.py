"""OpenAPI descriptions: what requests and answers of an API must look like.

OpenAPI 3.0's `nullable` is rewritten to plain JSON Schema on loading, so that one validator
library serves both directions, and every `$ref` is made absolute, so that any part of a
description can be checked against by itself.
"""

import gzip
import json
import logging
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

log = logging.getLogger(__name__)


class Description:
    """A description in a gzipped JSON file; nothing is read before it is needed.

    name    what its parts are called among others: `urn:hcloud`
    adjust  changes what the description gets wrong, given its paths and components
    """

    def __init__(
        self, file: Path, name: str, adjust: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        self._file = file
        self._name = name
        self._adjust = adjust
        self._validators: dict[int, Draft202012Validator] = {}

    @cached_property
    def content(self) -> dict[str, Any]:
        """Paths and components, rewritten."""
        raw = json.loads(gzip.decompress(self._file.read_bytes()))
        whole: dict[str, Any] = {
            "paths": _rewritten(raw["paths"], self._name),
            "components": _rewritten(raw["components"], self._name),
        }
        if self._adjust is not None:
            self._adjust(whole)
        return whole

    @cached_property
    def _registry(self) -> Registry[Any]:
        resource: Resource[Any] = DRAFT202012.create_resource(self.content)
        empty: Registry[Any] = Registry()
        filled: Registry[Any] = empty.with_resource(self._name, resource)
        return filled

    @cached_property
    def _templates(self) -> list[tuple[re.Pattern[str], str]]:
        # More literal templates first: /servers/actions before /servers/{id}.
        ordered = sorted(
            self.content["paths"], key=lambda path: [p.startswith("{") for p in path.split("/")]
        )
        return [
            (re.compile(re.sub(r"\\\{[^/]+?\\\}", "[^/]+", re.escape(path))), path)
            for path in ordered
        ]

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """The description of a request's operation, by its path or template; or None."""
        for pattern, template in self._templates:
            if pattern.fullmatch(path):
                found: dict[str, Any] | None = self.content["paths"][template].get(method.lower())
                return found
        return None

    def resolved(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        """A part of the description, or what it refers to."""
        while "$ref" in part:
            found: Any = self.content
            for step in part["$ref"].partition("#/")[2].split("/"):
                found = found[step.replace("~1", "/").replace("~0", "~")]
            part = found
        return part

    def schema(self, part: Mapping[str, Any]) -> dict[str, Any] | None:
        """The schema of a request's or answer's JSON body, or None where none is described."""
        content = self.resolved(part).get("content", {})
        found: dict[str, Any] | None = content.get("application/json", {}).get("schema")
        return found

    def named(self, name: str) -> dict[str, Any]:
        """A reference to one of its schemas."""
        return {"$ref": f"{self._name}#/components/schemas/{name}"}

    def errors(self, schema: dict[str, Any], body: Any) -> list[tuple[str, str]]:
        """What is wrong with a body: (field, message), in the order of fields."""
        # By identity: a schema is a part of the description, which stays.
        key = id(schema)
        if key not in self._validators:
            self._validators[key] = Draft202012Validator(
                schema, registry=self._registry, format_checker=FormatChecker(["date-time"])
            )
        found = sorted(
            self._validators[key].iter_errors(body),
            key=lambda error: list(map(str, error.absolute_path)),
        )
        return [(_field(error), error.message) for error in found]


def _rewritten(node: Any, name: str) -> Any:
    """A copy without `nullable`, which JSON Schema says with types."""
    if isinstance(node, list):
        return [_rewritten(entry, name) for entry in node]
    if not isinstance(node, dict):
        return node
    copy = {key: _rewritten(value, name) for key, value in node.items() if key != "example"}
    if isinstance(copy.get("$ref"), str) and copy["$ref"].startswith("#"):
        copy["$ref"] = name + copy["$ref"]
    if copy.get("nullable") is True:
        del copy["nullable"]
        if isinstance(copy.get("type"), str):
            copy["type"] = [copy["type"], "null"]
            if "enum" in copy:
                copy["enum"] = [*copy["enum"], None]
        else:
            copy = {"anyOf": [copy, {"type": "null"}]}
    elif copy.get("nullable") is False:
        del copy["nullable"]
    return copy


def _field(error: ValidationError) -> str:
    path = [str(part) for part in error.absolute_path]
    if error.validator == "required" and isinstance(error.instance, dict):
        # One error a missing field: its message begins with the field's name.
        path.append(error.message.split("'")[1])
    return ".".join(path)


class Violations:
    """Answers that differed from the description, kept and optionally logged."""

    def __init__(
        self,
        answer_errors: Callable[[str, str, int, Any], list[str]],
        log_file: Path | None = None,
        *,
        with_requests: bool = False,
    ) -> None:
        self._answer_errors = answer_errors
        self._log_file = log_file
        self.with_requests = with_requests
        """Whether requests that were taken are looked at as well: of clients that keep to it."""
        self._lock = Lock()
        self.checked = 0
        self.found: list[str] = []
        self.answered: set[tuple[str, str, int]] = set()
        """Method, path template and status of every kind of answer there was."""

    def check(
        self, method: str, path: str, status: int, body: bytes, template: str | None = None
    ) -> None:
        """Look at one answer; `path` and the endpoint's `template` without the API's prefix."""
        problems = self._answer_errors(method, path, status, json.loads(body) if body else None)
        self.add(method, path, status, problems, template)

    def add(
        self, method: str, path: str, status: int, problems: list[str], template: str | None = None
    ) -> None:
        """Keep what is wrong with one answer."""
        lines = [f"{method} {path} {status}: {problem}" for problem in problems]
        with self._lock:
            self.checked += 1
            if template is not None:
                self.answered.add((method, template, status))
            self.found += lines
            if lines and self._log_file:
                with self._log_file.open("a") as file:
                    file.writelines(line + "\n" for line in lines)
        for line in lines:
            log.warning("an answer differs from the API's description: %s", line)
