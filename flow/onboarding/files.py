"""A team's values in Pulumi.yaml and the stages' files, by lines: comments stay. Pure."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True)
class Change:
    """One value that is not as wanted; `before` is None where it is not set."""

    file: str
    key: str
    before: Any
    after: str

    @property
    def overwrites(self) -> bool:
        """Whether it is a value of somebody's own that goes."""
        return bool(self.before) and not is_placeholder(str(self.before))

    def __str__(self) -> str:
        was = f" (is {self.before})" if self.before else ""
        return f"{self.file}: {self.key} = {self.after or 'none'}{was}"


def is_placeholder(value: str) -> bool:
    """Whether it is what the template says, and nobody's own."""
    return value.endswith("example.org") or "ghcr.io/example-org/" in value


def stage(name: str, text: str, space: str, wanted: Mapping[str, str]) -> tuple[str, list[Change]]:
    """A stage's file with `wanted` in its config, and what is different from `text`.

    An empty value takes out what is set.
    """
    content = yaml.safe_load(text) or {}
    config = content.get("config") or {}
    changes: list[Change] = []
    for key, value in wanted.items():
        full = next((each for each in (f"{space}:{key}", key) if each in config), f"{space}:{key}")
        before = config.get(full)
        if (before or "") == value:
            continue
        changes.append(Change(name, key, before, value))
        expected = copy.deepcopy(yaml.safe_load(text) or {})
        expected["config"] = dict(expected.get("config") or {})
        if value:
            expected["config"][full] = value
        else:
            expected["config"].pop(full, None)
        text = _checked(_line(text, full, value), expected)
    return text, changes


def project(text: str, space: str, wanted: Mapping[str, str]) -> tuple[str, list[Change]]:
    """Pulumi.yaml with `wanted` as defaults, which hold for demos, too; and what is different."""
    changes: list[Change] = []
    for key, value in wanted.items():
        declared = (yaml.safe_load(text) or {}).get("config") or {}
        full = next((each for each in (key, f"{space}:{key}") if each in declared), key)
        schema = declared.get(full)
        before = schema.get("default") if isinstance(schema, dict) else schema
        if (before or "") == value:
            continue
        changes.append(Change("Pulumi.yaml", key, before, value))
        expected = yaml.safe_load(text) or {}
        kept = schema if isinstance(schema, dict) else {"type": "string"}
        expected.setdefault("config", {})[full] = {**kept, "default": value}
        block = re.compile(
            rf"(^  {re.escape(full)}:\n(?:    .*\n)*?    default:)[^\n]*(?:\n      [^\n]*)*", re.M
        )
        text = _checked(block.sub(lambda m: f"{m[1]} {_scalar(value)}", text, count=1), expected)  # noqa: B023 (called at once)
    return text, changes


def _line(text: str, key: str, value: str) -> str:
    """The text with one line of `config:` replaced, added or taken out."""
    had = re.compile(rf"^  {re.escape(key)}:[^\n]*\n", re.M)
    line = f"  {key}: {_scalar(value)}\n" if value else ""
    if had.search(text):
        return had.sub(lambda _: line, text, count=1)
    if re.search(r"^config:[ \t]*$", text, re.M):
        return re.sub(r"^config:[ \t]*\n", lambda m: m[0] + line, text, count=1, flags=re.M)
    return text


def _checked(text: str, expected: Any) -> str:
    """The edited text where it says what is expected; else the same without its comments."""
    try:
        if yaml.safe_load(text) == expected:
            return text
    except yaml.YAMLError:
        pass
    return str(yaml.safe_dump(expected, sort_keys=False))


def _scalar(value: str) -> str:
    return str(yaml.safe_dump([value], default_flow_style=True, width=10_000)).strip()[1:-1]
