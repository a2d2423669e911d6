"""How commands are told: `flow exec` opens the stack's own state, which a shell's may not be."""

import ast
import re
from pathlib import Path

import pytest

from components.environment import AUTH_USER
from flow import backends, deploying, diagnostics
from flow.commands import deploy
from flow.runs import jobs

FLOW = Path(backends.__file__).parent
# Told in the sandbox's shell, whose `pulumi` picks the state by the stack.
SANDBOX = {"looking.py", "plain_pulumi.py", "rehearse.py"}


def told(file: Path) -> list[str]:
    """Every text of a file that is no docstring."""
    tree = ast.parse(file.read_text())
    explained = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in explained
    ]


@pytest.mark.parametrize(
    "file", sorted(FLOW.rglob("*.py")), ids=lambda file: str(file.relative_to(FLOW))
)
def test_no_command_about_a_stack_is_told_without_what_opens_its_state(file: Path) -> None:
    plain = re.compile(
        r"\bpulumi (config|destroy|preview|refresh|up\b.* -s|stack (init|export|history|output))\b"
    )
    wrong = [] if file.name in SANDBOX else [each for each in told(file) if plain.search(each)]
    assert wrong == []


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ("config rm version", "flow exec prod -- pulumi config rm version -s prod"),
        ("stack init prod", "flow exec prod -- pulumi stack init prod"),
    ],
)
def test_a_command_names_the_stack_for_flow_and_for_pulumi(said: str, command: str) -> None:
    assert backends.command("prod", said) == command


@pytest.mark.parametrize(
    ("said", "retold"),
    [
        (
            "Next: pulumi up -s prod, which goes on",
            "Next: flow exec prod -- pulumi up -s prod, which goes on",
        ),
        (
            "pulumi config set confirm a,b -s prod && pulumi up -s prod",
            (
                "flow exec prod -- pulumi config set confirm a,b -s prod && "
                "flow exec prod -- pulumi up -s prod"
            ),
        ),
        (
            "pulumi stack init feature-demo-x. Or",
            "flow exec feature-demo-x -- pulumi stack init feature-demo-x. Or",
        ),
        (
            "flow exec dev -- pulumi preview -s dev --diff",
            "flow exec dev -- pulumi preview -s dev --diff",
        ),
        ("run `pulumi up` again", "run `pulumi up` again"),
    ],
)
def test_the_programs_commands_are_told_beside_flow_as_flows(said: str, retold: str) -> None:
    assert diagnostics.cause(said) == retold


def test_a_demos_deploy_says_how_its_password_is_shown_and_a_stages_does_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def said(stage: str, stack: str) -> str:
        end = 1_900_000_000 if stage == "demo" else None
        done = deploying.Deployed(
            stack, stage, "https://x.test", "1.2.0", "", "r", "b", end, 1.0, {}
        )
        deploy.tell(done, as_json=False)
        return capsys.readouterr().err

    shown = "flow exec feature-demo-x -- pulumi stack output password --show-secrets"
    assert f"its user is {AUTH_USER}, its password: {shown}" in said("demo", "feature-demo-x")
    assert "password" not in said("staging", "staging")


def test_the_comment_at_github_says_how_a_demos_password_is_shown() -> None:
    done = deploying.Deployed(
        "feature-demo-x", "demo", "https://x.test", "1.2.0", "", "r", "b", None, 1.0, {}
    )
    shown = "flow exec feature-demo-x -- pulumi stack output password --show-secrets"
    assert f"`{shown} -s feature-demo-x`" in jobs._about(done, "https://github.test/o/r")
