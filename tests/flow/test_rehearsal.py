"""`make rehearsal`, whole: a team's flow by pushes, pull requests and releases alone."""

import re
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
    for lane in ("development", "staging", "hotfix", "prod", "demo", "reaper"):
        assert f">{lane}</text>" in text
    jobs = re.findall(r'<a href="(http://127\.0\.0\.1:7090/[^"]+)"', text)
    assert len(jobs) > 10
