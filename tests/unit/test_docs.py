"""The documents hold: settings as in Pulumi.yaml, links that lead somewhere, commands that run."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
# Command → the test that runs it. Generated and real-account blocks are not in it.
COVERED: dict[str, str] = yaml.safe_load((ROOT / "docs/commands.yaml").read_text())
FENCE = re.compile(r"^```(\w[\w -]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MOST_REAL_ACCOUNT_BLOCKS = 2


def blocks(kind: str) -> Iterator[tuple[Path, str]]:
    """Fenced blocks of one kind, with the document each is in."""
    for document in DOCUMENTS:
        for found in FENCE.finditer(document.read_text()):
            if found[1].strip() == kind:
                yield document, found[2]


def commands() -> dict[str, str]:
    """Every command a reader can run here, with the document it is in."""
    return {
        line.strip(): document.name
        for document, block in blocks("sh")
        for line in block.splitlines()
        if line.strip()
    }


@pytest.mark.parametrize("command", sorted(commands()))
def test_a_documented_command_has_a_test(command: str) -> None:
    assert command in COVERED, f"{commands()[command]}: name the test of it in docs/commands.yaml"
    file, _, name = COVERED[command].partition("::")
    tree = ast.parse((ROOT / file).read_text())
    functions = {
        n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert name in functions, f"{file} has no {name}"


def test_every_listed_command_is_documented() -> None:
    assert sorted(set(COVERED) - set(commands())) == []


def test_few_blocks_need_a_real_account() -> None:
    assert len(list(blocks("sh real-account"))) <= MOST_REAL_ACCOUNT_BLOCKS


def test_a_block_is_of_a_known_kind() -> None:
    # Every second fence opens a block; one without a kind would be looked at by no test.
    fences = [re.findall(r"^ *```(.*)$", d.read_text(), re.MULTILINE)[::2] for d in DOCUMENTS]
    kinds = {kind.strip() for each in fences for kind in each}
    assert kinds <= {"sh", "sh real-account", "mermaid", "yaml", "json", "text", "python"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_inside_the_project_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def _rows(document: str) -> dict[str, list[str]]:
    rows = re.findall(r"^\| `([^`]+)` \| (.*) \|$", (ROOT / document).read_text(), re.MULTILINE)
    return {key: rest.split(" | ") for key, rest in rows}


def _shown(default: Any) -> str:
    if default in ("", [], {}):
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def test_the_settings_page_says_what_pulumi_yaml_says() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    rows = {key: row for key, row in _rows("docs/settings.md").items() if len(row) == 3}
    assert {key: [cell.strip() for cell in row] for key, row in rows.items()} == {
        key: [each["type"], _shown(each["default"]), each["description"]]
        for key, each in declared.items()
    }


def test_the_scorecard_has_every_fault_and_every_attack() -> None:
    text = (ROOT / "docs/scorecard.md").read_text()
    cells = re.findall(r"^\| ([S\d, ]+) \| [^|]+ \| `[^|]+ \|$", text, re.MULTILINE)
    listed = {number for each in cells for number in each.split(", ")}
    wanted = {*map(str, range(1, 28)), *(f"S{number}" for number in range(1, 11))}
    assert sorted(wanted - listed) == []


def test_the_scorecard_names_tests_that_exist() -> None:
    text = (ROOT / "docs/scorecard.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).exists() or (name and f"def {name}(" not in (ROOT / file).read_text())
    ]
    assert missing == []
