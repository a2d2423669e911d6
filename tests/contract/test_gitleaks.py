"""gitleaks, built from its pinned module, as `make secrets` runs it."""

import subprocess
from pathlib import Path

import pytest

from toolchain import leaks

pytestmark = pytest.mark.toolchain
# In halves, so that this file is none of its findings.
TOKEN = "ghp_" + "x7Kq2mVb9TzRw4LsNc8YdJh3Fg6PaQe1UiOk"


@pytest.fixture(scope="module")
def gitleaks() -> Path:
    return leaks.program(print)


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_neither_a_file_nor_a_commit_of_this_project_holds_a_secret(
    gitleaks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leaks.main([]) == 0
    assert capsys.readouterr().err == ""


def test_a_planted_secret_is_found_in_a_file_and_once_it_is_gone_in_the_history(
    gitleaks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(tmp_path, "init", "-q")
    file = tmp_path / "settings.py"
    file.write_text(f'GITHUB_TOKEN = "{TOKEN}"\n')
    (tmp_path / ".gitignore").write_text(".env\n")
    (tmp_path / ".env").write_text(f"GITHUB_TOKEN={TOKEN}\n")
    git(tmp_path, "add", ".gitignore")
    git(tmp_path, "commit", "-qm", "first")
    assert leaks.main([str(tmp_path)]) == leaks.FOUND
    said = capsys.readouterr().err
    assert "secret: github-pat: settings.py:1" in said
    assert ".env" not in said, "what git ignores is a person's own"
    assert TOKEN not in said
    git(tmp_path, "add", "settings.py")
    git(tmp_path, "commit", "-qm", "second")
    file.write_text("GITHUB_TOKEN = None\n")
    git(tmp_path, "commit", "-qam", "third")
    assert leaks.main([str(tmp_path)]) == leaks.FOUND
    said = capsys.readouterr().err
    assert said.count("secret: github-pat: settings.py:1 ") == 1
    assert "Next: revoke" in said


def test_what_is_no_checkout_is_said(
    gitleaks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leaks.main([str(tmp_path)]) == leaks.NOT_LOOKED
    assert "cannot be read by git" in capsys.readouterr().err
