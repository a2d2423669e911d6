"""Every command has --json, and --dry-run where it changes something."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from flow import app

# What changes nothing; any other command has --dry-run, or is excepted below.
READS = frozenset(
    {"status", "cost", "doctor", "logs", "backup list", "backup ticket", "demo list"}
    | {"demo script", "images list", "state list", "sandbox status"}
)
_SANDBOX = "changes only the sandbox, which is there to be changed"
_JOB = "a workflow's job calls it: people have the command it is named after"
_HANDS_ON = "hands on to another program, whose output and effects are its own"
WITHOUT_DRY_RUN = {
    "exec": _HANDS_ON,
    "rehearse": _SANDBOX,
    **{f"sandbox {name}": _SANDBOX for name in ("up", "down", "env", "publish", "team", "reset")},
    "sandbox shell": _HANDS_ON,
}
WITHOUT_JSON = {
    "exec": _HANDS_ON,
    "ssh": _HANDS_ON,
    "sandbox shell": _HANDS_ON,
    "sandbox env": "prints lines for a shell's eval, and nothing else",
    "sandbox publish": "prints JSON, and nothing else",
    "demo script": "prints a script, and nothing else",
    "backup ticket": "prints one secret word for a pipe, and nothing else",
}


def commands(group: Any = None, above: str = "") -> Iterator[tuple[str, set[str]]]:
    """Every command by its words, with its options."""
    group = group or typer.main.get_group(app.app)
    for name, command in group.commands.items():
        words = f"{above} {name}".strip()
        if hasattr(command, "commands"):
            yield from commands(command, words)
        else:
            yield words, {option for each in command.params for option in each.opts}


ALL = dict(commands())


def why_not(name: str, excepted: dict[str, str]) -> str:
    """Why a command lacks an option; empty where nothing excepts it."""
    return _JOB if name.startswith("workflow ") else excepted.get(name, "")


@pytest.mark.parametrize("name", ALL)
def test_a_command_has_json(name: str) -> None:
    assert ("--json" in ALL[name]) != bool(why_not(name, WITHOUT_JSON))


@pytest.mark.parametrize("name", sorted(ALL.keys() - READS))
def test_a_command_that_changes_something_has_a_dry_run(name: str) -> None:
    assert ("--dry-run" in ALL[name]) != bool(why_not(name, WITHOUT_DRY_RUN))


def test_what_is_excepted_is_there() -> None:
    assert {*READS, *WITHOUT_DRY_RUN, *WITHOUT_JSON} <= ALL.keys()
