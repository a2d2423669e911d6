"""How much data there is, as the application counts it: numbers that make a backup comparable.

A service says so in its label `deployment-flow.rows`: a shell command that prints a line
`NAME NUMBER` for each table, or whatever else it counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .compose import Compose
from .dump import labelled
from .errors import DeployError
from .lines import Blot
from .releases import Release

LABEL = "deployment-flow.rows"
SECONDS = 300
MOST = 200
"""Lines that are taken; what comes after them is not counted."""
_LINE = re.compile(r"([A-Za-z0-9_.:-]{1,80})\s+(\d{1,18})")


def count(compose: Compose, release: Release, blot: Blot) -> dict[str, dict[str, int]]:
    """Service → name → number, of every running service that says how. Raises DeployError."""
    found = {}
    for service, (container, command) in sorted(labelled(compose, release, LABEL).items()):
        ended = compose.docker("exec", container, "sh", "-c", command, seconds=SECONDS)
        if not ended.ok:
            raise DeployError(
                f"service {service} could not count its data: {blot(ended.last())}",
                f"correct its label {LABEL} (docs/compose.md)",
            )
        found[service] = parse(ended.lines)
    return found


def parse(lines: Iterable[str]) -> dict[str, int]:
    """Name → number of the lines that are both; others are not the command's answer."""
    read = [match for line in lines if (match := _LINE.fullmatch(line.strip()))]
    return {match[1]: int(match[2]) for match in read[:MOST]}
