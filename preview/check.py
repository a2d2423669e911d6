"""The settings of every stack: their mistakes, and what is another value than before.

    python -m preview.check [--base COMMIT]

Needs no engine, no token and no passphrase: a secret's value is not looked at. Writes Markdown to
standard output and, in a workflow, to the run's page and the output `text`. Exit code 1: mistakes.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import settings
from settings_model import SECRETS

ROOT = Path(__file__).resolve().parents[1]
_STAND_IN = {
    # Well-formed, because only its form is checked.
    "hostSshKey": "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----",
}
_HIDDEN = "(secret)"
_NO_TOKEN = "-"  # noqa: S105  # nosec B105
_MOST = 60_000  # characters; GitHub takes 65,536 in a comment


@dataclass(frozen=True)
class Stack:
    """One stack as its file and the project's defaults have it.

    values  as the engine hands them over: lists and objects as JSON, stand-ins for secrets
    kept    names of the secret ones
    shown   what people see of every setting; for a secret the ciphertext, which is never printed
    """

    values: dict[str, str] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    shown: dict[str, str] = field(default_factory=dict)


def read(files: Mapping[str, str], stack: str) -> Stack:
    """A stack by the texts of `Pulumi.yaml` and `Pulumi.<stack>.yaml`. Raises yaml.YAMLError."""
    project = _object(yaml.safe_load(files["Pulumi.yaml"]))
    own = _object(yaml.safe_load(files.get(f"Pulumi.{stack}.yaml", "")))
    prefix = f"{project.get('name', '')}:"
    found = Stack()
    merged: dict[str, Any] = {}
    for key, declared in _object(project.get("config")).items():
        default = declared.get("default") if isinstance(declared, dict) else declared
        merged[str(key).removeprefix(prefix)] = default
    for key, value in _object(own.get("config")).items():
        merged[str(key).removeprefix(prefix)] = value
    for name, value in merged.items():
        if value is None:
            continue
        if _is_secret(value):
            found.kept.add(name)
        plain = _without(value, _STAND_IN.get(name, "secret"))
        found.values[name] = plain if isinstance(plain, str) else json.dumps(plain)
        found.shown[name] = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return found


def mistakes(project: str, stack: str, found: Stack, now: float) -> tuple[str, ...]:
    """What the program would refuse; `now` in seconds since 1970."""
    tokens = ("hcloud:token", "github:token")
    try:
        settings.parse(
            project=project,
            stack=stack,
            values={name: value for name, value in found.values.items() if ":" not in name},
            secret_names=found.kept,
            # Tokens are the runs' own, and none of them is here.
            hcloud_token=_NO_TOKEN,
            hcloud_endpoint=settings.HETZNER_API,
            github_token=_NO_TOKEN,
            tokens_in_plain=[
                key for key in tokens if found.values.get(key) and key not in found.kept
            ],
            now=now,
        )
    except settings.SettingsError as error:
        return error.mistakes
    return ()


def changed(before: Stack, after: Stack) -> list[tuple[str, str, str]]:
    """(setting, old, new) of each that differs, by name; secrets as "(secret)"."""
    rows = []
    for name in sorted(before.shown.keys() | after.shown.keys()):
        old, new = before.shown.get(name, ""), after.shown.get(name, "")
        if old == new:
            continue
        hidden = name.removeprefix("hcloud:").removeprefix("github:") in {*SECRETS, "token"}
        if hidden or name in before.kept | after.kept:
            old, new = _HIDDEN if old else "", f"{_HIDDEN}, another" if new else ""
        rows.append((name, old, new))
    return rows


def stacks(files: Mapping[str, str]) -> set[str]:
    """Names of the stacks that have a file."""
    return {
        name.removeprefix("Pulumi.").removesuffix(".yaml")
        for name in files
        if name.startswith("Pulumi.") and name != "Pulumi.yaml"
    }


def report(before: Mapping[str, str], after: Mapping[str, str], now: float) -> tuple[str, bool]:
    """Markdown about every stack, and whether all of them are right."""
    project = str(_object(yaml.safe_load(after["Pulumi.yaml"])).get("name", ""))
    parts, right = ["### Settings of the stacks"], True
    for stack in sorted(stacks(before) | stacks(after)):
        file = f"Pulumi.{stack}.yaml"
        if file not in after:
            parts.append(f"**{stack}** has no file any more; what runs of it stays until destroyed")
            continue
        new = read(after, stack)
        old = read(before, stack) if file in before else Stack()
        wrong = mistakes(project, stack, new, now)
        right = right and not wrong
        rows = changed(old, new)
        verdict = f"{len(wrong)} to correct" if wrong else "right"
        part = f"**{stack}**: {verdict}, {len(rows)} changed"
        if rows:
            lines = [f"| {_cell(name)} | {_cell(a)} | {_cell(b)} |" for name, a, b in rows]
            part += "\n\n| setting | before | after |\n|---|---|---|\n" + "\n".join(lines)
        if wrong:
            part += "\n\n" + "\n".join(f"- {' '.join(each.split())}" for each in wrong)
        parts.append(part)
    return "\n\n".join(parts)[:_MOST] + "\n", right


def _cell(text: str) -> str:
    """A table's cell as code; what would end it is taken out."""
    plain = " ".join(text.split()).replace("`", "'").replace("|", "\\|")
    return f"`{plain}`" if plain else ""


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return set(value) == {"secure"} or any(_is_secret(each) for each in value.values())
    return isinstance(value, list) and any(_is_secret(each) for each in value)


def _without(value: Any, instead: str) -> Any:
    if isinstance(value, dict):
        if set(value) == {"secure"}:
            return instead
        return {key: _without(each, instead) for key, each in value.items()}
    return [_without(each, instead) for each in value] if isinstance(value, list) else value


def _now(root: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in root.glob("Pulumi*.yaml")}


def _at(root: Path, commit: str) -> dict[str, str]:
    """The files as a commit has them. Raises CalledProcessError for one git does not know."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=root, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    names = git("ls-tree", "--name-only", commit).split()
    wanted = [each for each in names if each.startswith("Pulumi") and each.endswith(".yaml")]
    return {name: git("show", f"{commit}:{name}") for name in wanted}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="HEAD", help="what is compared with (HEAD)")
    base = parser.parse_args().base
    try:
        text, right = report(_at(ROOT, base), _now(ROOT), time.time())
    except yaml.YAMLError as error:
        text, right = f"### Settings of the stacks\n\nNot YAML: {error}\n", False
    print(text)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a") as file:
            file.write(text)
    if outputs := os.environ.get("GITHUB_OUTPUT"):
        end = f"end-{secrets.token_hex(8)}"
        with Path(outputs).open("a") as file:
            file.write(f"text<<{end}\n{text}\n{end}\n")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
