"""YAML as GitHub reads it: version 1.2, in which `on` and `yes` are words, and where each value is.

PyYAML follows version 1.1, where the key `on` of every workflow file would be `True`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Place = tuple[str | int, ...]

_DEEPEST = 50  # of what a person writes; anchors that contain themselves never end


class YamlError(ValueError):
    """A file that is no YAML, or has a key twice; the message says where."""


@dataclass(frozen=True)
class Document:
    """A file's value, and the line and column (from 1) of every part of it."""

    value: Any
    places: Mapping[Place, tuple[int, int]]

    def where(self, place: Place) -> tuple[int, int]:
        """Line and column of a part, or of the nearest part around it."""
        while place and place not in self.places:
            place = place[:-1]
        return self.places.get(place, (1, 1))


class _Loader(yaml.SafeLoader):
    """Knows the core schema's booleans, numbers and nothing, and no dates."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way


_FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
_NUMBERLESS = r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"

for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    ("float", rf"^(?:{_FLOAT}|{_NUMBERLESS})$", list("-+0123456789.")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def read(text: str) -> Document:
    """The only document of a text. Raises YamlError."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        places: dict[Place, tuple[int, int]] = {}
        value = None if node is None else _value(node, (), places)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"(Line: {mark.line + 1}, Col: {mark.column + 1}): " if mark else ""
        raise YamlError(f"{at}{error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise YamlError(str(error)) from None
    finally:
        loader.dispose()
    return Document(value, places)


def _value(node: Node, place: Place, places: dict[Place, tuple[int, int]]) -> Any:
    places[place] = (node.start_mark.line + 1, node.start_mark.column + 1)
    if len(place) > _DEEPEST:
        raise YamlError(f"(Line: {places[place][0]}): this is nested too deeply")
    if isinstance(node, MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            at = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if key in found:
                raise YamlError(f"(Line: {at[0]}, Col: {at[1]}): '{key}' is already defined")
            found[key] = _value(value_node, (*place, key), places)
            places[(*place, key)] = at
        return found
    if isinstance(node, SequenceNode):
        return [_value(each, (*place, number), places) for number, each in enumerate(node.value)]
    assert isinstance(node, ScalarNode)  # noqa: S101 - a node is one of the three  # nosec B101
    return _scalar(node)


def _scalar(node: ScalarNode) -> Any:
    kind = node.tag.rpartition(":")[2]
    text = str(node.value)
    if kind == "bool":
        return text.lower() == "true"
    if kind == "null":
        return None
    if kind == "int":
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if kind == "float":
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
