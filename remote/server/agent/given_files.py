"""What a container is given as files, so that a change of it is a change of the container.

Compose copies configs and secrets into a container when it makes it, and looks at their names
alone when it asks itself whether one has to be made anew. Pure.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

LABEL = "deployment-flow.files"
_NAMED = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")


def marked(
    compose: Mapping[str, Any], environment: Mapping[str, str], keyed: Callable[[str], str]
) -> dict[str, Any]:
    """A Compose file in which each service that is given files has a label that tells of them.

    environment  the variables Compose gets, secrets among them
    keyed        a hash that says nothing about what is hashed: everybody there reads labels
    """
    made = copy.deepcopy(dict(compose))
    for service in made["services"].values():
        if found := _given(service, compose, environment):
            labels = service.get("labels") or {}
            if isinstance(labels, list):
                labels = dict(str(entry).partition("=")[::2] for entry in labels)
            text = json.dumps(found, sort_keys=True)
            service["labels"] = {**labels, LABEL: keyed(text)[:12]}
    return made


def _given(
    service: Mapping[str, Any], compose: Mapping[str, Any], environment: Mapping[str, str]
) -> list[Any]:
    found: list[Any] = []
    for kind in ("configs", "secrets"):
        for entry in service.get(kind) or []:
            source = entry.get("source") if isinstance(entry, dict) else entry
            part = (compose.get(kind) or {}).get(source) or {}
            names = {str(part.get("environment")), *_NAMED.findall(str(part.get("content")))}
            values = {name: environment[name] for name in names if name in environment}
            found.append([kind, source, part, values])
    return found
