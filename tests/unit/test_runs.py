"""What a workflow run is about, by what GitHub says of it."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from flow import caller, deploying, webhook
from flow.errors import FlowError
from flow.runs import jobs, run

ROOT = Path(__file__).resolve().parents[2]
SHA = "4f0c" * 10


def environment(folder: Path, name: str, ref: str, event: dict[str, Any]) -> dict[str, str]:
    file = folder / "event.json"
    file.write_text(json.dumps(event))
    return {
        "GITHUB_EVENT_NAME": name,
        "GITHUB_EVENT_PATH": str(file),
        "GITHUB_REF": ref,
        "GITHUB_SHA": SHA,
        "GITHUB_REPOSITORY": "example-org/fieldwork",
        "GITHUB_RUN_ID": "7",
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
    }


@pytest.mark.parametrize(
    ("name", "ref", "event", "stack", "version"),
    [
        ("push", "refs/heads/development", {}, "dev", SHA),
        ("push", "refs/heads/staging", {}, "staging", SHA),
        ("push", "refs/heads/feature-demo/x", {}, "feature-demo-x", SHA),
        ("release", "refs/tags/v1.4.0", {"release": {"tag_name": "v1.4.0"}}, "prod", "v1.4.0"),
        ("delete", "refs/heads/development", {"ref": "feature-demo/x"}, "feature-demo-x", SHA),
    ],
)
def test_a_runs_event_says_which_stack_and_which_version(
    tmp_path: Path, name: str, ref: str, event: dict[str, Any], stack: str, version: str
) -> None:
    found = run.read(environment(tmp_path, name, ref, event))
    assert (found.stack, found.version) == (stack, version)


def test_a_branch_that_no_stack_follows_is_refused_by_name(tmp_path: Path) -> None:
    found = run.read(environment(tmp_path, "push", "refs/heads/topic", {}))
    with pytest.raises(FlowError, match="no stack follows the branch topic"):
        _ = found.stack


def test_a_tag_is_no_deploy(tmp_path: Path) -> None:
    found = run.read(environment(tmp_path, "push", "refs/tags/v1", {}))
    with pytest.raises(FlowError, match="is no deploy"):
        _ = found.branch


def test_outside_of_a_run_a_person_is_told_what_to_use() -> None:
    with pytest.raises(FlowError, match="this is no workflow run") as refusal:
        run.read({"GITHUB_SHA": SHA})
    assert "flow deploy" in (refusal.value.remedy or "")


def test_an_output_of_many_lines_cannot_end_itself_early(tmp_path: Path) -> None:
    found = run.read(environment(tmp_path, "push", "refs/heads/staging", {}))
    found.put(url="https://x\nEOF\nother=1")
    name, *lines = (tmp_path / "output").read_text().splitlines()
    end = name.removeprefix("url<<")
    assert lines == ["https://x", "EOF", "other=1", end]


def test_an_applications_workflow_is_pinned_to_a_commit_that_can_be_read_back() -> None:
    text = caller.render("example-org/deployment", SHA)
    assert caller.pinned(text) == ("example-org/deployment", SHA)
    assert caller.pinned("uses: example-org/deployment/.github/workflows/flow.yml@main") is None


def test_the_document_shows_the_workflow_that_is_written() -> None:
    shown = (ROOT / "docs/workflows.md").read_text().split("```yaml\n")[1].split("```")[0]
    written = caller.render("example-org/deployment", "<commit>")
    assert yaml.safe_load(shown) == yaml.safe_load(written)


def test_a_caller_grants_every_permission_that_a_job_asks_for() -> None:
    called = yaml.safe_load((ROOT / ".github/workflows/flow.yml").read_text())
    granted = yaml.safe_load(caller.render("x/y", SHA))["jobs"]["flow"]["permissions"]
    rank = {"none": 0, "read": 1, "write": 2}
    for name, job in called["jobs"].items():
        for permission, level in job["permissions"].items():
            has = granted.get(permission, "none")
            assert rank[has] >= rank[level], f"{name} asks for {permission}: {level}"


def test_a_pull_request_starts_no_deploy() -> None:
    # YAML takes the key `on` for true.
    events = yaml.safe_load(caller.render("x/y", SHA))[True]
    assert set(events) == {"push", "release", "delete", "schedule", "workflow_dispatch"}


def test_no_expression_stands_in_a_shell_script() -> None:
    for file in (*(ROOT / ".github/workflows").glob("*.yml"), ROOT / "action/action.yml"):
        content = yaml.safe_load(file.read_text())
        jobs = content.get("jobs", {}).values() if "jobs" in content else [content["runs"]]
        for job in jobs:
            for step in job.get("steps", []):
                assert "${{" not in step.get("run", ""), f"{file.name}: {step}"


def test_no_deploy_is_cancelled_and_no_waiting_one_dropped() -> None:
    called = yaml.safe_load((ROOT / ".github/workflows/flow.yml").read_text())
    for name, job in called["jobs"].items():
        if "environment" in job:
            assert job["concurrency"]["cancel-in-progress"] is False, name
            assert job["concurrency"].get("queue") == "max", name


def test_only_what_reviewers_agree_to_is_a_deployment_of_github_s_own() -> None:
    called = yaml.safe_load((ROOT / ".github/workflows/flow.yml").read_text())["jobs"]
    environments = {
        name: job["environment"] for name, job in called.items() if "environment" in job
    }
    assert environments.pop("prod") == "flow-prod"
    assert all(each["deployment"] is False for each in environments.values())


def test_a_run_s_image_is_named_with_its_version() -> None:
    for file in (ROOT / ".github/workflows").glob("*.yml"):
        for name, job in yaml.safe_load(file.read_text())["jobs"].items():
            assert re.fullmatch(r"ubuntu-\d+\.\d+", job["runs-on"]), f"{file.name}: {name}"


# Jobs that deploy or end: what GitHub says of a run, and the stack that is acted on. A deletion's
# run is one of the default branch, and its event names the deleted one without `refs/heads/`.
ACTING = [
    ("stage", {"github.ref": "refs/heads/development"}, "dev"),
    ("stage", {"github.ref": "refs/heads/staging"}, "staging"),
    ("prod", {"github.ref": "refs/tags/v1.4.0"}, "prod"),
    ("prod", {"github.ref": "refs/tags/v1.5.0"}, "prod"),
    ("demo", {"github.ref": "refs/heads/feature-demo/x"}, "feature-demo-x"),
    ("demo", {"github.ref": "refs/heads/feature-demo/y"}, "feature-demo-y"),
    (
        "end",
        {"github.ref": "refs/heads/development", "github.event.ref": "feature-demo/x"},
        "feature-demo-x",
    ),
]


def test_two_jobs_are_in_one_group_exactly_where_they_act_on_one_stack() -> None:
    called = yaml.safe_load((ROOT / ".github/workflows/flow.yml").read_text())["jobs"]
    acting = {
        name
        for name, job in called.items()
        if any(step.get("with", {}).get("job") in ("deploy", "end") for step in job["steps"])
    }
    assert acting == {name for name, _, _ in ACTING}
    groups = []
    for name, said, stack in ACTING:
        group = called[name]["concurrency"]["group"]
        for expression, value in said.items():
            group = group.replace(f"${{{{ {expression} }}}}", value)
        groups.append((name, stack, group))
    for one, other in itertools.combinations(groups, 2):
        assert (one[1] == other[1]) is (one[2] == other[2]), (one, other)


def test_the_webhooks_secret_goes_to_the_jobs_that_end_demos_and_to_no_other() -> None:
    called = yaml.safe_load((ROOT / ".github/workflows/flow.yml").read_text())
    given = {
        name
        for name, job in called["jobs"].items()
        for step in job["steps"]
        if step.get("env", {}).get(webhook.URL) == "${{ secrets.FLOW_WEBHOOK_URL }}"
        and step["env"].get(webhook.KIND) == "${{ vars.FLOW_WEBHOOK_KIND }}"
    }
    assert given == {"end", "reap"}


def test_who_tests_staging_is_told_where_to_report_a_bug_of_the_version() -> None:
    def about(stage: str) -> str:
        done = deploying.Deployed(
            stage, stage, "https://x.test", "1.4.0", SHA, "r", "", None, 9, {}
        )
        return jobs._about(done, "https://github.test/ada/app")

    address = "https://github.test/ada/app/issues/new?template=bug.yml&version=1.4.0"
    assert f"[Report a bug]({address})" in about("staging")
    assert "Report a bug" not in about("dev")
