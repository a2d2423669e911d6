"""The rules of the layout: what may import what, and how long a file may be.

Data flows one way: settings → components → engine. `flow` calls the engine and never a
component; `sandbox` is a cloud, and knows nothing of who uses it.
"""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = frozenset(
    {"bench", "components", "example", "feature_demo", "flow", "planning", "preview"}
    | {"registry", "remote", "sandbox"}
    | {"settings", "settings_model", "toolchain"}
)
# What each part may import of ours, besides itself.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "bench": frozenset({"components.naming", "flow", "sandbox", "toolchain"}),
    "components": frozenset(),
    # One script: what a stack's deploy gives a server, and what renders a release.
    "feature_demo": frozenset(
        {"components.bundle", "components.compose", "components.naming", "remote"}
    ),
    # Of the components only what is pure: names, addresses, labels, and how files are read.
    "flow": frozenset(
        {"components.compose", "components.labels", "components.naming", "components.plain_yaml"}
        | {"components.github_address", "components.given_hosts"}
        | {"feature_demo.script", "planning.access", "registry", "remote.ssh", "sandbox"}
    ),
    "planning": frozenset({"components", "registry", "remote.shipment", "settings_model"}),
    "preview": frozenset({"settings", "settings_model"}),
    "registry": frozenset(),
    "remote": frozenset(),
    "sandbox": frozenset(),
    "settings": frozenset({"components", "settings_model"}),
    "settings_model": frozenset({"components"}),
    "toolchain": frozenset(),
}
# About 300 lines; a table of cases makes a test longer.
LINES = 350
TEST_LINES = 450
NAMELESS = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def python_files(part: str) -> list[Path]:
    """The files of a package or module of ours; empty while it does not exist."""
    module = ROOT / f"{part}.py"
    if module.exists():
        return [module]
    return sorted(p for p in (ROOT / part).rglob("*.py") if "__pycache__" not in p.parts)


def imports(file: Path) -> Iterator[str]:
    """Full names of what a file imports, `from a.b import c` as both a.b and a.b.c."""
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{name}.{alias.name}" for alias in node.names)


def committed() -> list[Path]:
    """Every file git knows."""
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_every_part_has_its_rule() -> None:
    parts = {file.stem for file in ROOT.glob("*.py")} - {"__main__"}
    parts |= {file.parent.name for file in ROOT.glob("*/__init__.py")}
    assert parts <= set(MAY_IMPORT)


@pytest.mark.parametrize("part", sorted(MAY_IMPORT))
def test_a_part_imports_only_what_it_may(part: str) -> None:
    allowed = MAY_IMPORT[part] | {part}
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in python_files(part)
        for name in imports(file)
        if name.split(".")[0] in OURS
        and not any(name == each or name.startswith(f"{each}.") for each in allowed)
        # `from components import naming` names it whole, `import components` does not.
    ]
    assert wrong == []


def test_only_two_files_use_the_automation_api_and_flow_uses_no_other_part_of_the_sdk() -> None:
    users = {
        file.name
        for file in python_files("flow")
        for name in imports(file)
        if name.split(".")[0].startswith("pulumi")
    }
    assert users == {"engine.py", "stacks.py"}
    elsewhere = [
        str(file.relative_to(ROOT))
        for part in MAY_IMPORT.keys() - {"flow"}
        for file in python_files(part)
        if any(name.startswith("pulumi.automation") for name in imports(file))
    ]
    assert elsewhere == []


def test_only_settings_reads_pulumis_configuration() -> None:
    readers = [
        str(file.relative_to(ROOT))
        for part in ("components", "planning")
        for file in python_files(part)
        if "pulumi.Config(" in file.read_text() or "os.environ" in file.read_text()
    ]
    assert readers == []


def test_what_runs_over_ssh_needs_nothing_but_pythons_standard_library() -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in python_files("remote")
        for name in imports(file)
        if name.split(".")[0] not in {*sys.stdlib_module_names, "remote"}
    ]
    assert wrong == []


def test_the_program_is_at_most_60_lines() -> None:
    assert len((ROOT / "__main__.py").read_text().splitlines()) <= 60


def test_no_python_file_is_long() -> None:
    long = {
        str(file.relative_to(ROOT)): lines
        for file in committed()
        if file.suffix == ".py"
        and (lines := len(file.read_text().splitlines()))
        > (TEST_LINES if file.is_relative_to(ROOT / "tests") else LINES)
    }
    assert long == {}


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [str(file.relative_to(ROOT)) for file in committed() if file.stem in NAMELESS] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(file.relative_to(ROOT))
        for file in committed()
        if file.suffix == ".py"
        and (text := file.read_text()).strip()
        and ast.get_docstring(ast.parse(text)) is None
    ]
    assert silent == []


@pytest.mark.parametrize("folder", [".venv", ".toolchain", ".sandbox", "bench/results"])
def test_what_is_made_is_not_committed(folder: str) -> None:
    assert [file for file in committed() if file.is_relative_to(ROOT / folder)] == []


def test_a_demos_stack_file_is_ignored_by_git_and_a_stages_is_not() -> None:
    def ignored(name: str) -> bool:
        done = subprocess.run(["git", "check-ignore", "--quiet", name], cwd=ROOT, check=False)
        return done.returncode == 0

    assert ignored("Pulumi.feature-demo-x.yaml")
    assert not ignored("Pulumi.staging.yaml")


def test_the_package_carries_its_licence() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license-files"] == ["LICENSE"]
    assert "Apache License" in (ROOT / "LICENSE").read_text()
