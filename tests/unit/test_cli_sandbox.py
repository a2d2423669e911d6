"""`flow sandbox …` as typed: what goes to stdout, to stderr, and the exit codes."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flow import app, project
from flow.commands import rehearse, sandbox
from flow.errors import FlowError
from flow.sandbox_project import SandboxProject
from flow.sandbox_team import SandboxTeam
from sandbox.lifecycle import SandboxError
from tests.unit.team_stacks import Stacks, project_of

CREDENTIALS = {
    "endpoint": "http://127.0.0.1:7080/v1",
    "projects": {name: {"token": name * 8} for name in ("prod", "nonprod", "demo")},
    "registry": {
        "server": "registry.sandbox.test",
        "push": {"username": "push", "password": "push-word"},
        "pull": {"username": "pull", "password": "pull-word"},
    },
    "acme": {"directory": "https://acme.sandbox.test:14000/dir"},
    "objects": {
        "endpoint": "https://127.0.0.1:7095",
        "region": "eu-central",
        "access_key": "SANDBOX1",
        "secret_key": "hush",
    },
    "ca": "/nowhere/ca.pem",
    "trust": "/nowhere/trust.pem",
    "passphrase": "pass phrase",
    "github": {
        "url": "http://127.0.0.1:7090",
        "api": "http://127.0.0.1:7090/api/v3",
        "users": {"maintainer": {"token": "ghp_test"}},
    },
}


class FakeSandbox:
    """Stands for the cloud; remembers what was asked of it."""

    calls: list[str]
    failure: Exception | None = None
    is_up = False

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def up(self, report: Callable[[str], None]) -> None:
        self.calls.append("up")
        if self.failure:
            raise self.failure
        report("starting [the API]")
        type(self).is_up = True

    def down(self) -> None:
        self.calls.append("down")
        type(self).is_up = False

    def reset(self) -> None:
        self.calls.append("reset")

    def status(self) -> dict[str, Any]:
        return {"running": self.is_up, "api": CREDENTIALS["endpoint"], "servers": []}

    def credentials(self) -> dict[str, Any]:
        return CREDENTIALS


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[FakeSandbox]:
    made = type("FakeSandbox", (FakeSandbox,), {"calls": [], "failure": None, "is_up": False})
    monkeypatch.setattr(sandbox, "Sandbox", made)
    monkeypatch.setattr(rehearse, "Sandbox", made)
    monkeypatch.setattr(SandboxProject, "write", lambda _: None)
    monkeypatch.setenv("FLOW_SANDBOX_DIR", str(tmp_path))
    return made


def test_up_reports_on_stderr_and_says_what_is_next(
    cloud: type[FakeSandbox], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["sandbox", "up"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "starting [the API]" in err
    assert 'eval "$(.venv/bin/flow sandbox env)"' in err


@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_json_is_all_there_is_on_stdout(
    command: str, cloud: type[FakeSandbox], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["sandbox", command, "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert state["running"] is (command == "up")


def test_status_is_a_table_for_people(
    cloud: type[FakeSandbox], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["sandbox", "status"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["running", "no"]
    assert "http://127.0.0.1:7080/v1" in out


def test_env_is_for_eval_and_starts_the_sandbox(
    cloud: type[FakeSandbox], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert app.run(["sandbox", "env"]) == 0
    out, err = capsys.readouterr()
    assert cloud.calls == ["up"]
    assert "starting" in err
    assert "starting" not in out
    assert f"export PULUMI_OPTION_CWD={tmp_path}/project" in out
    assert all(line.startswith(("export ", "unset ")) for line in out.splitlines())


def test_reset_asks_first_and_a_no_changes_nothing(
    cloud: type[FakeSandbox], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    terminal = io.StringIO("n\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert app.run(["sandbox", "reset"]) == 1
    assert cloud.calls == []
    assert (tmp_path / "state").exists()


def test_reset_where_nobody_can_be_asked_is_exit_code_2_and_changes_nothing(
    cloud: type[FakeSandbox],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert app.run(["sandbox", "reset"]) == 2
    assert "next: add --yes" in capsys.readouterr().err
    assert cloud.calls == []


def test_reset_with_yes_forgets_the_project_and_its_state(
    cloud: type[FakeSandbox], tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "project").mkdir()
    assert app.run(["sandbox", "reset", "--yes"]) == 0
    assert cloud.calls == ["reset"]
    assert not (tmp_path / "state").exists()
    assert not (tmp_path / "project").exists()


def test_a_reset_tells_a_program_what_was_removed(
    cloud: type[FakeSandbox], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["sandbox", "reset", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"removed": str(tmp_path)}


def test_a_team_tells_a_program_where_its_repositories_are(
    cloud: type[FakeSandbox], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(SandboxTeam, "seed", lambda _: None)
    assert app.run(["sandbox", "team", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "application": "http://127.0.0.1:7090/example-org/fieldwork",
        "deployment": "http://127.0.0.1:7090/example-org/deployment",
    }


def test_an_error_names_the_problem_and_the_remedy_and_exits_1(
    cloud: type[FakeSandbox], capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.failure = FlowError("port 7080 is taken [by x]", "stop what listens there")
    assert app.run(["sandbox", "up"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error: port 7080 is taken [by x]\nnext: stop what listens there\n"


def test_an_error_of_the_sandbox_is_a_sentence_and_no_traceback(
    cloud: type[FakeSandbox], capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.failure = SandboxError("port 53 is taken; end the program that has it")
    assert app.run(["sandbox", "up"]) == 1
    assert capsys.readouterr().err == "error: port 53 is taken; end the program that has it\n"


def test_a_fault_of_ours_is_not_hidden(cloud: type[FakeSandbox]) -> None:
    cloud.failure = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        app.run(["sandbox", "up"])


@pytest.mark.parametrize("arguments", [["nonsense"], ["sandbox", "up", "--colour"]])
def test_wrong_usage_exits_2(
    arguments: list[str], cloud: type[FakeSandbox], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(arguments) == 2
    assert "--help" in capsys.readouterr().err


def test_ctrl_c_exits_130(cloud: type[FakeSandbox], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cloud, "up", interrupted)
    assert app.run(["sandbox", "up"]) == 130


def test_a_job_in_the_background_can_be_interrupted_too() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell starts it
    try:
        app.listen()
        # A handler, not SIG_IGN: what is started from here gets the default.
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_shell_says_that_it_is_the_sandboxs(
    cloud: type[FakeSandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(os, "execvpe", lambda *given: started.append(given))
    monkeypatch.setenv("SHELL", "/bin/bash")
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", "real")
    assert app.run(["sandbox", "shell"]) == 0
    program, arguments, environment = started[0]
    assert (program, arguments) == ("/bin/bash", ["/bin/bash"])
    assert "PULUMI_ACCESS_TOKEN" not in environment
    shown = subprocess.run(
        [
            "/bin/bash",
            "-c",
            'PS1="$ "; eval "$PROMPT_COMMAND"; eval "$PROMPT_COMMAND"; echo "$PS1"',
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown == "(sandbox) $ \n"


def test_no_colour_where_it_is_not_wanted(
    cloud: type[FakeSandbox], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    cloud.failure = FlowError("no")
    app.run(["sandbox", "up"])
    assert "\x1b" not in capsys.readouterr().err


def test_the_command_is_installed_and_completes_in_a_shell() -> None:
    flow = Path(sys.executable).parent / "flow"
    shown = subprocess.run(
        [str(flow)],
        env={
            "PATH": os.environ["PATH"],
            "_FLOW_COMPLETE": "complete_bash",
            "COMP_WORDS": "flow sandbox re",
            "COMP_CWORD": "2",
        },
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert shown.split() == ["reset"]


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("flow deploy st", ["staging"]), ("flow demo end fe", ["feature-demo-x"])],
)
def test_a_shell_completes_environments_and_branches(
    typed: str,
    completed: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stacks = Stacks()
    stacks.states = {name: {} for name in ("dev", "staging", "feature-demo-x")}
    team = project_of(tmp_path, stacks, monkeypatch)
    monkeypatch.setattr(project, "find", lambda: team)
    monkeypatch.setenv("_FLOW_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    with pytest.raises(SystemExit):
        app.run([])
    assert capsys.readouterr().out.split() == completed
