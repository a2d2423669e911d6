"""Workflow files: what GitHub takes, what it refuses, and where it says the fault is."""

import pytest

from sandbox.github.actions.workflow import WorkflowError, parse
from sandbox.github.actions.yaml12 import YamlError, read

PATH = ".github/workflows/x.yml"
JOB = "jobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}"


def test_on_and_yes_are_words_and_numbers_are_what_they_look_like() -> None:
    value = read("{on: push, yes: no, a: true, b: 010, c: 0x10, d: 1.5e3, e: 1:30, f: , g: 'true'}")
    assert value.value == {
        "on": "push", "yes": "no", "a": True, "b": 10, "c": 16, "d": 1500.0, "e": "1:30",
        "f": None, "g": "true",
    }  # fmt: skip


def test_an_anchor_is_followed_and_one_that_holds_itself_ends() -> None:
    assert read("{a: &x [1, 2], b: *x}").value == {"a": [1, 2], "b": [1, 2]}
    with pytest.raises(YamlError, match="too deeply"):
        read("a: &x\n  b: *x")


@pytest.mark.parametrize("on", ["push", "[push]", "{push: }", "{push: {branches: main}}"])
def test_events_are_given_in_three_ways(on: str) -> None:
    assert list(parse(f"on: {on}\n{JOB}", PATH).on) == ["push"]


def test_what_a_file_says_is_kept_as_it_is_written() -> None:
    workflow = parse(
        """
name: Flow
on:
  schedule: [{cron: '30 5 * * 1'}]
  workflow_call:
    inputs: {stack: {type: string, required: true}}
    secrets: {KEY: }
permissions: read-all
concurrency: {group: "x-${{ github.ref }}", cancel-in-progress: false, queue: max}
jobs:
  call: {uses: ./.github/workflows/y.yml, secrets: inherit, with: {n: 1, b: true}}
  run:
    needs: call
    if: false
    runs-on: [self-hosted, linux]
    environment: prod
    timeout-minutes: 5
    permissions: {}
    steps: [{uses: a/b@c, with: {n: 1, b: true, t: text}}]
""",
        PATH,
    )
    assert workflow.on["schedule"].crons == ("30 5 * * 1",)
    assert workflow.on["workflow_call"].inputs["stack"].required
    assert workflow.permissions is not None
    assert workflow.permissions["contents"] == "read"
    assert workflow.concurrency is not None
    assert (workflow.concurrency.queue, workflow.concurrency.cancel_in_progress) == ("max", "false")
    call, run = workflow.jobs["call"], workflow.jobs["run"]
    assert (call.secrets, call.with_) == ("inherit", {"n": 1, "b": True})
    assert (run.needs, run.if_, run.timeout_minutes, run.permissions) == (
        ("call",), "false", "5", {},
    )  # fmt: skip
    assert run.environment is not None
    assert run.environment.name == "prod"
    assert run.steps[0].with_ == {"n": "1", "b": "true", "t": "text"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("on: push", "Required property is missing: jobs"),
        (f"on: pusch\n{JOB}", "Unexpected value 'pusch'"),
        (f"on: push\nstages: 1\n{JOB}", r"\(Line: 2, Col: 1\): Unexpected value 'stages'"),
        ("on: push\njobs:\n  a:\n    steps: []", r"\(Line: 3, Col: 3\): Required .*: runs-on"),
        ("on: push\njobs: {a: {runs-on: x}}", "Required property is missing: steps"),
        (
            "on: push\njobs: {a: {runs-on: x, steps: [{run: x, uses: y}]}}",
            "either 'run' or 'uses'",
        ),
        ("on: push\njobs: {a: {uses: x, needs: b}}", "Job 'a' depends on unknown job 'b'"),
        ("on: push\njobs: {a: {uses: x, needs: a}}", "depends on itself"),
        ("on: push\njobs: {1a: {uses: x}}", "The identifier '1a' is invalid"),
        (f"on: push\npermissions: {{content: read}}\n{JOB}", "Unexpected value 'content'"),
        (f"on: push\npermissions: {{contents: all}}\n{JOB}", "Unexpected value 'all'"),
        (
            f"on: {{push: {{branches: a, branches-ignore: b}}}}\n{JOB}",
            "only define one of `branches` and `branches-ignore`",
        ),
        (f"on: push\non: pull_request\n{JOB}", r"\(Line: 2, Col: 1\): 'on' is already defined"),
        ("on: [", "Invalid workflow file"),
        ("- 1", "it is no mapping"),
    ],
)
def test_a_wrong_file_is_refused_and_the_place_is_told(text: str, told: str) -> None:
    with pytest.raises(WorkflowError, match=told) as found:
        parse(text, PATH)
    assert PATH in str(found.value)
