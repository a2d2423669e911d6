"""preview.yml as it is, run for pull requests that change settings: a team's own and a fork's."""

import site
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from preview.comment import MARK
from sandbox.github.actions import Actions
from sandbox.github.actions.expressions import PROGRAM
from sandbox.github.actions.jobs import log_of
from sandbox.github.actions.runner import ACT
from sandbox.store import Record
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served, served

__all__ = ["served"]
pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(120)]

ROOT = Path(__file__).resolve().parents[2]
# What the check reads and runs.
PARTS = (
    *(".github/workflows/preview.yml", "Pulumi*.yaml", "settings*.py", "preview", "components"),
    *("requirements.txt", "constraints.txt", "example/compose.yaml"),
)
CANARY = "canary-of-the-flow"
# A fork's own code in the job that runs it: it looks for what it could take away.
NOSY = """
import os, pathlib, sys
print("settings of the fork ran")
print("nosy:", sorted(name for name in os.environ if "TOKEN" in name or "SECRET" in name))
print("nosy:", {name: value for name, value in os.environ.items() if "canary" in value})
print("nosy:", pathlib.Path(".git/config").read_text())
with open(os.environ["GITHUB_OUTPUT"], "a") as file:
    file.write("text=the fork's own words\\n")
"""


@pytest.fixture
def running(served: Served) -> Iterator[Actions]:
    if not (ACT.exists() and PROGRAM.exists()):
        pytest.skip("act and workflow-expressions are not built; `make toolchain` builds them")
    served.repo.edit(private=False)
    listed = ["git", "ls-files", "--", *PARTS]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True, timeout=20)
    files = {name: (ROOT / name).read_text() for name in names.stdout.split()}
    push(served, "main", files, who="maintainer")
    served.repo.create_secret("HCLOUD_TOKEN", CANARY)
    served.repo.create_variable("NOTE", f"{CANARY}-variable")
    # This runner has the requirements already, so that pip need not fetch them for every run.
    actions = Actions(served.hub, environment=lambda: {"PYTHONPATH": site.getsitepackages()[0]})
    served.hub.listen(actions.on_event)
    actions.start()
    yield actions
    actions.stop()


def bigger() -> dict[str, str]:
    """Files that change a setting of dev."""
    text = (ROOT / "Pulumi.dev.yaml").read_text()
    settings = yaml.safe_load(text)["config"]
    old = f"serverType: {settings['deployment-flow:serverType']}"
    assert text.count(old) == 1
    return {"Pulumi.dev.yaml": text.replace(old, "serverType: cx43")}


def jobs(served: Served, running: Actions) -> dict[str, Record]:
    """The jobs of the newest run, by name, once it has ended."""
    assert running.settle(90), "the run did not come to rest"
    newest = served.hub.store.all("run", FULL_NAME)[-1]
    found = served.hub.store.all("job", FULL_NAME)
    return {each["name"]: each for each in found if each["run_id"] == newest["id"]}


def log(served: Served, job: Record) -> str:
    return log_of(served.hub, job).read_text()


def test_a_pull_request_that_changes_settings_is_answered_with_what_it_changes_and_renewed(
    served: Served, running: Actions
) -> None:
    push(served, "bigger", bigger())
    developer = served.client("developer").get_repo(FULL_NAME)
    pull = developer.create_pull(base="main", head="bigger", title="A bigger dev", body="")
    done = jobs(served, running)
    told = "\n".join(log(served, each) for each in done.values())
    assert {name: each["conclusion"] for name, each in done.items()} == {
        "settings of every stack": "success",
        "comment": "success",
    }, told
    (comment,) = pull.get_issue_comments()
    assert comment.user.login == "github-actions[bot]"
    assert comment.body.startswith(MARK)
    assert "**dev**: right, 1 changed" in comment.body
    assert "| `serverType` | `cx23` | `cx43` |" in comment.body
    wrong = {"Pulumi.dev.yaml": bigger()["Pulumi.dev.yaml"].replace("serverType", "servertype")}
    push(served, "bigger", wrong, message="Mistyped")
    again = jobs(served, running)
    assert again["settings of every stack"]["conclusion"] == "failure"
    (renewed,) = pull.get_issue_comments()
    assert renewed.id == comment.id
    assert "servertype is no setting. Did you mean serverType?" in renewed.body


def test_a_forks_pull_request_gets_no_secret_and_no_comment(
    served: Served, running: Actions
) -> None:
    outsider = served.client("outsider")
    fork = outsider.get_repo(FULL_NAME).create_fork()
    files = {**bigger(), "preview/check.py": NOSY}
    push(served, "idea", files, who="outsider", full_name=fork.full_name)
    upstream = outsider.get_repo(FULL_NAME)
    pull = upstream.create_pull(base="main", head="outsider:idea", title="An idea", body="")
    done = jobs(served, running)
    settings = done["settings of every stack"]
    said = log(served, settings)
    assert settings["conclusion"] == "success", said
    assert "settings of the fork ran" in said
    assert "nosy: []" in said
    assert "nosy: {}" in said
    assert CANARY not in said
    assert "extraheader" not in said
    assert done["comment"]["conclusion"] == "skipped"
    assert list(pull.get_issue_comments()) == []
