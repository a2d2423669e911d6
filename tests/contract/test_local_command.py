"""What `local.Command` does, through the real engine.

One table, run against the stand-in and, where it is installed, the official plugin:
nothing in this project may depend on a difference between them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import Engine, Run

pytestmark = pytest.mark.toolchain

LONG = "head -c 70000 /dev/zero | tr '\\0' x"


@dataclass(frozen=True)
class Case:
    """A command, what it leaves, and what happens when `changed` properties come in.

    LOG in a command is a file of the case's own; `log` is what it holds after a destroy.
    """

    name: str
    properties: dict[str, Any]
    stdout: str = ""
    stderr: str = ""
    changed: dict[str, Any] = field(default_factory=dict)
    operation: str = "same"
    stdout_then: str | None = None
    log: str = ""


CASES = [
    Case("nothing", {}),
    Case("trims-one-newline", {"create": "printf 'a\\n\\n'"}, stdout="a\n"),
    Case("streams-apart", {"create": "echo out; echo err >&2"}, stdout="out", stderr="err"),
    Case("stdin", {"create": "cat", "stdin": "line\n"}, stdout="line"),
    Case("environment", {"create": "echo $A-$B", "environment": {"A": "1", "B": "x y"}}, "1-x y"),
    Case("dir", {"create": "pwd", "dir": "/"}, stdout="/"),
    Case(
        "interpreter",
        {"create": "text", "interpreter": ["/usr/bin/env", "printf", "<%s>"]},
        stdout="<text>",
    ),
    Case(
        "update-runs-and-sees-the-last-output",
        {"create": "echo one; echo e >&2", "update": "echo $PULUMI_COMMAND_STDOUT-$A"},
        stdout="one",
        stderr="e",
        changed={"environment": {"A": "2"}},
        operation="update",
        stdout_then="one-2",
    ),
    Case(
        "without-update-create-runs-again",
        {"create": "echo [$PULUMI_COMMAND_STDOUT$PULUMI_COMMAND_STDERR]"},
        stdout="[]",
        changed={"environment": {"A": "2"}},
        operation="update",
        stdout_then="[[]]",
    ),
    Case(
        "the-last-output-can-be-left-out",
        {"create": "echo [$PULUMI_COMMAND_STDOUT]", "add_previous_output_in_env": False},
        stdout="[]",
        changed={"environment": {"A": "2"}},
        operation="update",
        stdout_then="[]",
    ),
    Case("no-change-no-run", {"create": "echo run >> LOG"}, log="run\n"),
    Case(
        "a-trigger-replaces-and-delete-is-the-old-one",
        {"create": "echo create $A >> LOG", "delete": "echo delete $A >> LOG", "triggers": ["1"],
         "environment": {"A": "old"}},
        changed={"triggers": ["2"], "environment": {"A": "new"}},
        operation="replace",
        log="create old\ncreate new\ndelete old\ndelete new\n",
    ),
    Case(
        "delete-sees-the-last-output",
        {"create": "echo made", "delete": "echo gone $PULUMI_COMMAND_STDOUT >> LOG"},
        stdout="made",
        log="gone made\n",
    ),
    Case("a-long-line-is-kept-when-not-shown", {"create": LONG, "logging": "none"}, "x" * 70000),
]  # fmt: skip


@dataclass(frozen=True)
class Life:
    """What came of all cases together: created, changed, destroyed."""

    created: Run
    first: dict[str, dict[str, Any]]
    changed: Run
    second: dict[str, dict[str, Any]]
    destroyed: Run
    directory: Path

    def log(self, case: Case) -> str:
        path = self.directory / f"{case.name}.log"
        return path.read_text() if path.exists() else ""


def _with_log(properties: dict[str, Any], log: Path) -> dict[str, Any]:
    return {
        key: value.replace("LOG", str(log)) if isinstance(value, str) else value
        for key, value in properties.items()
    }


@pytest.fixture(scope="module")
def life(plugin_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """All cases at once in one stack: three engine runs for the whole table."""
    directory = tmp_path_factory.mktemp("life")
    engine = Engine(directory, plugin_home)
    before = {c.name: _with_log(c.properties, directory / f"{c.name}.log") for c in CASES}
    after = {c.name: before[c.name] | c.changed for c in CASES}
    created = engine.up(before)
    assert created.status == 0, created.said
    first = engine.state()
    changed = engine.up(after)
    assert changed.status == 0, changed.said
    second = engine.state()
    destroyed = engine.destroy()
    assert destroyed.status == 0, destroyed.said
    return Life(created, first, changed, second, destroyed, directory)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_command_leaves_what_it_printed(life: Life, case: Case) -> None:
    assert life.first[case.name].get("stdout", "") == case.stdout
    assert life.first[case.name].get("stderr", "") == case.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_change_updates_or_replaces_as_documented(life: Life, case: Case) -> None:
    operation = life.changed.operations.get(case.name, "same")
    assert operation.replace("create-replacement", "replace") == case.operation
    then = case.stdout if case.stdout_then is None else case.stdout_then
    assert life.second[case.name].get("stdout", "") == then


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_destroy_runs_delete_commands_once(life: Life, case: Case) -> None:
    assert life.log(case) == case.log


FAILURES: dict[str, tuple[dict[str, Any], str]] = {
    "exit-status": (
        {"create": "echo said; echo why >&2; exit 3"},
        r"exit status 3: running \"echo said.*said\nwhy|exit status 3: running .*why\nsaid",
    ),
    "no-such-dir": ({"create": "true", "dir": "/no/such/dir"}, "no such file or directory"),
    "no-such-interpreter": ({"create": "x", "interpreter": ["no-such-program"]}, "not found"),
    "deadline": ({"create": "exec sleep 60", "timeout": "1s"}, "killed|deadline"),
}


@pytest.fixture(scope="module")
def failed(plugin_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All failing cases at once."""
    engine = Engine(tmp_path_factory.mktemp("failed"), plugin_home)
    run = engine.up({name: properties for name, (properties, _) in FAILURES.items()})
    assert run.status != 0
    assert engine.state() == {}
    return run


@pytest.mark.parametrize("name", FAILURES)
def test_a_failing_command_fails_the_resource_and_says_what_it_printed(
    failed: Run, name: str
) -> None:
    assert re.search(FAILURES[name][1], failed.errors[name], flags=re.DOTALL)


def test_a_failing_update_keeps_the_state_of_the_last_good_run(
    plugin_home: Path, tmp_path: Path
) -> None:
    engine = Engine(tmp_path, plugin_home)
    engine.up({"c": {"create": "echo good", "update": "echo bad; exit 1"}})
    run = engine.up(
        {"c": {"create": "echo good", "update": "echo bad; exit 1", "environment": {"A": "1"}}}
    )
    assert "exit status 1" in run.errors["c"]
    assert engine.state()["c"]["stdout"] == "good"


def test_a_secret_input_stays_encrypted_but_does_not_make_outputs_secret(
    plugin_home: Path, tmp_path: Path
) -> None:
    """So whoever passes secrets in marks the outputs that may repeat them."""
    engine = Engine(tmp_path, plugin_home)
    engine.up({"c": {"create": "cat > /dev/null; echo plain", "secret_stdin": "hidden"}})
    state = engine.state()["c"]
    assert "ciphertext" in state["stdin"]
    assert state["stdout"] == "plain"


def test_files_are_found_by_patterns_in_order(plugin_home: Path, tmp_path: Path) -> None:
    engine = Engine(tmp_path, plugin_home)
    files = tmp_path / "files"
    (files / "sub").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "sub/c.txt", "sub/d.md"):
        (files / name).write_text(name)
    engine.up(
        {
            "c": {
                "create": "true",
                "dir": str(files),
                "asset_paths": ["**.txt", "!b.*"],
                "archive_paths": ["sub/*"],
            }
        }
    )
    state = engine.state()["c"]
    assert set(state["assets"]) == {"a.txt", "sub/c.txt"}
    assert set(state["archive"]["assets"]) == {"sub/c.txt", "sub/d.md"}


def test_the_stand_in_refuses_the_line_on_which_the_official_plugin_hangs(
    plugin_home: Path, tmp_path: Path
) -> None:
    plugin = next((plugin_home / "plugins").glob("resource-command-v*/pulumi-resource-command"))
    if not plugin.is_symlink():  # only what was built here is a link, to the cache
        pytest.skip("this is the official plugin")
    run = Engine(tmp_path, plugin_home).up({"c": {"create": LONG}})
    assert "longer than 64 KiB" in run.errors["c"]
