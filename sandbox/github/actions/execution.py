"""One run under way: which of its jobs may begin, and what came of them.

All of this happens in the scheduler's one thread. A job's way is in jobs.py.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from sandbox.github.actions import calls, contexts, matrix, records
from sandbox.github.actions.concurrency import WHOLE_RUN, Groups, Holder
from sandbox.github.actions.expressions import (
    Evaluation,
    ExpressionError,
    Expressions,
    Status,
)
from sandbox.github.actions.graph import DEFAULT_PERMISSIONS, Leaf, Loaded, Node, Scope, outcome
from sandbox.github.actions.matrix import MatrixError
from sandbox.github.actions.workflow import Concurrency, WorkflowError
from sandbox.github.environments import variables_of
from sandbox.github.hub import Hub
from sandbox.store import Record

Keep = Mapping[str, Record]


class Jobs(Protocol):
    """Who takes a job from here (see jobs.py)."""

    def open(self, execution: "Execution", leaf: Leaf) -> None:
        """It may begin: its groups, its environment, and then a runner."""

    def stop(self, execution: "Execution", leaf: Leaf, reason: str, *, force: bool = False) -> None:
        """End it, wherever it is."""

    def skip(self, execution: "Execution", leaf: Leaf, conclusion: str, reason: str = "") -> None:
        """It ends before it began."""


class Execution:
    """A run, its files and its jobs. `post` runs something later, in the scheduler's thread."""

    def __init__(
        self,
        hub: Hub,
        groups: Groups,
        expressions: Expressions,
        jobs: Jobs,
        run: Record,
        loaded: Loaded,
        inputs: Mapping[str, Any],
        post: Callable[[Callable[[], None]], None],
        keep: Keep | None = None,
    ) -> None:
        self.hub = hub
        self.groups = groups
        self.expressions = expressions
        self.post = post
        self._jobs = jobs
        self.number = int(run["id"])
        self.full_name = str(run["project"])
        setting = str(self.repository.get("workflow_permissions", "read"))
        self.root = Scope(loaded, inputs=inputs, default=DEFAULT_PERMISSIONS[setting])
        self.leaves: dict[int, Leaf] = {}
        # Jobs of an earlier attempt that need not run again, by key.
        self.keep = dict(keep or {})
        self.cancelled = False
        self.finished = False
        self.holder: Holder | None = None

    @property
    def run(self) -> Record:
        """The run's record as it is now."""
        found = self.hub.store.get("run", self.number)
        # Runs are deleted only once they are done.
        assert found is not None  # noqa: S101  # nosec B101
        return found

    @property
    def repository(self) -> Record:
        """The repository's record."""
        return self.hub.repository(*self.full_name.split("/"))

    def change(self, **changes: Any) -> None:
        """Change the run's record."""
        self.hub.store.change("run", self.number, updated_at=self.hub.now(), **changes)

    # What is known at each place.

    def evaluation(self, scope: Scope, node: Node | None = None) -> Evaluation:
        """What expressions of a file, or of one of its jobs, may name."""
        context: dict[str, Any] = {
            "github": contexts.github(
                self.hub, self.repository, self.run, node.name if node else ""
            ),
            "inputs": scope.inputs,
            "vars": variables_of(self.hub, self.full_name),
        }
        if node is not None:
            context["needs"] = {
                need.name: {"result": need.result, "outputs": need.outputs} for need in node.needs
            }
            context["matrix"] = {}
            context["strategy"] = {}
        return Evaluation(self.expressions, context)

    # From the beginning to the end.

    def begin(self) -> None:
        """Wait for the run's concurrency group, or start."""
        wanted = self.root.loaded.workflow.concurrency
        if wanted is None:
            self.advance()
            return

        def go() -> None:
            self.change(status="queued")
            self.advance()

        try:
            self.holder, goes = self.enter(
                wanted, self.evaluation(self.root), WHOLE_RUN, go, self.cancel
            )
        except ExpressionError as error:
            self.fail(f"{self.root.loaded.file.path}: concurrency: {error}")
            return
        if goes:
            self.advance()
        elif not self.finished:
            self.change(status="pending")

    def enter(
        self,
        wanted: Concurrency,
        known: Evaluation,
        name: str,
        go: Callable[[], None],
        cancel: Callable[[str], None],
    ) -> tuple[Holder, bool]:
        """Enter a concurrency group: the place, and whether it goes at once, without `go`.

        Raises ExpressionError.
        """
        group = known.text(wanted.group)
        cancels = known.truth(wanted.cancel_in_progress)
        holder = Holder(name, self.number, lambda: self.post(go), cancel)
        goes = self.groups.enter(
            self.full_name, group, holder, cancels=cancels, queues=wanted.queue == "max"
        )
        return holder, goes

    def fail(self, message: str) -> None:
        """The run ends before any job could begin."""
        self.finished = True
        self.change(status=records.DONE, conclusion="startup_failure", error=message)
        if self.holder is not None:
            self.groups.leave(self.holder)

    def cancel(self, reason: str = "", *, force: bool = False) -> None:
        """End what runs, begin nothing but what runs always."""
        if self.finished:
            return
        self.cancelled = True
        self.change(error=reason or "The run was canceled.")
        never_began = not self.leaves and not any(n.opened for n in self.root.nodes.values())
        for leaf in list(self.leaves.values()):
            self._jobs.stop(self, leaf, reason, force=force)
        if never_began and self.run["status"] == "pending":
            self._finish("cancelled")
            return
        self.advance()

    def advance(self) -> None:
        """Begin what can begin, close what is done, until nothing moves."""
        while not self.finished and self._step(self.root):
            pass
        if self.finished:
            return
        if self.root.done:
            result = self.root.outcome()
            if self.cancelled and result != "failure":
                result = "cancelled"
            self._finish(result)
        else:
            self._note_status()

    def _finish(self, conclusion: str) -> None:
        self.finished = True
        self.change(status=records.DONE, conclusion=conclusion)
        if self.holder is not None:
            self.groups.leave(self.holder)

    def _note_status(self) -> None:
        found = {job["status"] for job in records.jobs(self.hub, self.run)}
        current = self.run["status"]
        if found & {"in_progress", records.DONE} and not found & {"waiting"}:
            status = "in_progress"
        elif "waiting" in found and not found & {"in_progress", "queued"}:
            status = "waiting"
        elif "in_progress" in found:
            status = "in_progress"
        else:
            status = current if current in ("queued", "pending") else "queued"
        if status != current:
            self.change(status=status)

    def _step(self, scope: Scope) -> bool:
        moved = False
        for node in scope.nodes.values():
            if node.done:
                continue
            if not node.opened:
                if all(need.done for need in node.needs):
                    self._open(node)
                    moved = True
                continue
            for member in node.members:
                if isinstance(member, Scope) and not member.done:
                    moved = self._step(member) or moved
            if all(member.done for member in node.members):
                self._close(node)
                moved = True
        return moved

    def _open(self, node: Node) -> None:
        node.opened = True
        known = self.evaluation(node.scope, node)
        try:
            condition = known.only("github", "needs", "vars", "inputs")
            if not condition.runs(node.job.if_, self._status(node)):
                self._end_early(node, "cancelled" if self.cancelled else "skipped")
                return
            strategy = node.job.strategy
            combinations: list[matrix.Combination | None] = [None]
            if strategy is not None and strategy.matrix is not None:
                combinations = [*matrix.expand(known.value(strategy.matrix))]
            for number, combination in enumerate(combinations):
                self._member(node, combination, number if combination is not None else None)
        except (ExpressionError, MatrixError, WorkflowError) as error:
            if node.members:  # some began: those go on, and this one fails with them
                self._leaf(node, None, "#failed", node.name, fails=str(error))
            else:
                self._end_early(node, "failure", str(error))

    def _status(self, node: Node) -> Status:
        if self.cancelled:
            return "cancelled"
        results = {ancestor.result for ancestor in node.ancestors()}
        if "failure" in results:
            return "failure"
        return "success" if results <= {"success"} else "skipped"

    def _member(
        self, node: Node, combination: matrix.Combination | None, number: int | None
    ) -> None:
        scope = node.scope
        known = self.evaluation(scope, node).with_(matrix=combination or {})
        plain = known.text(node.job.name) if node.job.name else node.name
        if combination is not None and "${{" not in node.job.name:
            plain = matrix.title(plain, combination)
        suffix = "" if number is None else f"#{number}"
        if not node.job.uses:
            self._leaf(node, combination, suffix, plain)
            return
        node.members.append(calls.scope(self, node, known, plain, suffix))

    def _leaf(
        self,
        node: Node,
        combination: matrix.Combination | None,
        suffix: str,
        title: str,
        fails: str = "",
    ) -> None:
        key = f"{node.scope.key}{node.name}{suffix}"
        labels = node.job.runs_on
        record = records.new_job(
            self.hub,
            self.run,
            key=key,
            name=node.scope.title + title,
            labels=labels if isinstance(labels, list) else [str(labels or "ubuntu-latest")],
        )
        leaf = Leaf(node, int(record["id"]), key, combination)
        node.members.append(leaf)
        self.leaves[leaf.record] = leaf
        if fails:
            self._jobs.skip(self, leaf, "failure", fails)
        elif kept := self.keep.get(key):
            copied = ("steps", "outputs", "environment", "started_at", "completed_at", "conclusion")
            changes = {name: kept[name] for name in copied}
            self.hub.store.change("job", leaf.record, status=records.DONE, **changes)
            leaf.done, leaf.result, leaf.outputs = True, "success", kept["outputs"]
        else:
            self._jobs.open(self, leaf)

    def _end_early(self, node: Node, conclusion: str, reason: str = "") -> None:
        key = f"{node.scope.key}{node.name}"
        name = node.scope.title + (
            node.job.name if node.job.name and "${{" not in node.job.name else node.name
        )
        record = records.new_job(self.hub, self.run, key=key, name=name)
        leaf = Leaf(node, int(record["id"]), key, None)
        node.members.append(leaf)
        self.leaves[leaf.record] = leaf
        self._jobs.skip(self, leaf, conclusion, reason)

    def _close(self, node: Node) -> None:
        node.done = True
        results = [
            member.outcome() if isinstance(member, Scope) else member.result
            for member in node.members
        ]
        node.result = outcome(results)
        found: dict[str, str] = {}
        for member in node.members:
            given = calls.outputs(self, member) if isinstance(member, Scope) else member.outputs
            found |= {name: value for name, value in given.items() if value or name not in found}
        node.outputs = found
