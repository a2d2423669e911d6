"""Ask for known vulnerabilities of every Python package this project pins.

    python3 -m toolchain.audit                    # what `make audit` runs
    python3 -m toolchain.audit --where-reachable  # what `make lint` runs

Exit status: 0 there are none; 1 there are, each is named; 2 it could not be asked about all of
them. With --where-reachable the last is said, and is no failure: a machine that reaches package
registries only can ask no vulnerability service. pip-audit's own variables choose which service
that is (PIP_AUDIT_VULNERABILITY_SERVICE, PIP_AUDIT_OSV_URL).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PINS = Path(__file__).resolve().parent.parent / "constraints.txt"
SECONDS = 180
FOUND = 1
NOT_ASKED = 2


@dataclass(frozen=True)
class Answer:
    """What the service said.

    found    one line a vulnerability: package, version, its names, the versions that mend it
    unasked  packages about which it knew nothing
    why      what kept the service from answering at all; empty where it did
    """

    found: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()
    why: str = ""

    @property
    def status(self) -> int:
        """The exit status of the command."""
        if self.found:
            return FOUND
        return NOT_ASKED if self.unasked or self.why else 0


def ask(pins: Path) -> Answer:
    """Ask about a file of pins: `name==version` lines, whole, so that nothing is resolved."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(pins)]
    command += ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Answer(why=f"no answer within {SECONDS} s")
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        said = done.stderr.strip().splitlines() or [f"pip-audit ended with {done.returncode}"]
        return Answer(why=said[-1][:300])
    return Answer(
        tuple(_line(each, every) for each in dependencies for every in each.get("vulns", ())),
        tuple(each["name"] for each in dependencies if "skip_reason" in each),
    )


def _line(package: dict[str, Any], vulnerability: dict[str, Any]) -> str:
    names = " ".join([vulnerability["id"], *vulnerability.get("aliases", ())])
    mended = ", ".join(vulnerability.get("fix_versions", ())) or "no version yet"
    return f"{package['name']} {package['version']}: {names}; mended in {mended}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m toolchain.audit", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--where-reachable", action="store_true", help="not asked is no failure")
    parser.add_argument("--pins", type=Path, default=PINS, help="another file of pins")
    options = parser.parse_args(arguments)
    answer = ask(options.pins)
    for line in answer.found:
        _say(f"vulnerable: {line}")
    if answer.found:
        _say(
            f"error: {len(answer.found)} known vulnerabilities in what {options.pins.name} pins. "
            "Next: raise those versions there and in the requirements files, then: make audit"
        )
    if answer.why or answer.unasked:
        reason = answer.why or (
            f"it knew nothing of {len(answer.unasked)} packages ({', '.join(answer.unasked[:3])}, "
            "…), as a registry's mirror does"
        )
        said = "skipped" if options.where_reachable else "error"
        _say(
            f"{said}: no vulnerability service could be asked: {reason}. Nothing is known about "
            "these packages. Next: run `make audit` where pypi.org answers; GitHub runs it weekly"
        )
    if options.where_reachable and answer.status == NOT_ASKED:
        return 0
    return answer.status


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
