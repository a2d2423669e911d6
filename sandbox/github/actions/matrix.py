"""The combinations a job's matrix stands for. Pure."""

import itertools
from collections.abc import Mapping
from typing import Any

_MOST = 256

Combination = dict[str, Any]


class MatrixError(ValueError):
    """A matrix that is none."""


def expand(matrix: Any) -> list[Combination]:
    """Every combination, with `exclude` and `include` as GitHub documents them.

    Raises MatrixError, also for none at all: GitHub fails such a job.
    """
    if not isinstance(matrix, Mapping):
        raise MatrixError("a matrix is a mapping of names to lists")
    axes = {name: values for name, values in matrix.items() if name not in ("include", "exclude")}
    for name, values in axes.items():
        if not isinstance(values, list):
            raise MatrixError(f"'{name}' of the matrix is no list")
    product = (dict(zip(axes, each, strict=True)) for each in itertools.product(*axes.values()))
    original = [
        combination
        for combination in product
        if combination and not any(_within(out, combination) for out in _list(matrix, "exclude"))
    ]
    found = [dict(combination) for combination in original]
    for extra in _list(matrix, "include"):
        fits = [
            number
            for number, combination in enumerate(original)
            if all(combination[name] == extra[name] for name in combination.keys() & extra.keys())
        ]
        for number in fits:
            found[number].update(extra)
        if not fits:
            found.append(dict(extra))
    if not found or len(found) > _MOST:
        raise MatrixError(f"a matrix has 1 to {_MOST} combinations, not {len(found)}")
    return found


def title(name: str, combination: Mapping[str, Any]) -> str:
    """The name of one of the jobs: `build (debian, 3)`."""
    told = (
        str(value).lower() if isinstance(value, bool) else str(value)
        for value in combination.values()
        if not isinstance(value, list | Mapping)
    )
    return f"{name} ({', '.join(told)})"


def _list(matrix: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = matrix.get(name) or []
    if not isinstance(entries, list) or not all(isinstance(each, Mapping) for each in entries):
        raise MatrixError(f"'{name}' of the matrix is no list of mappings")
    return entries


def _within(part: Mapping[str, Any], combination: Mapping[str, Any]) -> bool:
    return all(combination.get(name) == value for name, value in part.items())
