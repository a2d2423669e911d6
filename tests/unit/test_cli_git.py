"""git with a token: who is offered it, and where it never stands."""

import sys
from pathlib import Path

import pytest

from flow import git
from flow.errors import FlowError
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served
from tests.unit.github_hub import served as served

PLAIN = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_ASKPASS": ""}


def test_a_token_opens_what_it_is_for_and_nothing_else(served: Served, tmp_path: Path) -> None:
    sha = push(served, "main", who="maintainer")
    address = f"{served.url}/{FULL_NAME}.git"
    token = served.tokens["developer"]

    def listed(token: str = "", site: str = "") -> str:
        told = ("ls-remote", address, "main")
        return git.run(tmp_path, *told, token=token, site=site, environment=PLAIN)

    assert listed(token=token).startswith(sha)
    assert listed(token=token, site=served.url).startswith(sha)
    for given in ({}, {"token": token, "site": "https://github.com"}, {"token": "ghp_wrong"}):
        with pytest.raises(FlowError) as raised:
            listed(**given)
        assert raised.value.problem.startswith("git ls-remote: ")
        assert token not in raised.value.problem


def test_a_token_stands_in_no_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "git"
    program.write_text(f"#!{sys.executable}\nimport sys; print(sys.argv)\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = git.run(tmp_path, "push", token="ghp_hush", site="https://github.com")
    assert "credential.https://github.com.helper=" in said
    assert "ghp_hush" not in said
