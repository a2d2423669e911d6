"""What starts a workflow: filters, events, schedules, and who may not."""

import datetime

import pytest

from sandbox.github.actions import filters, triggers
from sandbox.github.actions.cron import Cron, CronError
from sandbox.github.actions.triggers import Happening, InputError, dispatched, starts, typed
from sandbox.github.actions.workflow import Workflow, parse

JOB = "jobs: {a: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}"


def on(text: str) -> Workflow:
    return parse(f"on: {text}\n{JOB}", "x.yml")


@pytest.mark.parametrize(
    ("patterns", "name", "admitted"),
    [
        (["feature-demo/**"], "feature-demo/a/b", True),
        (["feature-demo/*"], "feature-demo/a/b", False),
        (["feature-demo/*"], "feature-demo/a", True),
        (["feature/**"], "feature", False),
        (["**"], "a/b", True),
        (["*"], "a/b", False),
        (["v[12].[0-9]+.[0-9]+"], "v1.10.1", True),
        (["v[12].[0-9]+.[0-9]+"], "v3.1.1", False),
        (["*.jsx?"], "page.js", True),
        (["releases/**", "!releases/**-alpha"], "releases/10", True),
        (["releases/**", "!releases/**-alpha"], "releases/10-alpha", False),
        (["releases/**", "!releases/**-alpha", "releases/x-alpha"], "releases/x-alpha", True),
        (["docs/**/*.md"], "docs/a.md", True),
        (["docs/**/*.md"], "docs/a/b.md", True),
        (["**/docs/**"], "docs/x", True),
        (["a.b"], "acb", False),
        (["main"], "mainly", False),
    ],
)
def test_a_pattern_matches_what_github_documents(
    patterns: list[str], name: str, admitted: bool
) -> None:
    assert filters.admits(patterns, name) is admitted


@pytest.mark.parametrize(
    ("event", "ref", "started"),
    [
        ("push", "refs/heads/main", True),
        ("push", "refs/tags/v1", True),
        ("{push: {branches: [main]}}", "refs/heads/main", True),
        ("{push: {branches: [main]}}", "refs/heads/x", False),
        ("{push: {branches: [main]}}", "refs/tags/main", False),
        ("{push: {branches-ignore: [x]}}", "refs/heads/main", True),
        ("{push: {branches-ignore: [x]}}", "refs/heads/x", False),
        ("{push: {tags: ['v*']}}", "refs/tags/v1", True),
        ("{push: {tags: ['v*']}}", "refs/heads/v1", False),
        ("{push: {tags: ['v*'], branches: [main]}}", "refs/heads/main", True),
        ("{push: {paths: ['src/**']}}", "refs/heads/main", True),
        ("{push: {paths: ['docs/**']}}", "refs/heads/main", False),
        ("{push: {paths-ignore: ['src/**']}}", "refs/heads/main", False),
        ("{push: {paths-ignore: ['docs/**']}}", "refs/heads/main", True),
        ("{push: {paths: ['docs/**']}}", "refs/tags/v1", True),
        ("pull_request", "refs/heads/main", False),
    ],
)
def test_a_push_is_filtered_by_ref_and_paths(event: str, ref: str, started: bool) -> None:
    assert starts(on(event), Happening("push", ref, paths=lambda: ["src/a.py"])) is started


@pytest.mark.parametrize(
    ("event", "action", "base", "started"),
    [
        ("pull_request", "opened", "main", True),
        ("pull_request", "labeled", "main", False),
        ("{pull_request: {types: [labeled]}}", "labeled", "main", True),
        ("{pull_request: {branches: [staging]}}", "opened", "main", False),
        ("{pull_request: {branches: [staging]}}", "synchronize", "staging", True),
    ],
)
def test_a_pull_request_is_filtered_by_what_happened_and_where_it_goes(
    event: str, action: str, base: str, started: bool
) -> None:
    happening = Happening("pull_request", "refs/pull/1/merge", action=action, base=base)
    assert starts(on(event), happening) is started


def test_releases_start_what_asks_for_their_type() -> None:
    only = on("{release: {types: [published]}}")
    assert starts(only, Happening("release", "refs/tags/v1", action="published"))
    assert not starts(only, Happening("release", "refs/tags/v1", action="created"))
    assert starts(on("release"), Happening("release", "refs/tags/v1", action="created"))


def test_a_runs_own_token_starts_nothing_but_dispatches() -> None:
    for name, started in (("push", False), ("workflow_dispatch", True)):
        happening = Happening(name, "refs/heads/main", by_workflow_token=True)
        assert starts(on(name), happening) is started


def test_a_message_can_skip_a_push_and_nothing_else() -> None:
    for word in ("[skip ci]", "[no ci]", "[skip actions]"):
        assert not starts(on("push"), Happening("push", "refs/heads/main", message=f"x {word}"))
        assert starts(on("delete"), Happening("delete", "refs/heads/main", message=word))


def test_inputs_of_a_dispatch_are_checked_and_typed() -> None:
    event = on(
        "{workflow_dispatch: {inputs: {stage: {type: choice, options: [dev, prod], required: true},"
        " dry: {type: boolean, default: true}, days: {type: number, default: 3}, note: }}}"
    ).on["workflow_dispatch"]
    texts = dispatched(event, {"stage": "dev"})
    assert texts == {"stage": "dev", "dry": "true", "days": "3", "note": ""}
    assert typed(event, texts) == {"stage": "dev", "dry": True, "days": 3, "note": ""}
    for given in ({}, {"stage": "staging"}, {"stage": "dev", "dry": "maybe"}, {"x": 1}):
        with pytest.raises(InputError):
            dispatched(event, given)


def at(text: str) -> float:
    return datetime.datetime.fromisoformat(text + "+00:00").timestamp()


@pytest.mark.parametrize(
    ("cron", "after", "until", "found"),
    [
        ("30 5 * * *", "2031-05-05T05:29", "2031-05-05T05:30", "2031-05-05T05:30"),
        ("30 5 * * *", "2031-05-05T05:30", "2031-05-05T05:31", None),
        ("*/15 * * * *", "2031-05-05T05:00", "2031-05-05T05:59", "2031-05-05T05:45"),
        ("0 6 1,15 * *", "2031-05-02T00:00", "2031-05-20T00:00", "2031-05-15T06:00"),
        ("0 6 * * MON-FRI", "2031-05-10T00:00", "2031-05-11T23:59", None),  # a weekend
        ("0 6 * * 7", "2031-05-10T00:00", "2031-05-11T23:59", "2031-05-11T06:00"),
        ("0 0 13 * 5", "2031-05-12T00:00", "2031-05-13T12:00", "2031-05-13T00:00"),
        ("0 0 1 1 *", "2031-02-01T00:00", "2031-12-31T00:00", None),
        ("0 7 1 */2 *", "2031-02-01T00:00", "2031-03-31T00:00", "2031-03-01T07:00"),
    ],
)
def test_a_schedules_last_time_is_found(
    cron: str, after: str, until: str, found: str | None
) -> None:
    last = Cron.parse(cron).last(at(after), at(until))
    assert last == (None if found is None else at(found))


@pytest.mark.parametrize(
    "cron", ["* * * *", "60 * * * *", "x * * * *", "5-1 * * * *", "*/0 * * * *"]
)
def test_what_is_no_schedule_is_refused(cron: str) -> None:
    with pytest.raises(CronError):
        Cron.parse(cron)


def test_what_runs_on_the_default_branch_is_what_github_says() -> None:
    assert {"delete", "schedule", "issue_comment"} <= triggers.ON_DEFAULT_BRANCH
    assert not {"push", "pull_request", "release", "create"} & triggers.ON_DEFAULT_BRANCH
