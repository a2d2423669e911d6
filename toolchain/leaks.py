"""Look for secrets in what git keeps of a checkout, or would: every commit, and every file now.

    python3 -m toolchain.leaks            # what `make secrets` runs

Builds gitleaks first where it is not in the cache yet (a minute and a half, once). Exit status: 0
there are none; 1 there are, each is named without itself; 2 it could not look.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from toolchain import build
from toolchain.errors import InstallError

PROJECT = Path(__file__).resolve().parent.parent
RULES = PROJECT / ".gitleaks.toml"
GITLEAKS = build.Target(
    "gitleaks",
    "gitleaks, which looks for secrets",
    "github.com/zricethezav/gitleaks/v8",
    "a minute",
    build.SOURCES / "gitleaks",
)
FOUND = 1
NOT_LOOKED = 2
SECONDS = 300


def program(report: build.Report) -> Path:
    """Where gitleaks is, built if need be. Raises InstallError."""
    with build.locked(report):
        return build.build([GITLEAKS], report)[GITLEAKS.name]


def look(gitleaks: Path, checkout: Path) -> list[str]:
    """What was found in a checkout's history and files: rule, place and commit, one a line.

    What git ignores is not read: a person's own `.env` has its secrets rightly. Raises
    InstallError where it is no checkout of git, or gitleaks fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in _git(checkout, "ls-files", "-coz", "--exclude-standard").split("\0"):
            if name and (checkout / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(checkout / name, copy / name)
        return _scan(gitleaks, "git", checkout) + _scan(gitleaks, "dir", copy)


def _git(checkout: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=checkout, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise InstallError(f"{checkout} cannot be read by git: {done.stderr.strip()}")
    return done.stdout


def _scan(gitleaks: Path, kind: str, folder: Path) -> list[str]:
    template = '{{range .}}{{.RuleID}}: {{.File}}:{{.StartLine}} {{.Commit}}{{"\\n"}}{{end}}'
    with tempfile.TemporaryDirectory() as scratch:
        form, found = Path(scratch) / "form", Path(scratch) / "found"
        form.write_text(template)
        command = [str(gitleaks), kind, ".", f"--config={RULES}", "--no-banner", "--redact"]
        command += ["--report-format=template", f"--report-template={form}"]
        command += [f"--report-path={found}", f"--exit-code={FOUND}"]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        lines = found.read_text().splitlines() if found.exists() else []
    # It ends with the same status when it cannot look.
    if done.returncode not in (0, FOUND) or (done.returncode == FOUND and not lines):
        raise InstallError(f"gitleaks {kind} failed:\n{done.stderr.strip()[-1000:]}")
    return [line.strip() for line in lines if line.strip()]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m toolchain.leaks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("checkout", type=Path, nargs="?", default=PROJECT)
    options = parser.parse_args(arguments)
    try:
        found = look(program(_say), options.checkout)
    except (InstallError, subprocess.TimeoutExpired) as error:
        _say(f"error: {error}")
        return NOT_LOOKED
    for line in found:
        _say(f"secret: {line}")
    if found:
        _say(
            f"error: {len(found)} secrets. Next: revoke each where it was made, then take it out "
            "of the file; what is none goes into .gitleaks.toml, with the reason"
        )
    return FOUND if found else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
