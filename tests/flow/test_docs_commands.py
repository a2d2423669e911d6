"""The commands of the README and of the sandbox's page, typed as a reader would."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow.sandbox_project import SandboxProject

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]
MARK = "@@@"
DEMO = "feature-demo-x"


def _section(document: str, heading: str) -> list[str]:
    """Commands of the sh blocks under one heading."""
    text = (ROOT / document).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def _typed(commands: list[str], first: str = "") -> dict[str, str]:
    """Run commands in one plain shell, stopping at the first that fails; what each printed."""
    script = [first, *(line for c in commands for line in (f"echo '{MARK}'", c))]
    plain = {key: os.environ[key] for key in ("HOME", "PATH", "LANG") if key in os.environ}
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(script)],
        cwd=ROOT,
        env=plain,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=840,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return dict(zip(commands, done.stdout.split(f"{MARK}\n")[1:], strict=True))


def _git_status() -> str:
    return subprocess.run(
        ["git", "status", "--porcelain"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.fixture
def no_demo(published: SandboxProject) -> Iterator[None]:
    """The README makes feature-demo-x: none is left of a run that ended midway, nor by this one."""

    def remove() -> None:
        if DEMO in published.stacks.names():
            published.stacks.destroy(DEMO)
            published.stacks.remove(DEMO)

    remove()
    yield
    remove()


def test_the_readmes_commands_work_one_after_the_other_in_a_plain_shell(no_demo: None) -> None:
    before = _git_status()
    commands = [c for c in _section("README.md", "Then by hand") if c not in (
        # Not while other tests use the same sandbox; tests of their own run these.
        "flow sandbox status", "flow sandbox down",
    )]  # fmt: skip
    said = _typed(commands)
    assert "deployment-flow-staging" in said["pulumi up -s staging --yes"]
    url = said["pulumi stack output url -s staging"].strip()
    assert url == "https://staging.example-nonprod.test"
    assert "Fieldwork" in said['curl "$(pulumi stack output url -s staging)"']
    assert "to create" in said["pulumi preview -s prod"]
    assert "1.1.0" in said["flow deploy staging --version 1.1.0"]
    demo = "pulumi"
    assert "https://x.example-demo.test" in said[f"{demo} up -s feature-demo-x --yes"]
    shown = said[f"{demo} stack output password --show-secrets -s feature-demo-x"]
    assert len(shown.strip().split()) == 1
    assert _git_status() == before


def test_the_sandbox_pages_commands_work_in_a_shell_of_the_sandbox(
    published: SandboxProject,
) -> None:
    commands = ["flow sandbox status", "flow sandbox status --json"]
    for heading in ("A shell for it", "Versions of the example", "Faults"):
        commands += _section("docs/sandbox.md", heading)
    commands = [c for c in commands if not c.startswith("eval ")]
    said = _typed(commands, first='eval "$(.venv/bin/flow sandbox env)"')
    assert json.loads(said["flow sandbox status --json"])["running"] is True
    client = next(c for c in commands if c.startswith("python -c"))
    assert said[client].startswith("[")
    assert json.loads(said["curl -sS http://127.0.0.1:7080/_sandbox/faults"])["faults"]


def test_the_backup_pages_commands_work_on_staging(published: SandboxProject) -> None:
    # Nothing changes where the README's commands have left it running.
    deployed = (
        'eval "$(.venv/bin/flow sandbox env)"; flow deploy staging; flow state backup staging'
    )
    said = _typed(_section("docs/backups.md", "Try it"), first=deployed)
    assert re.search(
        r"backup \S+ of staging is kept: db: .*24 tasks", said["flow backup create staging"]
    )
    assert "asked" in said["flow backup list staging"]
    assert "24 tasks" in said["flow backup restore staging --dry-run"]
    demo = said["flow demo up feature-demo/real-data --data staging --dry-run"]
    assert "feature-demo-real-data would be made, with backup" in " ".join(demo.split())
    assert re.search(r"\d{8}T\d{6}Z-[0-9a-f]{8}", said["flow state list staging"])


def test_the_tutorials_commands_work_one_after_the_other(published: SandboxProject) -> None:
    demo = "feature-demo-tutorial"
    before = {each: each.read_text() for each in ROOT.glob("Pulumi*.yaml")}
    try:
        said = _typed(_section("docs/tutorial.md", "2. In the sandbox"))
    finally:
        if demo in published.stacks.names():
            published.stacks.destroy(demo)
            published.stacks.remove(demo)
    assert "0 missing" in said["flow doctor"]
    assert "2.0.0" in said["flow deploy dev --version 2.0.0"]
    assert "2.0.0" in said["flow status"]
    assert "https://tutorial.example-demo.test" in said["flow demo up feature-demo/tutorial"]
    assert demo in said["flow demo list"]
    ended = said["flow demo end feature-demo/tutorial --no-dump --yes"]
    assert f"{demo} is gone" in ended
    would = next(text for command, text in said.items() if command.startswith("flow init"))
    assert "acmeEmail = ops@example.test" in would
    assert {each: each.read_text() for each in ROOT.glob("Pulumi*.yaml")} == before
