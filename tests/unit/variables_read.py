"""Which variables of the environment the program, flow and the action read or are given."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
# A variable of ours, the engine's, a provider's or a client's, whoever reads it.
PREFIXED = re.compile(
    r"(AWS|BACKUP|CURL|DEMO|DOCKER|FLOW|GH|GITHUB|HCLOUD|PULUMI|REGISTRY|REQUESTS|RUNNER|SSL)"
    r"(_[A-Z0-9]+)+"
)
NAME = re.compile(r"[A-Z][A-Z0-9_]+")


def is_environment(node: ast.expr) -> bool:
    """Whether it is called as what holds variables: os.environ, environment, here.environment."""
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name in ("environ", "environment", "around")


def read(file: Path) -> Iterator[str]:
    """Variables that a file reads, or names by a constant."""
    for node in ast.walk(ast.parse(file.read_text())):
        found: ast.expr | None = None
        if isinstance(node, ast.Constant) and PREFIXED.fullmatch(str(node.value)):
            found = node
        elif isinstance(node, ast.Subscript) and is_environment(node.value):
            found = node.slice
        elif isinstance(node, ast.Compare) and is_environment(node.comparators[0]):
            found = node.left
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and (node.func.attr == "get" and is_environment(node.func.value))
        ):
            found = node.args[0]
        elif isinstance(node, ast.keyword) and node.arg == "envvar":
            found = node.value
        for each in ast.walk(found) if found is not None else ():
            if isinstance(each, ast.Constant) and NAME.fullmatch(str(each.value)):
                yield str(each.value)


def given_to_runs() -> Iterator[str]:
    """Variables that the workflow and its action hand to a job."""
    for file in (".github/workflows/flow.yml", "action/action.yml"):
        waiting = [yaml.safe_load((ROOT / file).read_text())]
        for each in waiting:
            if isinstance(each, dict):
                yield from each.get("env") or ()
                waiting += each.values()
            elif isinstance(each, list):
                waiting += each


def known() -> set[str]:
    """Every variable that the program, flow or the action reads or is given."""
    files = [ROOT / name for name in ("settings.py", "settings_model.py", "__main__.py")]
    for part in ("components", "flow", "planning", "registry"):
        files += (ROOT / part).rglob("*.py")
    files += (ROOT / "remote").glob("*.py")  # not what runs on a server
    names = {name for file in files for name in read(file)} | {*given_to_runs()}
    # A secret of an environment at GitHub, which a job is handed under another name.
    return {name for name in names if not name.startswith("STATE_")}
