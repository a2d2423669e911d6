"""`make rehearsal`, whole: every stage of the flow with the real engine."""

from pathlib import Path

import pytest

from flow.errors import FlowError
from flow.looking import look
from flow.rehearsal import DEMO_BRANCH, Rehearsal, labelled
from flow.sandbox_project import SandboxProject
from flow.stages import Stages

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]


def test_the_rehearsal_goes_through_and_leaves_no_trace_of_its_demo(
    shared_project: SandboxProject,
) -> None:
    stages = Stages()
    rehearsal = Rehearsal(ROOT, shared_project.directory, stages)
    with stages:
        rehearsal.run()
    assert {stage.state for stage in stages.all} == {"done"}
    assert set(rehearsal.urls) == {"dev", "staging", "feature-demo-hello"}
    assert labelled(shared_project, "feature-demo-hello") == []
    assert "feature-demo-hello" not in shared_project.stacks.names()
    assert DEMO_BRANCH == "feature-demo/hello"


def test_a_look_at_a_stage_that_serves_another_version_fails(
    shared_project: SandboxProject,
) -> None:
    outputs = shared_project.stacks.outputs("staging")
    trust = Path(str(shared_project.credentials["trust"]))
    with pytest.raises(FlowError, match=r"does not serve version 9\.9\.9"):
        look(str(outputs["url"]), "9.9.9", trust, patience=1)
