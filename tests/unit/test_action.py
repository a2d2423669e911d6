"""The action's two scripts: a run stands in the application's checkout and runs none of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of ours with the scripts and nothing else."""
    root = tmp_path / "ours"
    shutil.copytree(ROOT / "action", root / "action")
    return root


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """An application with modules of the names that ours and Python's own have."""
    folder = tmp_path / "application"
    for file in ("flow/__init__.py", "flow/app.py", "logging.py", "settings.py", "venv.py"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(f"print('{file} of the application')\n")
    return folder


def run(script: Path, folder: Path, **environment: str) -> str:
    """What it says, from within `folder`."""
    done = subprocess.run(
        [str(script)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PATH": os.environ["PATH"], **environment},
    )
    return done.stdout


def test_flow_is_ours_whatever_the_application_has(checkout: Path, application: Path) -> None:
    (checkout / "flow").mkdir()
    (checkout / "flow/__init__.py").touch()
    (checkout / "flow/app.py").write_text("import logging, settings\nprint('ours')\n")
    (checkout / "settings.py").touch()
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(sys.executable)
    assert run(checkout / "action/flow", application) == "ours\n"


SetUp = Callable[..., list[list[str]]]


@pytest.fixture
def set_up(checkout: Path, application: Path, tmp_path: Path) -> SetUp:
    """Set up for a job, from within the application; the command lines Python was started with.

    The first word of each is the folder it was started in.
    """
    for file in ("requirements.txt", "constraints.txt"):
        (checkout / file).touch()
    said = tmp_path / "said"
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        f'echo "$PWD $*" >> {said}\n'
        'case "$*" in *print*) echo 3.11 ;; *toolchain*) exit ${ENGINE:-0} ;; esac\n'
        f'[ "$2" != venv ] || {{ mkdir -p "$3/bin"; cp {python} "$3/bin/python"; '
        f'cp {python} "$3/bin/pip"; }}\n'
    )
    python.chmod(0o755)

    def make(job: str, **environment: str) -> list[list[str]]:
        run(
            checkout / "action/set-up",
            application,
            FLOW_PYTHON=str(python),
            FLOW_JOB=job,
            XDG_CACHE_HOME=str(tmp_path / "cache"),
            **environment,
        )
        return [line.split() for line in said.read_text().splitlines()]

    return make


def modules(lines: list[list[str]]) -> set[str]:
    return {line[2] for line in lines if "-m" in line}


def test_the_set_up_stands_in_our_own_checkout_whenever_it_starts_python(
    checkout: Path, set_up: SetUp
) -> None:
    lines = set_up("deploy")
    assert modules(lines) == {"venv", "toolchain.install"}
    assert {line[0] for line in lines} == {str(checkout)}


def test_a_run_takes_the_pinned_engine_whatever_the_runners_image_has(set_up: SetUp) -> None:
    (engine,) = (line for line in set_up("deploy") if "toolchain.install" in line)
    assert engine[3:] == ["--without-sandbox", "--pinned"]


@pytest.mark.parametrize("job", ["build", "promote", "back-merge", "backup-prod"])
def test_a_job_that_changes_no_stack_waits_for_no_engine(set_up: SetUp, job: str) -> None:
    assert modules(set_up(job)) == {"venv"}


def test_an_engine_that_cannot_be_had_fails_the_set_up(set_up: SetUp) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        set_up("deploy", ENGINE="1")


def test_the_set_up_is_told_which_job_it_is_for() -> None:
    first, *_ = yaml.safe_load((ROOT / "action/action.yml").read_text())["runs"]["steps"]
    assert first["env"] == {"FLOW_JOB": "${{ inputs.job }}"}


def test_flow_runs_in_the_place_of_the_steps_shell_which_alone_hears_of_a_cancelled_run(
    checkout: Path, tmp_path: Path
) -> None:
    *_, last = yaml.safe_load((ROOT / "action/action.yml").read_text())["runs"]["steps"]
    flow = checkout / "action/flow"
    flow.write_text('#!/bin/sh\necho "$$ $*"\n')
    script = tmp_path / "step"
    script.write_text(last["run"])
    shell = subprocess.Popen(
        ["bash", "-e", str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "GITHUB_ACTION_PATH": str(flow.parent), "FLOW_JOB": "end"},
    )
    said, _ = shell.communicate(timeout=20)
    assert said == f"{shell.pid} workflow end\n"
