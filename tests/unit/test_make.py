"""The Makefile, CI and the test configuration agree with each other and with the documents."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STAMPS = (".venv/.installed", ".toolchain/.installed")


def _planned(target: str, *variables: str) -> str:
    """What make would run, without running it, as if set-up were done."""
    # What the make that runs these tests was given is not handed on.
    own = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "PYTEST_ARGS")}
    done = subprocess.run(
        ["make", "--dry-run", *(f"--old-file={stamp}" for stamp in STAMPS), target, *variables],
        cwd=ROOT,
        env=own,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_second_setup_has_nothing_to_do() -> None:
    """Where it fails, what is installed is older than what it is made from: `make setup`."""
    done = subprocess.run(
        ["make", "--question", "setup"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"run make setup{done.stdout}{done.stderr}"


def test_an_installed_toolchain_is_left_as_it_is(tmp_path: Path) -> None:
    record = ROOT / ".toolchain/installed.json"
    before = record.read_bytes(), record.stat().st_mtime_ns
    done = subprocess.run(
        [sys.executable, "-m", "toolchain.install"],
        cwd=ROOT,
        # An empty cache, and no Go, no Pulumi and no network to fill it with.
        env={"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
    assert (record.read_bytes(), record.stat().st_mtime_ns) == before


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("test", ".venv/bin/pytest --numprocesses 2"),
        ("unit", ".venv/bin/pytest --numprocesses 2 tests/unit"),
        ("lint", ".venv/bin/mypy"),
        ("lint", ".venv/bin/python -m toolchain.audit --where-reachable"),
        ("audit", ".venv/bin/python -m toolchain.audit"),
        ("secrets", ".venv/bin/python -m toolchain.leaks"),
        ("rehearsal", ".venv/bin/flow rehearse"),
        ("bench", ".venv/bin/python -m bench.run"),
        ("script", "python3 -m feature_demo > feature-demo.sh.new"),
    ],
)
def test_what_ci_runs_is_what_the_documents_name(target: str, command: str) -> None:
    assert command in [line.rstrip() for line in _planned(target).splitlines()]


@pytest.mark.parametrize("tool", [".toolchain/bin/actionlint", ".venv/bin/zizmor"])
def test_lint_reads_every_workflow_file(tool: str) -> None:
    (line,) = [each for each in _planned("lint").splitlines() if tool in each]
    files = sorted(str(file.relative_to(ROOT)) for file in ROOT.glob(".github/workflows/*.yml"))
    assert files
    assert [file for file in files if file not in line] == []


@pytest.mark.parametrize(
    ("tool", "kind"),
    [(".venv/bin/shellcheck", "a shell script"), (".venv/bin/hadolint", "a Dockerfile")],
)
def test_lint_reads_every_shell_script_and_every_dockerfile(tool: str, kind: str) -> None:
    (line,) = [each for each in _planned("lint").splitlines() if each.startswith(tool)]
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    files = {each for each in listed.splitlines() if _kind(ROOT / each) == kind}
    assert files
    assert {word.removeprefix("./") for word in line.split()[1:]} == files


def _kind(file: Path) -> str:
    if file.name.endswith("Dockerfile"):
        return "a Dockerfile"
    with file.open("rb") as content:
        first = content.readline().rstrip()
    return "a shell script" if first.startswith(b"#!") and first.endswith(b"sh") else ""


@pytest.mark.parametrize(
    ("tool", "name", "planted", "said"),
    [
        (
            ".venv/bin/bandit",
            "bad.py",
            "import subprocess\n\nsubprocess.run('ls ' + input(), shell=True)\n",
            "B602",
        ),
        (".venv/bin/shellcheck", "bad", "#!/bin/sh\nrm -rf $1/*\n", "SC2086"),
        (".venv/bin/hadolint", "Dockerfile", "FROM debian:latest\n", "DL3007"),
    ],
)
def test_a_planted_finding_fails_lint(
    tmp_path: Path, tool: str, name: str, planted: str, said: str
) -> None:
    """Each tool as `make lint` calls it, in a folder with its settings and one bad file."""
    (line,) = [each for each in _planned("lint").splitlines() if each.startswith(tool)]
    for settings in ("pyproject.toml", ".hadolint.yaml"):
        (tmp_path / settings).write_text((ROOT / settings).read_text())
    file = tmp_path / name
    file.write_text(planted)
    command = [word for word in line.split() if not word.startswith("./")]
    command[0] = str(ROOT / command[0])
    if "." not in command:
        command.append(name)
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (found.returncode, said in found.stdout) == (1, True), found.stdout + found.stderr
    file.unlink()
    if "." in command:
        assert (
            subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
        )


def test_keep_leaves_a_rehearsal_running() -> None:
    assert ".venv/bin/flow rehearse --keep" in _planned("rehearsal", "KEEP=1")


def test_ci_sets_up_checks_and_ends_with_the_tests() -> None:
    script = (ROOT / ".ci/run").read_text().splitlines()
    made = [line.strip() for line in script if line.strip().startswith("make ")]
    assert made == ["make setup", "make lint", "make test"]
    assert script[-1] == "make test"


def test_the_markers_of_the_documents_exist() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert {marker.partition(":")[0] for marker in options["markers"]} >= {
        "slow",
        "flow",
        "sandbox",
    }


def test_warnings_are_errors_in_tests() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert options["filterwarnings"] == ["error"]


def test_every_target_says_what_it_does() -> None:
    shown = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    targets = {line.split()[1] for line in shown.splitlines()}
    assert {
        "setup",
        "rehearsal",
        "test",
        "unit",
        "lint",
        "audit",
        "secrets",
        "bench",
        "clean",
    } <= targets
