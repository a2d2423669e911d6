"""What a pull request changes for the stacks: mistakes and differences, and no secret in either."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from preview import check, comment
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served
from tests.unit.github_hub import served as served

ROOT = Path(__file__).resolve().parents[2]
NOW = 1_900_000_000.0
CIPHER, OTHER = "v1:abcdefgh:ciphertext-one", "v1:abcdefgh:ciphertext-two"
FILES = {
    "Pulumi.yaml": (ROOT / "Pulumi.yaml").read_text(),
    "Pulumi.dev.yaml": f"""
config:
  deployment-flow:zone: example.org
  deployment-flow:serverType: cx23
  deployment-flow:secrets:
    MAIL_PASSWORD: {{secure: {CIPHER}}}
  hcloud:token: {{secure: {CIPHER}}}
""",
}


def with_dev(old: str, new: str) -> dict[str, str]:
    assert old in FILES["Pulumi.dev.yaml"]
    return {**FILES, "Pulumi.dev.yaml": FILES["Pulumi.dev.yaml"].replace(old, new)}


def test_the_projects_own_stacks_are_right() -> None:
    files = {file.name: file.read_text() for file in ROOT.glob("Pulumi.*yaml")}
    text, right = check.report(files, files, NOW)
    assert right, text
    assert text.count(": right, 0 changed") == 3


def test_a_changed_setting_is_told_with_what_it_was() -> None:
    text, right = check.report(FILES, with_dev("cx23", "cx33"), NOW)
    assert right
    assert "**dev**: right, 1 changed" in text
    assert "| `serverType` | `cx23` | `cx33` |" in text


def test_a_new_default_changes_every_stack_that_does_not_say_otherwise() -> None:
    declared = FILES["Pulumi.yaml"]
    assert "default: 14\n" in declared
    after = {**FILES, "Pulumi.yaml": declared.replace("default: 14\n", "default: 7\n")}
    assert "| `ttlDays` | `14` | `7` |" in check.report(FILES, after, NOW)[0]


def test_every_mistake_is_told_at_once_with_its_remedy() -> None:
    after = with_dev("deployment-flow:zone: example.org", "deployment-flow:zon: example.org")
    after = {**after, "Pulumi.dev.yaml": after["Pulumi.dev.yaml"].replace("cx23", "''")}
    after["Pulumi.dev.yaml"] += "  deployment-flow:volumeSize: ten\n"
    text, right = check.report(FILES, after, NOW)
    assert not right
    assert "deployment-flow:zon is no setting. Did you mean zone?" in text
    assert "deployment-flow:volumeSize" in text


def test_a_changed_secret_is_told_and_neither_of_its_values() -> None:
    text, right = check.report(FILES, with_dev(CIPHER, OTHER), NOW)
    assert right, text
    assert "| `secrets` | `(secret)` | `(secret), another` |" in text
    assert "| `hcloud:token` | `(secret)` | `(secret), another` |" in text
    assert "ciphertext" not in text


@pytest.mark.parametrize("name", ["hcloud:token", "deployment-flow:registryPassword"])
def test_a_secret_in_plain_text_is_a_mistake_and_is_not_shown(name: str) -> None:
    plain = yaml.safe_dump({"config": {"deployment-flow:zone": "example.org", name: "hush-hush"}})
    text, right = check.report(FILES, {**FILES, "Pulumi.dev.yaml": plain}, NOW)
    assert not right
    assert "in plain text" in text
    assert "hush" not in text


def test_a_stack_that_is_new_or_gone_is_told() -> None:
    staging = {**FILES, "Pulumi.staging.yaml": FILES["Pulumi.dev.yaml"]}
    assert "| `serverType` |  | `cx23` |" in check.report(FILES, staging, NOW)[0]
    assert "**staging** has no file any more" in check.report(staging, FILES, NOW)[0]


def test_the_command_compares_with_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def git(*words: str) -> None:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, timeout=30)

    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    git("init", "--quiet", "--initial-branch=main")
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    (tmp_path / "Pulumi.dev.yaml").write_text(with_dev("cx23", "cx33")["Pulumi.dev.yaml"])
    monkeypatch.setattr(check, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["check", "--base", "main"])
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    assert check.main() == 0
    told = capsys.readouterr().out
    assert "| `serverType` | `cx23` | `cx33` |" in told
    assert (tmp_path / "summary").read_text() in told
    assert (tmp_path / "output").read_text().startswith("text<<end-")
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {a: [}")
    assert check.main() == 1
    assert "Not YAML" in capsys.readouterr().out


def test_a_value_cannot_break_out_of_the_table() -> None:
    text, _ = check.report(FILES, with_dev("cx23", '"cx`|@org/all"'), NOW)
    assert "| `serverType` | `cx23` | `cx'\\|@org/all` |" in text


def test_the_comment_is_written_once_and_renewed(served: Served) -> None:
    push(served, "main", {"a.txt": "one\n"}, who="maintainer", message="First")
    push(served, "topic")
    pull = served.repo.create_pull(base="main", head="topic", title="Bigger", body="")
    # Somebody who writes the mark does not catch the comment.
    pull.create_issue_comment(f"{comment.MARK}\nmine")
    app = served.http(token=served.signed())
    installation = app.get(f"/repos/{FULL_NAME}/installation").json()["id"]
    token = app.post(f"/app/installations/{installation}/access_tokens", json={}).json()["token"]
    environment = {
        "GITHUB_API_URL": f"{served.url}/api/v3",
        "GITHUB_REPOSITORY": FULL_NAME,
        "GITHUB_TOKEN": token,
    }
    first = comment.write(pull.number, {**environment, "TEXT": "one"})
    assert comment.write(pull.number, {**environment, "TEXT": "two"}) == first
    assert [each.body for each in pull.get_issue_comments()] == [
        f"{comment.MARK}\nmine",
        f"{comment.MARK}\ntwo",
    ]


def test_unreviewed_code_runs_without_a_credential_and_what_may_write_runs_the_bases() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/preview.yml").read_text())["jobs"]
    ours = jobs["settings"]
    assert ours["permissions"] == {"contents": "read"}
    assert "environment" not in ours
    assert "secrets" not in str(ours)
    assert "github.token" not in str(ours)
    writing = jobs["comment"]
    assert writing["steps"][0]["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
