"""Find where the program makes resources, by reading its source."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

MODULES = ("pulumi_hcloud", "pulumi_github", "pulumi_command.local")


@dataclass(frozen=True)
class Call:
    """One call of a class of a provider's SDK: `nested` has the keys of literal objects."""

    where: str
    module: str
    name: str
    keywords: frozenset[str]
    nested: dict[str, frozenset[str]]

    def __str__(self) -> str:
        return f"{self.name}@{self.where}"


def calls(path: Path) -> list[Call]:
    """Return the calls in a file, or in all files below a folder, in source order."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [call for file in files for call in _calls_in(file)]


def _calls_in(file: Path) -> list[Call]:
    tree = ast.parse(file.read_text())
    names = _imported(tree)
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        full = _resolve(ast.unparse(node.func), names)
        module, _, name = full.rpartition(".")
        if module not in MODULES or not name[:1].isupper():
            continue
        keywords = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        keywords.pop("opts", None)
        nested = {key: _literal_keys(value) for key, value in keywords.items()}
        found.append(
            Call(
                where=f"{file.name}:{node.lineno}",
                module=module,
                name=name,
                keywords=frozenset(keywords),
                # Maps of the user's own keys are no objects of the provider.
                nested={
                    k: v for k, v in nested.items() if v and k not in ("labels", "environment")
                },
            )
        )
    return found


def _imported(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {
                alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names
            }
    return names


def _resolve(expression: str, names: dict[str, str]) -> str:
    """Write out an expression such as `hcloud.Server` with the module's own name."""
    first, dot, rest = expression.partition(".")
    return names.get(first, first) + dot + rest


def _literal_keys(value: ast.expr) -> frozenset[str]:
    objects = value.elts if isinstance(value, ast.List) else [value]
    return frozenset(
        str(key.value)
        for item in objects
        if isinstance(item, ast.Dict)
        for key in item.keys
        if isinstance(key, ast.Constant)
    )
