"""Events start workflow files of real repositories, and act runs their jobs."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.github.access import Caller
from sandbox.github.actions.expressions import PROGRAM
from sandbox.github.actions.runner import ACT
from tests.sandbox.github_world import WORKFLOW, World

pytestmark = pytest.mark.toolchain


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    if not (ACT.exists() and PROGRAM.exists()):
        pytest.skip("act and workflow-expressions are not built; `make toolchain` builds them")
    world = World(tmp_path)
    yield world
    world.close()


def test_a_push_runs_a_job_on_the_commit_with_a_token_of_its_own(world: World) -> None:
    fieldwork = world.repository()
    sha = world.push(
        fieldwork,
        {
            "name.txt": "fieldwork",
            WORKFLOW: """
name: CI
on: {push: {branches: [main]}}
permissions: {contents: read}
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: echo "$(cat name.txt) at $GITHUB_SHA on $GITHUB_REF_NAME by ${{ github.actor }}"
      - env: {TOKEN: "${{ github.token }}"}
        run: test "${TOKEN#ghs_}" != "$TOKEN" && git rev-parse HEAD
""",
        },
    )
    run = world.run(fieldwork)
    assert (run["status"], run["conclusion"], run["name"]) == ("completed", "success", "CI"), run[
        "error"
    ] + world.log(run, "build")
    assert f"fieldwork at {sha} on main by developer" in world.log(run, "build")
    assert not re.search("ghs_[0-9a-f]{20}", world.log(run, "build"))
    job = world.jobs(run)["build"]
    assert [step["conclusion"] for step in job["steps"]] == ["success"] * 3
    check = world.hub.store.get("check_run", job["check_run"])
    assert check
    assert (check["name"], check["conclusion"], check["head_sha"]) == ("build", "success", sha)
    tokens = [t for t in world.hub.store.all("token") if t["kind"] == "workflow"]
    assert tokens == []


def test_what_a_runs_token_pushes_starts_nothing(world: World) -> None:
    fieldwork = world.repository()
    text = "{on: push, jobs: {a: {runs-on: x, steps: [{run: 'true'}]}}}"
    world.push(fieldwork, {WORKFLOW: text}, by=Caller("github-actions[bot]", "workflow"))
    assert world.runs(fieldwork) == []
