"""Plain `pulumi` in the sandbox's shell opens the state of the stack a command names."""

import subprocess
from pathlib import Path

import pytest

from flow import plain_pulumi

ENGINE = '#!/bin/sh\necho "$PULUMI_BACKEND_URL $PULUMI_CONFIG_PASSPHRASE $*"\n'
OWN = {
    f"{name}_{group}": f"{group.lower()}'s"
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE")
    for group in ("NONPROD", "PROD", "DEMO")
}
DEFAULT = {"PULUMI_BACKEND_URL": "default", "PULUMI_CONFIG_PASSPHRASE": "default"}


def typed(folder: Path, arguments: str, environment: dict[str, str]) -> str:
    engine, script = folder / "the engine", folder / "pulumi"
    engine.write_text(ENGINE)
    script.write_text(plain_pulumi.script(engine))
    for file in (engine, script):
        file.chmod(0o700)
    return subprocess.run(
        [str(script), *arguments.split()], env={"PATH": "/usr/bin:/bin", **environment},
        check=True, capture_output=True, text=True, timeout=20,
    ).stdout.strip()  # fmt: skip


@pytest.mark.parametrize(
    ("command", "group"),
    [
        ("up -s staging --yes", "nonprod"),
        ("preview --stack prod", "prod"),
        ("preview --stack=organization/deployment-flow/prod", "prod"),
        ("stack init feature-demo-x", "demo"),
        ("stack init --copy-config-from dev feature-demo-x", "demo"),
        ("stack init feature-demo-x --copy-config-from dev", "demo"),
        ("up -s feature-demo-x --yes", "demo"),
        ("stack rm feature-demo-x --yes", "demo"),
        ("stack output url -s feature-demo-drill--prod-ab12", "prod"),
        ("stack output url -s feature-demo-drill--staging-ab12", "nonprod"),
        ("stack output url -s feature-demo-drill--feature-demo-x-ab12", "demo"),
        ("stack output url -s=dev", "nonprod"),
        ("stack ls", "nonprod"),
        ("", "nonprod"),
    ],
)
def test_each_stack_is_opened_by_its_own_group(tmp_path: Path, command: str, group: str) -> None:
    assert typed(tmp_path, command, {**DEFAULT, **OWN}) == f"{group}'s {group}'s {command}".strip()


def test_a_shell_with_one_state_for_all_keeps_it(tmp_path: Path) -> None:
    assert typed(tmp_path, "up -s prod", DEFAULT) == "default default up -s prod"


def test_arguments_are_handed_on_to_the_byte(tmp_path: Path) -> None:
    engine, script = tmp_path / "engine", tmp_path / "pulumi"
    engine.write_text('#!/bin/sh\nfor each in "$@"; do printf "[%s]" "$each"; done\n')
    script.write_text(plain_pulumi.script(engine))
    for file in (engine, script):
        file.chmod(0o700)
    given = ["config", "set", "x", "a b", "", "$(id)", "*", "-s", "prod"]
    done = subprocess.run(
        [str(script), *given], env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path,
        check=True, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert done.stdout == "".join(f"[{each}]" for each in given)
