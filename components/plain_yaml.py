"""YAML as Docker Compose reads it (YAML 1.2), where PyYAML reads 1.1.

In 1.1 `33:33` is the number 2013, `on` is true and an unquoted date is a date: the server
would get other values than `docker compose up` gives on a developer's machine.
"""

import re
from typing import Any, Final

import yaml

_TAG: Final = "tag:yaml.org,2002:"
_RULES: Final = {
    "bool": ("true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": ("[-+]?(?:0[0-7]*|[1-9][0-9]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
}


class PlainLoader(yaml.SafeLoader):
    """Safe, with the words and numbers of YAML 1.2 only."""


_ELSEWHERE: Final = {_TAG + kind for kind in (*_RULES, "timestamp")}
PlainLoader.yaml_implicit_resolvers = {
    first: [rule for rule in rules if rule[0] not in _ELSEWHERE]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, (_pattern, _first) in _RULES.items():
    PlainLoader.add_implicit_resolver(_TAG + _kind, re.compile(f"^(?:{_pattern})$"), list(_first))


def load(text: str) -> Any:
    """What a YAML text holds. Raises yaml.YAMLError."""
    return yaml.load(text, PlainLoader)  # noqa: S506 (a SafeLoader)  # nosec B506


class PlainDumper(yaml.SafeDumper):
    """Writes what PlainLoader reads as the same values."""

    def ignore_aliases(self, _data: Any) -> bool:
        """Nothing is written as an alias: each part is read where it stands."""
        return True


PlainDumper.yaml_implicit_resolvers = PlainLoader.yaml_implicit_resolvers


def dump(value: Any) -> str:
    """A value as YAML text. Raises yaml.YAMLError for what YAML has no plain word for."""
    # In ASCII: PyYAML writes U+0085 as it is, and reads it as the end of a line.
    text: str = yaml.dump(value, Dumper=PlainDumper, allow_unicode=False, sort_keys=False)
    return text
