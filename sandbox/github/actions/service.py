"""Actions as a whole: takes events and commands, keeps the runs going, wakes schedules.

Everything happens in one thread, in the order in which it was told, but for the jobs themselves.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping

from sandbox.github.actions import records
from sandbox.github.actions.concurrency import Groups
from sandbox.github.actions.execution import Execution
from sandbox.github.actions.expressions import Expressions, Program
from sandbox.github.actions.graph import Loaded, load
from sandbox.github.actions.intake import Intake
from sandbox.github.actions.jobs import SHUTDOWN, JobLives
from sandbox.github.actions.runner import Runner, settings
from sandbox.github.actions.schedules import Schedules
from sandbox.github.actions.uses import FileAt
from sandbox.github.actions.workflow import WorkflowError
from sandbox.github.errors import GithubError
from sandbox.github.hub import Event, Hub
from sandbox.store import Record

log = logging.getLogger(__name__)

#: The name of events that are commands of the API to this part; they start no workflow.
COMMAND = "sandbox_actions"
AT_ONCE = 2
_TICK_SECONDS = 0.5

Work = Callable[[], None]


class Actions:
    """Runs the workflows of a hub's repositories from `start` to `stop`."""

    def __init__(
        self,
        hub: Hub,
        *,
        expressions: Expressions | None = None,
        environment: Callable[[], Mapping[str, str]] | None = None,
        at_once: int = AT_ONCE,
    ) -> None:
        self._hub = hub
        self._program = None if expressions else Program()
        self._expressions: Expressions = expressions or self._program  # type: ignore[assignment]
        self._groups = Groups()
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        known = environment or (lambda: settings(hub.folder))
        self._runner = Runner(hub.folder / ".work", known, hub.now)
        self._jobs = JobLives(hub, self._runner, self._post, at_once)
        self._running: dict[int, Execution] = {}
        self._intake = Intake(hub, self._expressions)
        self._schedules = Schedules(hub)
        self._thread: threading.Thread | None = None
        self._pending = 0
        self._counting = threading.Lock()

    def start(self) -> None:
        """Take up what an earlier process left, and begin."""
        self._post(self._resume)
        self._thread = threading.Thread(target=self._loop, name="actions", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the jobs that run, and the thread."""
        for execution in list(self._running.values()):
            for leaf in list(execution.leaves.values()):
                leaf.stop.force = True
                leaf.stop.asked.set()
        self._jobs.close()
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(10)
        if self._program is not None:
            self._program.close()

    def on_event(self, event: Event) -> None:
        """Take an event; what it starts begins soon, not now."""
        self._post(lambda: self._command(event) if event.name == COMMAND else self._event(event))

    def settle(self, seconds: float) -> bool:
        """Wait until nothing moves: all runs are done or wait for somebody. For tests."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            with self._counting:
                busy = self._pending
            if not busy and not any(
                leaf.begun and not leaf.done
                for execution in list(self._running.values())
                for leaf in list(execution.leaves.values())
            ):
                return True
            time.sleep(0.02)
        return False

    def _post(self, work: Work) -> None:
        with self._counting:
            self._pending += 1
        self._queue.put(work)

    def _loop(self) -> None:
        ticked = 0.0
        while True:
            try:
                work = self._queue.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                pass
            else:
                if work is None:
                    return
                try:
                    work()
                except Exception:
                    log.exception("the scheduler failed at one thing and goes on")
                with self._counting:
                    self._pending -= 1
            if time.monotonic() - ticked >= _TICK_SECONDS:
                ticked = time.monotonic()
                try:
                    self._tick()
                except Exception:
                    log.exception("schedules and wait timers")

    def _event(self, event: Event) -> None:
        for run in self._intake.take(event):
            self._begin(run)

    def _begin(self, run: Record, keep: Mapping[str, Record] | None = None) -> None:
        """Begin a run. One that we fail at says so, and holds up no other of its event."""
        try:
            self._start(run, keep)
        except Exception as error:
            log.exception("run %s", run["id"])
            if execution := self._running.get(int(run["id"])):
                self._drop(execution)
            self._hub.store.change(
                "run", run["id"], status=records.DONE, conclusion="startup_failure",
                error=f"the sandbox's GitHub failed: {error!r}",
            )  # fmt: skip

    def _start(self, run: Record, keep: Mapping[str, Record] | None) -> None:
        file = FileAt(run["project"], run["sha"], run["path"])
        try:
            loaded = load(self._hub, file)
        except (WorkflowError, GithubError) as error:
            self._hub.store.change(
                "run", run["id"], status=records.DONE, conclusion="startup_failure",
                error=str(error),
            )  # fmt: skip
            return
        self._hub.store.change("run", run["id"], referenced_workflows=_referenced(loaded))
        execution = Execution(
            self._hub, self._groups, self._expressions, self._jobs, run, loaded, run["inputs"],
            self._post, keep,
        )  # fmt: skip
        self._running = {n: e for n, e in self._running.items() if not e.finished}
        self._running[execution.number] = execution
        execution.begin()

    # Commands.

    def _command(self, event: Event) -> None:
        told = event.payload
        execution = self._running.get(int(told["run"]))
        if event.action in ("cancel", "force-cancel"):
            if execution is not None:
                execution.cancel(
                    f"The run was canceled by @{event.actor}.", force=event.action == "force-cancel"
                )
            elif run := self._hub.store.get("run", told["run"]):
                self._give_up(run, records.jobs(self._hub, run))
        elif event.action == "review" and execution is not None:
            for leaf in list(execution.leaves.values()):
                if leaf.environment.lower() in told["environments"]:
                    self._jobs.decide(
                        execution, leaf, approved=told["state"] == "approved", login=event.actor,
                        comment=told["comment"],
                    )  # fmt: skip
            execution.advance()
        elif event.action == "rerun":
            self._rerun(int(told["run"]), event.actor, set(told.get("keep", [])))

    def _rerun(self, number: int, actor: str, keep: set[str]) -> None:
        run = self._hub.store.get("run", number)
        if run is None or run["status"] != records.DONE:
            return
        kept = {
            job["key"]: job
            for job in records.jobs(self._hub, run)
            if job["key"] in keep and job["conclusion"] == "success"
        }
        now = self._hub.now()
        changed = self._hub.store.change(
            "run", number, run_attempt=run["run_attempt"] + 1, status="queued", conclusion=None,
            triggering_actor=actor, run_started_at=now, updated_at=now, error="",
        )  # fmt: skip
        self._begin(changed or run, kept)

    # Time.

    def _tick(self) -> None:
        for event in self._schedules.due():
            self._event(event)
        for number, execution in self._running.items():
            if self._hub.store.get("run", number) is None:
                self._drop(execution)
        self._running = {n: e for n, e in self._running.items() if not e.finished}
        for execution in self._running.values():
            for leaf in execution.leaves.values():
                if not leaf.done and not leaf.begun:
                    self._jobs.look(execution, leaf)

    def _drop(self, execution: Execution) -> None:
        """Forget a run whose repository was deleted; what of it runs is ended."""
        execution.finished = True
        for leaf in execution.leaves.values():
            leaf.stop.force = True
            leaf.stop.asked.set()
        self._groups.forget(execution.number)

    def _resume(self) -> None:
        """Runs of an earlier process: what ran is over, what waited waits again."""
        for run in self._hub.store.all("run"):
            if run["status"] == records.DONE:
                continue
            jobs = records.jobs(self._hub, run)
            if any(
                job["status"] == "in_progress" or job["conclusion"] in ("failure", "cancelled")
                for job in jobs
            ):
                self._give_up(run, jobs)
                continue
            kept = {job["key"]: job for job in jobs if job["conclusion"] == "success"}
            for job in jobs:
                self._forget(job)
            self._begin(run, kept)

    def _give_up(self, run: Record, jobs: list[Record]) -> None:
        """Close the record of a run that nothing keeps going any more."""
        if run["status"] == records.DONE:
            return
        for job in jobs:
            if job["status"] != records.DONE:
                self._jobs.abandon(job, SHUTDOWN)
        self._hub.store.change(
            "run", run["id"], status=records.DONE, conclusion="cancelled", error=SHUTDOWN,
            updated_at=self._hub.now(),
        )  # fmt: skip

    def _forget(self, job: Record) -> None:
        for status in self._hub.store.all("deployment_status", job["project"]):
            if status["deployment"] == job["deployment"]:
                self._hub.store.remove("deployment_status", status["id"])
        for kind, name in (("job", "id"), ("check_run", "check_run"), ("deployment", "deployment")):
            if job.get(name):
                self._hub.store.remove(kind, job[name])


def _referenced(loaded: Loaded) -> list[dict[str, str]]:
    return [
        {
            "path": f"{each.file.repository}/{each.file.path}@{each.file.sha}",
            "sha": each.file.sha,
        }
        for below in loaded.called.values()
        for each in below.all()
    ]
