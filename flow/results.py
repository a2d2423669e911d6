"""What an operation on a stack did."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(r"\S+:\S+ \S+ (created|updated|replaced|deleted)\b")


@dataclass(frozen=True)
class Result:
    """What an operation did: counts by kind of step ("create", "same", …)."""

    changes: Mapping[str, int]
    output: str

    @property
    def changed(self) -> int:
        """Steps that were not `same` or a read."""
        return sum(n for kind, n in self.changes.items() if kind not in ("same", "read"))

    @property
    def steps(self) -> list[str]:
        """What was done to which resource: "command:local:Command x-release updated …"."""
        words = (" ".join(line.split()).lstrip("+~- ") for line in self.output.splitlines())
        return [line for line in words if _STEP.match(line)]


def counts(changes: Mapping[Any, int]) -> dict[str, int]:
    """Changes by kind of step, of what the SDK tells."""
    # The SDK's keys are an enumeration's members or their values, by operation.
    return {str(getattr(kind, "value", kind)): count for kind, count in changes.items()}
