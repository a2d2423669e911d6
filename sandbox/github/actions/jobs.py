"""The way of one job: its concurrency group, its environment's rules, a runner, its end."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sandbox.github import checks, deployments, environments, rules
from sandbox.github.access import BOT
from sandbox.github.actions import preparation, records
from sandbox.github.actions.execution import Execution
from sandbox.github.actions.expressions import ExpressionError
from sandbox.github.actions.graph import Leaf
from sandbox.github.actions.runner import Result, Runner
from sandbox.github.actions.step_processes import new_mark, sweep
from sandbox.github.actions.uses import UsesError
from sandbox.github.actions.workflow import WorkflowError
from sandbox.github.hub import Hub
from sandbox.store import Record

log = logging.getLogger(__name__)

SHUTDOWN = "The runner has received a shutdown signal: the sandbox's GitHub was stopped."

Post = Callable[[Callable[[], None]], None]


class JobLives:
    """Takes jobs from the moment what they need is done.

    post  runs something in the scheduler's thread
    """

    def __init__(self, hub: Hub, runner: Runner, post: Post, at_once: int) -> None:
        self._hub = hub
        self._runner = runner
        self._post = post
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="job")

    def close(self) -> None:
        """Take no more; what runs has been told to stop."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def log(self, job: Mapping[str, Any]) -> Path:
        """Where a job's log is."""
        return log_of(self._hub, job)

    # In the scheduler's thread.

    def open(self, execution: Execution, leaf: Leaf) -> None:
        """It may begin: its groups, its environment, and then a runner."""
        record = self._change(leaf, status="queued")
        check = checks.create(
            self._hub, execution.repository, record["name"], record["head_sha"],
            details_url=records.job_url(self._hub, record), external_id=leaf.key,
            suite=str(execution.number), head_branch=record["head_branch"] or "",
        )  # fmt: skip
        self._change(leaf, check_run=check["id"])
        wanted = leaf.node.job.concurrency
        if wanted is None:
            self._gate(execution, leaf)
            return

        def go() -> None:
            if not leaf.done:
                self._change(leaf, status="queued")
                self._gate(execution, leaf)
                execution.advance()

        def cancel(reason: str) -> None:
            self.stop(execution, leaf, reason)
            self._post(execution.advance)

        try:
            holder, goes = execution.enter(
                wanted, preparation.known(execution, leaf), leaf.key, go, cancel
            )
        except ExpressionError as error:
            self.skip(execution, leaf, "failure", f"concurrency: {error}")
            return
        if leaf.done:
            execution.groups.leave(holder)
            return
        leaf.holders.append(holder)
        if goes:
            self._gate(execution, leaf)
        else:
            self._change(leaf, status="pending")

    def stop(self, execution: Execution, leaf: Leaf, reason: str, *, force: bool = False) -> None:
        """End it, wherever it is."""
        if leaf.done:
            return
        if reason:
            self._change(leaf, reason=reason)
        if leaf.begun and not (leaf.future and leaf.future.cancel()):
            leaf.stop.force = leaf.stop.force or force
            leaf.stop.asked.set()
            return
        self.skip(execution, leaf, "cancelled", reason)

    def skip(self, execution: Execution, leaf: Leaf, conclusion: str, reason: str = "") -> None:
        """It ends before it began."""
        if reason:
            self._change(leaf, reason=reason)
            self._write(leaf, f"##[error]{reason}")
        self._end(execution, leaf, Result(conclusion))

    def decide(
        self, execution: Execution, leaf: Leaf, *, approved: bool, login: str, comment: str
    ) -> None:
        """A reviewer has decided on a job that waits."""
        record = self._record(leaf)
        if leaf.done or record["status"] != "waiting":
            return
        if not approved:
            told = f"Deployment to {leaf.environment} was rejected by {login}. {comment}".strip()
            self.skip(execution, leaf, "failure", told)
            return
        self._change(leaf, approved_by=login)
        self.look(execution, leaf)

    def look(self, execution: Execution, leaf: Leaf) -> None:
        """Begin a job that waits, if nothing holds it any more."""
        record = self._record(leaf)
        if leaf.done or record["status"] != "waiting":
            return
        reviewed = record.get("approved_by") or not record.get("reviewed")
        if reviewed and self._hub.store.now() >= record.get("not_before", 0):
            self._enqueue(execution, leaf)

    def abandon(self, job: Record, reason: str) -> None:
        """Close the record of a job that an earlier process left."""
        changes = {"status": records.DONE, "conclusion": "cancelled", "reason": reason}
        self._hub.store.change("job", job["id"], completed_at=self._hub.now(), **changes)
        if job.get("mark"):
            sweep(job["mark"])
        leaf = Leaf(None, int(job["id"]), job["key"], None)  # type: ignore[arg-type]
        self._tell(leaf, records.DONE, "failure", "cancelled")
        self._write(leaf, f"##[error]{reason}")

    # Its environment.

    def _gate(self, execution: Execution, leaf: Leaf) -> None:
        wanted = leaf.node.job.environment
        try:
            name = preparation.known(execution, leaf).text(wanted.name) if wanted else ""
        except ExpressionError as error:
            self.skip(execution, leaf, "failure", f"environment: {error}")
            return
        if not wanted or not name:
            self._enqueue(execution, leaf)
            return
        leaf.environment = name
        found = environments.ensured(self._hub, execution.full_name, name)
        run = execution.run
        self._change(leaf, environment=found["name"])
        protected = bool(rules.in_force(self._hub, execution.repository, run["ref"]))
        if not environments.admits(found, run["ref"], protected=protected):
            kind = "Tag" if run["ref"].startswith("refs/tags/") else "Branch"
            short = run["ref"].split("/", 2)[2]
            self.skip(
                execution, leaf, "failure",
                f'{kind} "{short}" is not allowed to deploy to {found["name"]} due to '
                "environment protection rules.",
            )  # fmt: skip
            return
        if wanted.deployment:
            deployment = deployments.create(
                self._hub, execution.repository, BOT, ref=run["ref"].split("/", 2)[2],
                sha=run["sha"], environment=found["name"], payload={"run_id": run["id"]},
            )  # fmt: skip
            self._change(leaf, deployment=deployment["id"])
        minutes = float(found["wait_timer"] or 0)
        if found["reviewers"] or minutes:
            self._change(
                leaf,
                status="waiting",
                reviewed=bool(found["reviewers"]),
                not_before=self._hub.store.now() + minutes * 60,
            )
            self._tell(leaf, "waiting", "pending")
            return
        self._enqueue(execution, leaf)

    # A runner.

    def _enqueue(self, execution: Execution, leaf: Leaf) -> None:
        self._change(leaf, status="queued")
        self._tell(leaf, "queued", "queued")
        try:
            leaf.future = self._pool.submit(self._work, execution, leaf)
        except RuntimeError:  # the pool is closed: the process ends
            self.skip(execution, leaf, "cancelled", SHUTDOWN)

    def _work(self, execution: Execution, leaf: Leaf) -> None:
        """In a thread of the pool: the job itself."""
        token = ""  # none yet  # nosec B105
        try:
            if leaf.stop.asked.is_set():
                result = Result("cancelled")
            else:
                mark = new_mark()
                self._change(leaf, status="in_progress", started_at=self._hub.now(), mark=mark)
                self._tell(leaf, "in_progress", "in_progress")
                self._post(execution.advance)
                token = preparation.token(execution, leaf)
                work, minutes = preparation.work(execution, leaf, token)
                result = self._runner.run(
                    work,
                    self.log(self._record(leaf)),
                    mark,
                    leaf.stop,
                    lambda steps: self._steps(leaf, steps),
                    minutes,
                )
        except (ExpressionError, UsesError, WorkflowError) as error:
            self._write(leaf, f"##[error]{error}")
            self._change(leaf, reason=str(error))
            result = Result("failure")
        except Exception as error:
            log.exception("job %s of run %s", leaf.key, execution.number)
            self._write(leaf, f"##[error]the sandbox's runner failed: {error!r}")
            result = Result("failure")
        finally:
            if token:
                self._hub.tokens.revoke(token)

        def end() -> None:
            self._end(execution, leaf, result)
            execution.advance()

        self._post(end)

    # Its end.

    def _end(self, execution: Execution, leaf: Leaf, result: Result) -> None:
        if leaf.done:
            return
        leaf.done, leaf.result, leaf.outputs = True, result.conclusion, result.outputs
        self._change(
            leaf,
            status=records.DONE,
            conclusion=result.conclusion,
            outputs=dict(result.outputs),
            completed_at=self._hub.now(),
        )
        states = {"success": "success", "skipped": "inactive"}
        self._tell(
            leaf, records.DONE, states.get(result.conclusion, "failure"), result.conclusion,
            result.address,
        )  # fmt: skip
        for holder in leaf.holders:
            execution.groups.leave(holder)
        if result.conclusion == "failure":
            self._after_failure(execution, leaf)

    def _after_failure(self, execution: Execution, leaf: Leaf) -> None:
        known = preparation.known(execution, leaf)
        strategy = leaf.node.job.strategy
        try:
            if known.truth(leaf.node.job.continue_on_error):
                leaf.result = "success"
            elif leaf.matrix is not None and strategy and known.truth(strategy.fail_fast):
                for other in leaf.node.members:
                    if isinstance(other, Leaf) and other is not leaf:
                        self.stop(execution, other, "The strategy configuration was canceled.")
        except ExpressionError as error:
            self._write(leaf, f"##[error]{error}")

    def _tell(
        self, leaf: Leaf, status: str, state: str, conclusion: str = "", address: str = ""
    ) -> None:
        """Say it to the check run and the deployment."""
        record = self._record(leaf)
        check = self._hub.store.get("check_run", record["check_run"] or "")
        if check is not None:
            shown = {"status": "queued" if status == "waiting" else status}
            checks.update(self._hub, check, **({"conclusion": conclusion} if conclusion else shown))
        deployment = self._hub.store.get("deployment", record["deployment"] or "")
        if deployment is not None:
            deployments.set_status(
                self._hub, deployment, BOT, state, environment_url=address,
                log_url=records.job_url(self._hub, record),
            )  # fmt: skip

    def _record(self, leaf: Leaf) -> Record:
        return self._hub.store.get("job", leaf.record) or {}

    def _change(self, leaf: Leaf, **changes: Any) -> Record:
        return self._hub.store.change("job", leaf.record, **changes) or {}

    def _steps(self, leaf: Leaf, steps: list[dict[str, Any]]) -> None:
        self._change(leaf, steps=steps)

    def _write(self, leaf: Leaf, line: str) -> None:
        path = self.log(self._record(leaf))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as lines:
            print(f"{self._hub.now().removesuffix('Z')}.0000000Z {line}", file=lines)


def log_of(hub: Hub, job: Mapping[str, Any]) -> Path:
    """Where a job's log is, whether or not there is one yet."""
    return hub.folder / "runs" / str(job["run_id"]) / f"{job['id']}.log"
