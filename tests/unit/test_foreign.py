"""The sandbox's shell shuts the world out: no variable that is read comes in unnoticed."""

import os
from pathlib import Path
from typing import Any

import pytest

from flow import foreign, sandbox_project
from flow.sandbox_project import SandboxProject
from tests.unit.test_cli_project import credentials as credentials
from tests.unit.test_cli_project import project as project
from tests.unit.variables_read import known

A_RUN = "GitHub says it of a workflow's run; the commands of a job alone read it"
# What a person's own value of reaches no account, and why it stays.
LET_THROUGH = {
    "DOCKER_BUILDKIT": "set for `docker build`, not read",
    "FLOW_APPLICATION": "a folder of this machine",
    "FLOW_CLOCK_AHEAD": "seconds, for trying what happens later",
    "FLOW_DUMPS": "a folder of this machine",
    "FLOW_GIT_TOKEN": "set for git alone, by what fetches with it",
    "FLOW_JOB": A_RUN,
    "FLOW_ONLY_PREVIEW": "that nothing will follow",
    "FLOW_PYTHON": "set for the sandbox's runner, not read here",
    "FLOW_SANDBOX_DIR": "where the sandbox is",
    "GITHUB_ACTIONS": A_RUN,
    "GITHUB_ACTOR": A_RUN,
    "GITHUB_EVENT_NAME": A_RUN,
    "GITHUB_EVENT_PATH": A_RUN,
    "GITHUB_OUTPUT": A_RUN,
    "GITHUB_REF": A_RUN,
    "GITHUB_RUN_ID": A_RUN,
    "GITHUB_SHA": A_RUN,
    "GITHUB_STEP_SUMMARY": A_RUN,
    "GITHUB_WORKSPACE": A_RUN,
    "PULUMI_AUTOMATION_API": "set for the engine, not read",
    "RUNNER_ENVIRONMENT": A_RUN,
    "SHELL": "the person's",
    "XDG_STATE_HOME": "a folder of this machine",
    "XDG_CACHE_HOME": "a folder of this machine",
}


def test_readings_are_found_in_every_form() -> None:
    found = known()
    # A default of Typer's, `in os.environ`, by a constant, of a mapping, of the workflow.
    assert found >= {"FLOW_DOMAIN", "FLOW_ONLY_PREVIEW", "DEMO_HOSTS", "BACKUP_TICKET", "FLOW_JOB"}
    assert found >= {"GITHUB_BASE_URL", "IMAGES", "SHELL"}


def test_every_variable_that_is_read_is_the_sandboxs_or_shut_out_or_let_through_for_a_reason(
    project: SandboxProject,
) -> None:
    ruled = {*project.environment(), *foreign.FOREIGN, *LET_THROUGH}
    assert sorted(known() - ruled) == []


def test_nothing_is_let_through_that_nobody_reads_any_more() -> None:
    assert sorted(set(LET_THROUGH) - known()) == []


def test_what_is_let_through_is_not_shut_out() -> None:
    assert sorted(set(LET_THROUGH) & set(foreign.FOREIGN)) == []


@pytest.fixture
def machine_that_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    """This shell's demos go to a machine of the team's."""
    monkeypatch.setenv("DEMO_HOSTS", "feature-demo/x root@198.51.100.7 ssh-ed25519 AAAA")


@pytest.mark.usefixtures("machine_that_exists")
def test_a_process_of_the_sandboxs_hears_of_no_machine_that_exists(
    project: SandboxProject,
) -> None:
    around = project.surroundings()
    assert "DEMO_HOSTS" not in around
    assert around["HCLOUD_ENDPOINT"] == project.credentials["endpoint"]


@pytest.mark.usefixtures("machine_that_exists")
def test_the_engine_which_has_our_environment_too_hears_of_none(
    credentials: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_project, "Stacks", lambda _folder, around, _engine: around)
    around: Any = SandboxProject(tmp_path, tmp_path, credentials).stacks
    assert {**os.environ, **around}["DEMO_HOSTS"] == ""
