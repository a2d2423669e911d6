"""Watching a run of GitHub's until it is done: what never begins, fails or waits is told."""

import datetime
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import requests

from flow.errors import FlowError
from flow.story import watching
from flow.story.watching import Runs

BEGAN = datetime.datetime(2030, 6, 1, 12, tzinfo=datetime.UTC)


def at(seconds: float) -> datetime.datetime:
    return BEGAN + datetime.timedelta(seconds=seconds)


def job(name: str, conclusion: str | None, start: float, end: float, created: float = 0) -> Any:
    return SimpleNamespace(
        name=name,
        conclusion=conclusion,
        status="completed" if conclusion else "in_progress",
        created_at=at(created),
        started_at=at(start),
        completed_at=at(end),
        html_url=f"https://github.test/jobs/{name}",
        url=f"https://github.test/api/jobs/{name}",
    )


@dataclass
class Run:
    """A run whose state moves on every time it is looked at."""

    id: int
    states: list[tuple[str, str | None]]
    event: str = "push"
    head_branch: str = "development"
    run_number: int = 7
    made: list[Any] = field(default_factory=list)
    html_url: str = "https://github.test/runs/7"

    @property
    def status(self) -> str:
        return self.states[0][0]

    @property
    def conclusion(self) -> str | None:
        return self.states[0][1]

    def jobs(self) -> list[Any]:
        return self.made


class Repository:
    """What is asked of PyGithub's."""

    full_name = "example-org/fieldwork"

    def __init__(self, *runs: Run, pending: list[Any] | None = None) -> None:
        self.runs = runs
        self.sent: list[tuple[str, str, Any]] = []
        self.requester = self
        self._pending = pending or []

    def get_workflow_runs(self, event: str = "") -> list[Run]:
        return [run for run in self.runs if event in ("", run.event)]

    def get_workflow_run(self, number: int) -> Run:
        run = next(run for run in self.runs if run.id == number)
        if len(run.states) > 1:
            run.states.pop(0)
        return run

    def requestJsonAndCheck(  # noqa: N802 (PyGithub's name)
        self, method: str, address: str, **given: Any
    ) -> tuple[dict[str, Any], Any]:
        self.sent.append((method, address, given.get("input")))
        if method == "GET":
            return {}, self._pending
        return {}, []


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for long between two looks."""
    monkeypatch.setattr(watching, "_EVERY", 0.001)
    monkeypatch.setattr(watching, "_APPEARS", 0.05)


def runs(repository: Any) -> Runs:
    return Runs(repository, BEGAN.timestamp(), "ghp_x")


def logs(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    def get(address: str, **_: Any) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(200, text=f"{address}\n{answer}")

    monkeypatch.setattr(httpx, "get", get)


def test_a_run_that_never_begins_is_told_by_event_and_branch() -> None:
    old = Run(3, [("completed", "success")])
    other = Run(5, [("queued", None)], head_branch="staging")
    watched = runs(Repository(other, old))
    assert watched.newest() == 5
    with pytest.raises(FlowError, match="no workflow run of a push of development began"):
        watched.appears("push", 3, "development")
    assert watched.appears("push", 3).id == 5
    assert watched.appears("push", 2, "development").id == 3
    assert runs(Repository()).newest() == 0


def test_a_run_that_succeeds_leaves_its_jobs_with_what_waited_for_what() -> None:
    run = Run(3, [("queued", None), ("in_progress", None), ("completed", "success")])
    run.made = [
        job("build", "success", 2, 12),
        job("prod", "skipped", 12, 12),
        job("dev", "success", 15, 20, created=12),
    ]
    watched, noted = runs(Repository(run)), list[str]()
    done = watched.done(run, "dev", noted.append)  # type: ignore[arg-type]
    assert [each.name for each in done] == ["build", "dev"]
    first, second = watched.spans
    assert (first.start, first.end, first.waited, first.after) == (2, 12, 2, ())
    assert (second.start, second.end, second.waited, second.after) == (15, 20, 3, (first.name,))
    assert second.state == "done"
    assert noted == ["run 7: in_progress"]


def test_a_failed_job_is_told_with_the_end_of_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(3, [("completed", "failure")])
    run.made = [job("build", "success", 0, 5), job("dev", "failure", 5, 9)]
    logs(monkeypatch, "\n".join(f"line {number}" for number in range(100)))
    watched = runs(Repository(run))
    with pytest.raises(FlowError, match="runs/7 ended in failure") as told:
        watched.done(run, "dev", print)  # type: ignore[arg-type]
    assert "dev: failure" in told.value.problem
    assert "line 99" in told.value.problem
    assert "line 50" not in told.value.problem
    assert "build: success" not in told.value.problem
    assert [span.state for span in watched.spans] == ["done", "failed"]


def test_a_log_that_cannot_be_had_hides_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(3, [("completed", "failure")], made=[job("dev", "failure", 5, 9)])
    logs(monkeypatch, httpx.ConnectError("refused"))
    with pytest.raises(FlowError, match="its log cannot be had"):
        runs(Repository(run)).done(run, "dev", print)  # type: ignore[arg-type]


def test_a_run_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_RUNS", 0.2)
    run = Run(3, [("in_progress", None)], made=[job("dev", None, 5, 9)])
    noted = list[str]()
    with pytest.raises(FlowError, match=r"did not end in 0 s"):
        runs(Repository(run)).done(run, "dev", noted.append)  # type: ignore[arg-type]
    assert "run 7: dev" in noted


def test_a_github_that_is_restarted_meanwhile_is_waited_for() -> None:
    class Interrupted(Run):
        asked = 0

        def jobs(self) -> list[Any]:
            self.asked += 1
            if self.asked == 1:
                raise requests.ConnectionError("refused")
            return self.made

    run = Interrupted(3, [("queued", None), ("in_progress", None), ("waiting", None)])
    runs(Repository(run)).waits(run, print)  # type: ignore[arg-type]
    assert run.asked == 1


def test_a_run_that_ends_without_its_reviewers_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logs(monkeypatch, "")
    waiting = Run(3, [("queued", None), ("waiting", None)])
    runs(Repository(waiting)).waits(waiting, print)  # type: ignore[arg-type]
    over = Run(4, [("completed", "success")])
    with pytest.raises(FlowError, match="did not wait for its reviewers: success"):
        runs(Repository(over)).waits(over, print)  # type: ignore[arg-type]


def test_a_reviewer_agrees_to_everything_that_waits() -> None:
    run = Run(3, [("waiting", None)])
    by = Repository(run, pending=[{"environment": {"id": 8, "name": "flow-prod"}}])
    runs(by).approve(run, by, "Tested.")  # type: ignore[arg-type]
    sent = by.sent[-1]
    assert sent[:2] == ("POST", "/repos/example-org/fieldwork/actions/runs/3/pending_deployments")
    assert sent[2] == {"environment_ids": [8], "state": "approved", "comment": "Tested."}
    nobody = Repository(run)
    with pytest.raises(FlowError, match="waits for nobody"):
        runs(nobody).approve(run, nobody, "x")  # type: ignore[arg-type]
