"""`make rehearsal`, whole: a team's flow by pushes, pull requests and releases alone."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from flow.errors import FlowError
from flow.looking import look
from flow.rehearsal import Rehearsal
from flow.sandbox_project import SandboxProject
from flow.stages import Stages

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1500)]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def told(shared_project: SandboxProject) -> Rehearsal:
    """The rehearsal, once it went through."""
    stages = Stages()
    rehearsal = Rehearsal(ROOT, shared_project.directory, stages)
    with stages:
        rehearsal.run()
    assert {stage.state for stage in stages.all} == {"done"}
    return rehearsal


def test_the_rehearsal_goes_through_and_leaves_no_trace_of_its_demos(
    told: Rehearsal, shared_project: SandboxProject
) -> None:
    assert set(told.urls) == {
        "dev", "staging", "prod", "feature-demo-mapping-party", "feature-demo-outlived",
    }  # fmt: skip
    assert not [name for name in shared_project.stacks.names() if name.startswith("feature-demo")]


def test_a_look_at_a_stage_that_serves_another_version_fails(
    told: Rehearsal, shared_project: SandboxProject
) -> None:
    trust = Path(str(shared_project.credentials["trust"]))
    with pytest.raises(FlowError, match=r"does not serve version 9\.9\.9"):
        look(told.urls["staging"], "9.9.9", trust, patience=1)


def test_its_page_shows_every_act_and_every_job_with_a_link(told: Rehearsal) -> None:
    text = told.report.read_text()
    for lane in (
        *("development", "staging", "hotfix", "rollback", "prod", "recovery", "demo", "reaper"),
    ):
        assert f">{lane}</text>" in text
    jobs = re.findall(r'<a href="(http://127\.0\.0\.1:7090/[^"]+)"', text)
    assert len(jobs) > 10


@pytest.fixture(scope="module")
def browser() -> str:
    """Chromium, from the distribution where it is missing."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        subprocess.run(["apt-get", "-qq", *command], check=True, timeout=600, capture_output=True)
    return "chromium"


def test_a_browser_draws_its_page(told: Rehearsal, browser: str, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,1600"]

    def look_at(*more: str) -> str:
        return subprocess.run(
            [browser, *options, f"--user-data-dir={tmp_path}", *more, told.report.as_uri()],
            check=True, timeout=120, capture_output=True, text=True,
        ).stdout  # fmt: skip

    drawn = look_at("--dump-dom")
    assert drawn.count('class="span"') == len(told.spans) > 30
    assert max(span.end for span in told.spans) < 3600
    look_at(f"--screenshot={picture}")
    assert picture.stat().st_size > 20_000  # an empty page has 5,000
