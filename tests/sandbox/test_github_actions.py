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


def test_jobs_go_in_the_order_of_their_needs_and_hand_on_outputs(world: World) -> None:
    fieldwork = world.repository()
    world.push(
        fieldwork,
        {
            WORKFLOW: """
on: push
jobs:
  build:
    runs-on: x
    outputs: {image: "${{ steps.b.outputs.image }}"}
    steps: [{id: b, run: 'echo image=web@sha256:1 >> "$GITHUB_OUTPUT"'}]
  deploy:
    needs: build
    runs-on: x
    steps: [{run: 'echo deploying ${{ needs.build.outputs.image }}'}]
  broken: {needs: build, runs-on: x, steps: [{run: exit 1}]}
  after: {needs: [broken], runs-on: x, steps: [{run: 'true'}]}
  later: {needs: [after], runs-on: x, steps: [{run: 'true'}]}
  tidy:
    needs: [deploy, broken]
    if: ${{ always() && needs.broken.result == 'failure' }}
    runs-on: x
    steps: [{run: 'echo tidied'}]
  never: {needs: build, if: github.ref == 'refs/heads/other', runs-on: x, steps: [{run: 'true'}]}
  soft: {runs-on: x, continue-on-error: true, steps: [{run: exit 1}]}
  softly: {needs: soft, runs-on: x, steps: [{run: 'true'}]}
"""
        },
    )
    run = world.run(fieldwork)
    assert run["conclusion"] == "failure"
    assert world.conclusions(run) == {
        "build": "success",
        "deploy": "success",
        "broken": "failure",
        "after": "skipped",
        "later": "skipped",
        "tidy": "success",
        "never": "skipped",
        "soft": "failure",
        "softly": "success",
    }
    assert "deploying web@sha256:1" in world.log(run, "deploy")


def test_a_matrix_runs_each_combination_and_stops_when_one_fails(world: World) -> None:
    fieldwork = world.repository()
    world.push(
        fieldwork,
        {
            WORKFLOW: """
on: push
jobs:
  list:
    runs-on: x
    outputs: {all: '["a", "b"]'}
    steps: [{run: 'true'}]
  each:
    needs: list
    strategy:
      matrix: {name: "${{ fromJSON(needs.list.outputs.all) }}"}
    runs-on: x
    steps: [{run: 'echo "name ${{ matrix.name }}"'}]
  stops:
    strategy: {matrix: {n: [1, 2]}}
    name: stop ${{ matrix.n }}
    runs-on: x
    steps: [{run: 'if [ ${{ matrix.n }} = 1 ]; then exit 1; else exec sleep 60; fi'}]
"""
        },
    )
    run = world.run(fieldwork)
    found = world.conclusions(run)
    assert (found["each (a)"], found["each (b)"]) == ("success", "success")
    assert "name b" in world.log(run, "each (b)")
    assert (found["stop 1"], found["stop 2"]) == ("failure", "cancelled")


CALLED = """
on:
  workflow_call:
    inputs:
      stack: {type: string, required: true}
      protect: {type: boolean, default: true}
    outputs:
      url: {value: "${{ jobs.deploy.outputs.url }}"}
permissions: {}
jobs:
  deploy:
    permissions: {contents: read}
    runs-on: ubuntu-latest
    environment: {name: "${{ inputs.stack }}", url: "${{ steps.up.outputs.url }}"}
    concurrency: {group: "stack-${{ inputs.stack }}", queue: max}
    outputs: {url: "${{ steps.up.outputs.url }}"}
    steps:
      - uses: actions/checkout@v4
        with: {path: application}
      - id: up
        uses: example-org/deployment@%s
        with: {stack: "${{ inputs.stack }}"}
        env: {TOKEN: "${{ secrets.HCLOUD_TOKEN }}", HOST: "${{ secrets.DEPLOY_HOST }}"}
      - if: ${{ !inputs.protect }}
        run: echo unprotected in $GITHUB_WORKFLOW
"""
ACTION = """
name: deploy
inputs: {stack: {required: true}}
outputs: {url: {value: "${{ steps.run.outputs.url }}"}}
runs:
  using: composite
  steps:
    - id: run
      shell: bash
      env: {STACK: "${{ inputs.stack }}"}
      run: |
        test -f "$GITHUB_ACTION_PATH/Pulumi.yaml"
        echo "up $STACK of $(cat application/name.txt) with ${#TOKEN} on ${#HOST}"
        echo "url=https://$STACK.example.org" >> "$GITHUB_OUTPUT"
"""


def test_a_called_workflow_of_another_repository_deploys_with_inherited_secrets(
    world: World,
) -> None:
    deployment, fieldwork = world.repository("deployment"), world.repository()
    action = world.push(deployment, {"action.yml": ACTION, "Pulumi.yaml": "name: x"})
    flow = world.push(deployment, {".github/workflows/flow.yml": CALLED % action})
    world.environment(fieldwork, "dev")
    world.secret(fieldwork, "HCLOUD_TOKEN", "not-for-all")
    world.secret(fieldwork, "DEPLOY_HOST", "203.0.113.9", "dev")
    world.push(
        fieldwork,
        {
            "name.txt": "fieldwork",
            WORKFLOW: f"""
name: Flow
on: push
permissions: {{contents: read}}
jobs:
  flow:
    uses: example-org/deployment/.github/workflows/flow.yml@{flow}
    with: {{stack: dev, protect: false}}
    secrets: inherit
  tell:
    needs: flow
    runs-on: x
    steps: [{{run: 'echo at ${{{{ needs.flow.outputs.url }}}}'}}]
""",
        },
    )
    run = world.run(fieldwork)
    assert run["error"] == ""
    assert world.conclusions(run) == {"flow / deploy": "success", "tell": "success"}
    log = world.log(run, "flow / deploy")
    assert "up dev of fieldwork with 11 on 11" in log
    assert "unprotected in Flow" in log
    assert "not-for-all" not in log
    assert "at https://dev.example.org" in world.log(run, "tell")
    (deployed,) = world.hub.store.all("deployment", fieldwork["full_name"])
    assert deployed["environment"] == "dev"
    newest = world.hub.store.all("deployment_status", fieldwork["full_name"])[-1]
    assert (newest["state"], newest["environment_url"]) == ("success", "https://dev.example.org")
    assert run["referenced_workflows"][0]["sha"] == flow


def test_a_called_workflow_may_not_take_more_than_its_caller_gives(world: World) -> None:
    fieldwork = world.repository()
    world.push(
        fieldwork,
        {
            ".github/workflows/inner.yml": """
on: workflow_call
jobs:
  a: {permissions: {contents: write}, runs-on: x, steps: [{run: 'true'}]}
""",
            WORKFLOW: """
on: push
permissions: {contents: read}
jobs: {a: {uses: ./.github/workflows/inner.yml}}
""",
        },
    )
    run = world.run(fieldwork)
    assert run["conclusion"] == "failure"
    assert "is only allowed 'contents: read'" in world.log(run, "a / a")


def test_a_file_github_cannot_read_is_a_failed_run_that_says_why(world: World) -> None:
    fieldwork = world.repository()
    world.push(fieldwork, {WORKFLOW: "on: push\njobs:\n  a:\n    runs_on: x\n"})
    run = world.run(fieldwork)
    assert (run["conclusion"], run["name"]) == ("failure", WORKFLOW)
    assert "(Line: 4, Col: 5): Unexpected value 'runs_on'" in run["error"]
    other = world.repository("other")
    world.push(other, {WORKFLOW: "{on: push, jobs: {a: {uses: ./.github/workflows/no.yml}}}"})
    run = world.run(other)
    assert run["conclusion"] == "startup_failure"
    assert "workflow was not found" in run["error"]


def test_an_environments_secrets_go_to_jobs_that_name_it_alone(world: World) -> None:
    fieldwork = world.repository()
    world.environment(fieldwork, "prod")
    world.secret(fieldwork, "KEY", "the-key-of-all")
    world.secret(fieldwork, "KEY", "the-key-of-prod", "prod")
    world.variable(fieldwork, "WHERE", "prod", "prod")
    step = "[{run: 'echo ${#KEY} $WHERE', env: {KEY: '${{ secrets.KEY }}', "
    step += "WHERE: '${{ vars.WHERE }}'}}]"
    world.push(
        fieldwork,
        {
            WORKFLOW: f"""
on: push
jobs:
  a: {{runs-on: x, steps: {step}}}
  b: {{runs-on: x, environment: prod, steps: {step}}}
  c: {{runs-on: x, environment: made-by-naming, steps: {step}}}
"""
        },
    )
    run = world.run(fieldwork)
    assert [world.log(run, name).splitlines()[-1].split(" ", 1)[1] for name in "abc"] == [
        "14",
        "15 prod",
        "14",
    ]
    names = {e["name"] for e in world.hub.store.all("environment", fieldwork["full_name"])}
    assert "made-by-naming" in names


def test_an_environment_of_branches_refuses_a_tag(world: World) -> None:
    fieldwork = world.repository()
    rule = {"protected_branches": False, "custom_branch_policies": True}
    world.environment(fieldwork, "prod", deployment_branch_policy=rule)
    policy = {"environment": "prod", "name": "main", "type": "branch"}
    world.hub.store.add("deployment_branch_policy", fieldwork["full_name"], policy)
    text = "{on: [push], jobs: {d: {runs-on: x, environment: prod, steps: [{run: echo live}]}}}"
    world.push(fieldwork, {WORKFLOW: text})
    world.push(fieldwork, {}, "refs/tags/v1.0")
    by_branch, by_tag = world.runs(fieldwork)
    assert (by_branch["conclusion"], by_tag["conclusion"]) == ("success", "failure")
    assert 'Tag "v1.0" is not allowed to deploy to prod' in world.log(by_tag, "d")


def test_a_job_waits_for_its_reviewers_and_fails_when_refused(world: World) -> None:
    fieldwork = world.repository()
    world.environment(fieldwork, "prod", reviewers=[{"type": "User", "id": 1}])
    text = """
{on: push, jobs: {deploy: {runs-on: x, environment: prod, steps: [{run: echo live}]},
after: {needs: deploy, runs-on: x, steps: [{run: 'true'}]}}}
"""
    world.push(fieldwork, {WORKFLOW: text})
    run = world.run(fieldwork)
    assert (run["status"], world.conclusions(run)) == ("waiting", {"deploy": "waiting"})
    world.command(run, "review", environments=["prod"], state="approved", comment="go")
    assert world.conclusions(run) == {"deploy": "success", "after": "success"}
    world.push(fieldwork, {"x": "1"})
    run = world.runs(fieldwork)[-1]
    world.command(run, "review", environments=["prod"], state="rejected", comment="not today")
    assert world.conclusions(run) == {"deploy": "failure", "after": "skipped"}
    assert "rejected by reviewer. not today" in world.log(run, "deploy")


def test_an_action_of_the_repository_itself_is_used_from_the_workspace(world: World) -> None:
    fieldwork = world.repository()
    action = """
inputs: {who: {default: nobody}}
runs:
  using: composite
  steps: [{shell: bash, run: 'echo "hello ${{ inputs.who }} from ${GITHUB_ACTION_PATH##*/}"'}]
"""
    text = """
on: push
jobs:
  a:
    runs-on: x
    steps:
      - uses: actions/checkout@v4
      - uses: ./tools/greet
        with: {who: world}
"""
    world.push(fieldwork, {"tools/greet/action.yml": action, WORKFLOW: text})
    run = world.run(fieldwork)
    assert "hello world from greet" in world.log(run, "a")


def test_an_action_that_is_not_there_fails_the_job_and_says_which(world: World) -> None:
    fieldwork = world.repository()
    text = "{on: push, jobs: {a: {runs-on: x, steps: [{uses: nobody/nothing@v1}]}}}"
    world.push(fieldwork, {WORKFLOW: text})
    run = world.run(fieldwork)
    assert run["conclusion"] == "failure"
    assert "Unable to resolve nobody/nothing@v1, repository not found" in world.log(run, "a")


def test_a_call_hands_on_the_secrets_it_lists_and_no_other(world: World) -> None:
    fieldwork = world.repository()
    world.secret(fieldwork, "KEY", "the-key")
    world.secret(fieldwork, "OTHER", "the-other-key")
    inner = """
on: {workflow_call: {secrets: {NAMED: {required: true}, TOKEN: {}}}}
jobs:
  a:
    runs-on: x
    steps:
      - run: echo "named ${#NAMED} other ${#OTHER} token ${#TOKEN} ${TOKEN:0:4}"
        env:
          NAMED: ${{ secrets.NAMED }}
          OTHER: ${{ secrets.OTHER }}
          TOKEN: ${{ secrets.TOKEN }}
"""
    text = """
on: push
jobs:
  call:
    uses: ./.github/workflows/inner.yml
    secrets: {NAMED: "x-${{ secrets.KEY }}", TOKEN: "${{ secrets.GITHUB_TOKEN }}"}
"""
    world.push(fieldwork, {".github/workflows/inner.yml": inner, WORKFLOW: text})
    run = world.run(fieldwork)
    assert "named 9 other 0 token 44 ghs_" in world.log(run, "call / a")
