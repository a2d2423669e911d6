"""The commands' edges: what they refuse before anybody is asked, and how they find the project."""

from pathlib import Path

import pytest

from flow import app, deploying, project
from flow.commands import ssh
from flow.commands.asking import agree
from flow.errors import FlowError

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIFJdMNn8FWT"


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> project.Project:
    """A project folder like the sandbox's, away from the checkout."""
    (tmp_path / "Pulumi.yaml").write_text(
        "name: p\nruntime: python\nconfig:\n"
        "  application: {type: string, default: example}\n"
        "  images: {type: string, default: r.test/all}\n"
        "  p:composeFile: {type: string, default: compose.yaml}\n"
    )
    (tmp_path / "Pulumi.dev.yaml").write_text(
        "config:\n  p:images: r.test/dev\n  p:secrets: {secure: v1:xyz}\n"
    )
    monkeypatch.setenv("PULUMI_OPTION_CWD", str(tmp_path))
    monkeypatch.delenv("FLOW_APPLICATION", raising=False)
    return project.find()


def test_the_project_is_where_the_sandboxs_shell_says(
    team: project.Project, tmp_path: Path
) -> None:
    assert (team.folder, team.root) == (tmp_path, project.ROOT)
    assert team.name == "p"


def test_without_it_the_project_is_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_OPTION_CWD", raising=False)
    assert project.find().folder == project.ROOT


def test_a_folder_that_is_no_project_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_OPTION_CWD", str(tmp_path / "nowhere"))
    with pytest.raises(FlowError, match=r"no Pulumi.yaml in .*nowhere"):
        project.find()


def test_a_stacks_settings_are_its_own_then_the_projects_and_never_secret(
    team: project.Project,
) -> None:
    assert team.settings("dev")["images"] == "r.test/dev"
    assert team.settings("feature-demo-x")["images"] == "r.test/all"
    assert "secrets" not in team.settings("dev")


def test_an_application_is_where_it_is_named_else_where_the_settings_say(
    team: project.Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert team.application("dev", None) == project.ROOT / "example"
    assert deploying.application_for(team, "dev", None) is None
    own = tmp_path / "app"
    own.mkdir()
    with pytest.raises(FlowError, match=r"no compose.yaml in .*app"):
        team.application("dev", own)
    (own / "compose.yaml").touch()
    monkeypatch.setenv("FLOW_APPLICATION", str(own))
    assert deploying.application_for(team, "dev", None) == own
    assert deploying.application_for(team, "dev", project.ROOT / "example") != own


@pytest.mark.parametrize(
    ("target", "stack"),
    [
        ("dev", "dev"),
        ("development", "dev"),
        ("main", "prod"),
        ("feature-demo/x", "feature-demo-x"),
        ("feature-demo-x", "feature-demo-x"),
    ],
)
def test_an_environment_is_named_by_its_stack_or_its_branch(target: str, stack: str) -> None:
    assert project.stack_of(target) == stack


def test_a_file_that_says_another_version_is_warned_of() -> None:
    done = deploying.Deployed(
        "staging", "staging", "https://s.test", "1.2.0", "", "r", "staging", None, 1.0, {}
    )
    assert "pulumi config rm version -s staging" in deploying.told_pin("1.1.0", done)
    assert deploying.told_pin("1.2.0", done) == deploying.told_pin(None, done) == ""


def test_a_branch_is_handed_over_only_where_the_stack_does_not_tell_it() -> None:
    assert deploying.branch_for("feature-demo/x", "feature-demo-x") is None
    assert deploying.branch_for("Feature/X", project.stack_of("Feature/X")) == "Feature/X"
    assert deploying.branch_for("feature-demo-x", "feature-demo-x") is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["deploy", "dev", "--version", "--help; rm -rf"],
        ["deploy", "dev", "--version", "a b"],
        ["demo", "up", "development"],
        ["demo", "up", "feature-demo/x", "--until", "soon"],
        ["deploy"],
        ["logs", "dev", "--lines", "0"],
    ],
)
def test_wrong_usage_is_exit_code_2_and_changes_nothing(
    arguments: list[str], team: project.Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(arguments) == 2
    told = capsys.readouterr()
    assert "error:" in told.err
    assert told.out == ""


def test_where_nobody_can_be_asked_the_answer_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(FlowError, match="Nobody is there to ask") as raised:
        agree("Deploy to production?", yes=False)
    assert raised.value.remedy == "add --yes"
    agree("Deploy to production?", yes=True)


def test_production_is_asked_about_before_anything_runs(
    team: project.Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["deploy", "prod", "--version", "1.0.0"]) == 2
    assert "Deploy 1.0.0 to production?" in capsys.readouterr().err


def test_ssh_trusts_the_pinned_key_alone(tmp_path: Path) -> None:
    pins = ssh.pinned(f"203.0.113.7 ssh-ed25519 {KEY}\n[x]:22 ssh-rsa AAAAB3 note\n")
    assert pins.splitlines() == [
        f"deployment-flow-host ssh-ed25519 {KEY}",
        "deployment-flow-host ssh-rsa AAAAB3",
    ]
    line = ssh.arguments("root", "203.0.113.7", 22, tmp_path / "pins", ["uptime"])
    assert "StrictHostKeyChecking=yes" in line
    assert line[-3:] == ["--", "203.0.113.7", "uptime"]
