"""Renews spec/github.json.gz: GitHub's OpenAPI description, less what nobody here asks for.

npm pack @octokit/openapi@23.0.2 && tar xzf octokit-openapi-23.0.2.tgz
python -m sandbox.github.describe package/generated/api.github.com.json
"""

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.github import spec
from sandbox.github.routing import collect

# Of an operation: what requests and answers look like.
_KEPT = ("requestBody", "responses")
_PROSE = ("description", "summary", "example", "examples", "externalDocs", "title")


def described(raw: dict[str, Any]) -> dict[str, Any]:
    """The operations served here, those of `spec.ONLY_DESCRIBED`, and the schemas they reach."""
    known = {spec.nameless(path): path for path in raw["paths"]}
    paths: dict[str, Any] = {}
    served = [(endpoint.method, endpoint.template) for endpoint in collect()]
    for method, template in (*served, *spec.ONLY_DESCRIBED):
        path = known.get(spec.nameless(template), "")
        operation = raw["paths"].get(path, {}).get(method.lower())
        if operation is not None:
            kept = {key: _plain(operation[key]) for key in _KEPT if key in operation}
            paths.setdefault(path, {})[method.lower()] = kept
    components: dict[str, Any] = {"schemas": {}, "responses": {}}
    wanted = list(_references(paths))
    while wanted:
        kind, name = wanted.pop().removeprefix("#/components/").split("/")
        if kind in components and name not in components[kind]:
            part = _plain(raw["components"][kind][name])
            components[kind][name] = part
            wanted += _references(part)
    return {"paths": paths, "components": components}


def _plain(node: Any, *, named: bool = False) -> Any:
    """A copy without prose; `named`: the keys are names of properties, and no keywords."""
    if isinstance(node, list):
        return [_plain(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _plain(value, named=not named and key == "properties")
        for key, value in node.items()
        if named or (key not in _PROSE and not key.startswith("x-"))
    }


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for entry in node:
            yield from _references(entry)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)


def main() -> None:
    """Write the file."""
    raw = json.loads(Path(sys.argv[1]).read_text())
    text = json.dumps(described(raw), sort_keys=True, separators=(",", ":")).encode()
    spec.FILE.write_bytes(gzip.compress(text, 9, mtime=0))


if __name__ == "__main__":
    main()
