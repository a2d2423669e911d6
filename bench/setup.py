"""`make bench-setup`: how long set-up takes from nothing, and what official releases spare.

It clones the checkout, gives the clone caches of its own, all empty, and times each part. What an
official release replaces is built last, so that nothing before it finds its modules compiled.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.run import conclude, limits_table
from flow import terminal
from toolchain import build

ROOT = Path(__file__).resolve().parents[1]
RELEASED = (build.ENGINE, build.LANGUAGE_HOST, *build.PLUGINS.values())
"""What comes as an official release where one can be downloaded."""
PACKAGES = "Python packages"
REST = "put into the checkout"
LIMITS = {"from package registries only": 25 * 60, "where releases are downloaded": 5 * 60}
"""In seconds."""
_BUILD = """
import sys
from toolchain import build
with build.locked(print):
    build.build([each for each in build.TARGETS if each.name == sys.argv[1]], print)
"""


def rows(parts: Mapping[str, float]) -> dict[str, dict[str, Any]]:
    """Both ways to set up, as `limits.rows`; the second has its downloads still before it. Pure."""
    spared = sum(parts[target.name] for target in RELEASED)
    everything = sum(parts.values())
    seconds = dict(zip(LIMITS, (everything, everything - spared), strict=True))
    return {
        name: {"seconds": seconds[name], "limit": limit, "kept": seconds[name] < limit}
        for name, limit in LIMITS.items()
    }


def measure(folder: Path) -> dict[str, float]:
    """Seconds of every part of a set-up in an empty folder. Raises CalledProcessError."""
    checkout = folder / "checkout"
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(folder / "cache"),
        "GOCACHE": str(folder / "go-build"),
        "GOMODCACHE": str(folder / "go-mod"),
        # Else they are read-only, and could not be removed with the folder.
        "GOFLAGS": "-modcacherw",
        "PIP_CACHE_DIR": str(folder / "pip"),
        # Somebody's Pulumi would be used instead of the one that is to be built.
        "PATH": os.pathsep.join(
            each
            for each in os.environ.get("PATH", os.defpath).split(os.pathsep)
            if not (Path(each) / "pulumi").exists()
        ),
    }

    def timed(*command: str, where: Path = checkout) -> float:
        terminal.say(f"{command[0]} … {command[-1]}")
        started = time.monotonic()
        subprocess.run(
            command, cwd=where, env=environment, check=True, stdout=sys.stderr, timeout=1800
        )
        return time.monotonic() - started

    timed("git", "clone", "--quiet", str(ROOT), str(checkout), where=folder)
    parts = {PACKAGES: timed("make", ".venv/.installed")}
    for target in (*build.SANDBOX, *RELEASED):
        parts[target.name] = timed(".venv/bin/python", "-c", _BUILD, target.name)
    parts[REST] = timed("make", "setup")
    return parts


def table(parts: Mapping[str, float]) -> Table:
    """The parts for people."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("")
    shown.add_column("seconds", justify="right")
    shown.add_column("where a release can be downloaded")
    released = {target.name for target in RELEASED}
    for name, seconds in parts.items():
        shown.add_row(name, f"{seconds:.0f}", "spared" if name in released else "")
    return shown


def main() -> None:
    """Measure, print the tables, write the JSON; exit with 1 where a limit was missed."""
    with tempfile.TemporaryDirectory(prefix="set-up-") as folder:
        parts = measure(Path(folder))
    judged = rows(parts)
    report = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cores": os.cpu_count(),
        "parts": {name: round(seconds, 1) for name, seconds in parts.items()},
        "limits": judged,
        "pushes": {},
    }
    terminal.data.print(table(parts))
    terminal.data.print(limits_table(judged))
    conclude(report, ROOT / "bench/results")


if __name__ == "__main__":
    main()
