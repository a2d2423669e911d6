"""Watches workflow runs of the sandbox's GitHub until they are done, and keeps their times."""

from __future__ import annotations

import datetime
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import requests
from github.Repository import Repository
from github.WorkflowRun import WorkflowRun

from flow.errors import FlowError
from flow.timeline import Span

_EVERY = 0.5
_APPEARS = 30.0
_RUNS = 1200.0  # images are built from nothing in the first one
_TAIL = 25


@dataclass(frozen=True)
class JobDone:
    """A job that ran; times in seconds since 1970."""

    name: str
    conclusion: str
    created: float
    started: float
    ended: float
    url: str


class Runs:
    """The runs of one repository, seen with `token`; `began` in seconds since 1970."""

    def __init__(self, repository: Repository, began: float, token: str) -> None:
        self._repository = repository
        self._token = token
        self._began = began
        self.ahead = 0.0  # seconds the sandbox's clock is, by which it tells of runs
        self.spans: list[Span] = []

    def newest(self) -> int:
        """The number of the newest run; 0 for none. What comes after it is new."""
        return max((run.id for run in self._all()), default=0)

    def appears(self, event: str, after: int, branch: str = "") -> WorkflowRun:
        """The run an event started; raises FlowError when none comes."""
        give_up = time.monotonic() + _APPEARS
        while time.monotonic() < give_up:
            for run in self._all(event):
                if run.id > after and branch in ("", run.head_branch):
                    return run
            time.sleep(_EVERY)
        raise FlowError(f"no workflow run of a {event}{f' of {branch}' if branch else ''} began")

    def waits(self, run: WorkflowRun, note: Callable[[str], Any]) -> None:
        """Until the run waits for reviewers; raises FlowError when it ends without."""
        self._until(run, lambda found: found.status == "waiting", note, "wait for its reviewers")

    def approve(self, run: WorkflowRun, by: Repository, comment: str) -> list[str]:
        """Have a reviewer agree to what a run waits for: the environments' names."""
        address = f"/repos/{by.full_name}/actions/runs/{run.id}/pending_deployments"
        _, pending = by.requester.requestJsonAndCheck("GET", address)
        environments = [each["environment"] for each in pending]
        if not environments:
            raise FlowError(f"the run {run.html_url} waits for nobody")
        wanted = {
            "environment_ids": [each["id"] for each in environments],
            "state": "approved",
            "comment": comment,
        }
        by.requester.requestJsonAndCheck("POST", address, input=wanted)
        return [str(each["name"]) for each in environments]

    def done(self, run: WorkflowRun, lane: str, note: Callable[[str], Any]) -> list[JobDone]:
        """Wait for its end; its jobs, kept for the picture. Raises FlowError when it failed."""
        found = self._until(run, lambda each: each.status == "completed", note, "end")
        jobs = self._jobs(run)
        before = ""
        for job in sorted(jobs, key=lambda each: each.started):
            if job.conclusion == "skipped":
                continue
            # The caller's one job is called flow; which run it was tells two of one name apart.
            name = f"{job.name.removeprefix('flow / ')} (run {run.run_number})"
            self.spans.append(
                Span(
                    name,
                    lane,
                    job.started - self._began,
                    job.ended - self._began,
                    state="done" if job.conclusion == "success" else "failed",
                    url=job.url,
                    waited=max(job.started - job.created, 0.0),
                    after=(before,) if before else (),
                )
            )
            before = name
        if found.conclusion != "success":
            raise FlowError(
                f"the run {run.html_url} ended in {found.conclusion}:\n{self._why(run)}"
            )
        return [job for job in jobs if job.conclusion != "skipped"]

    def _until(
        self,
        run: WorkflowRun,
        holds: Callable[[WorkflowRun], bool],
        note: Callable[[str], Any],
        what: str,
    ) -> WorkflowRun:
        give_up = time.monotonic() + _RUNS
        while time.monotonic() < give_up:
            try:
                found = self._repository.get_workflow_run(run.id)
                if holds(found):
                    return found
                if found.status == "completed":
                    raise FlowError(
                        f"the run {run.html_url} did not {what}: {found.conclusion}\n"
                        f"{self._why(run)}"
                    )
                active = [j.name for j in run.jobs() if j.status == "in_progress"]
                note(f"run {run.run_number}: {', '.join(active) or found.status}")
            except requests.ConnectionError:
                pass  # it is being restarted; what ran goes on, or is said to have ended
            time.sleep(_EVERY)
        raise FlowError(f"the run {run.html_url} did not {what} in {_RUNS:.0f} s")

    def _all(self, event: str = "") -> list[WorkflowRun]:
        found = (
            self._repository.get_workflow_runs(event=event)
            if event
            else self._repository.get_workflow_runs()
        )
        # A slice of an empty list of PyGithub's fails.
        return list(itertools.islice(found, 30))

    def _jobs(self, run: WorkflowRun) -> list[JobDone]:
        def seconds(at: datetime.datetime | None) -> float:
            return at.timestamp() - self.ahead if at else time.time()

        return [
            JobDone(
                job.name,
                str(job.conclusion),
                seconds(job.created_at),
                seconds(job.started_at),
                seconds(job.completed_at),
                job.html_url,
            )
            for job in run.jobs()
        ]

    def _why(self, run: WorkflowRun) -> str:
        """The end of each failed job's log."""
        parts = []
        for job in run.jobs():
            if job.conclusion in ("success", "skipped", None):
                continue
            try:
                answer = httpx.get(
                    f"{job.url}/logs",
                    headers={"Authorization": f"Bearer {self._token}"},
                    follow_redirects=True,
                    timeout=10,
                    trust_env=False,
                )
                log = answer.text.splitlines()[-_TAIL:]
            except (httpx.HTTPError, OSError):
                log = ["(its log cannot be had)"]
            parts.append("\n".join([f"{job.name}: {job.conclusion}", *log]))
        return "\n".join(parts)
