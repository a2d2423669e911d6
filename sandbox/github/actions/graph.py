"""A run's jobs in memory: workflow files with those they call, and what became of each job."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from sandbox.github.actions.concurrency import Holder
from sandbox.github.actions.runner import Stop
from sandbox.github.actions.uses import FileAt, UsesError, absolute, text_of, workflow_at
from sandbox.github.actions.workflow import PERMISSIONS, Job, Workflow, WorkflowError, parse
from sandbox.github.hub import Hub

_DEEPEST = 10
_LEVELS = ("none", "read", "write")
# What a token may where no file says anything, by the repository's setting.
DEFAULT_PERMISSIONS = {
    "read": {"contents": "read", "packages": "read"},
    "write": dict.fromkeys(PERMISSIONS - {"id-token"}, "write"),
}


@dataclass(frozen=True)
class Loaded:
    """A workflow file and, by job, the files it calls."""

    workflow: Workflow
    file: FileAt
    called: Mapping[str, "Loaded"]

    def all(self) -> list["Loaded"]:
        """It and all below it."""
        return [self, *(each for below in self.called.values() for each in below.all())]


def load(hub: Hub, file: FileAt, depth: int = 0) -> Loaded:
    """Read a file and all it calls. Raises WorkflowError."""
    if depth >= _DEEPEST:
        raise WorkflowError(f"{file.path}: workflows call each other more than {_DEEPEST} deep")
    try:
        workflow = _located(parse(text_of(hub, file), file.path), file)
        called: dict[str, Loaded] = {}
        for name, job in workflow.jobs.items():
            if job.uses:
                below = load(hub, workflow_at(hub, job.uses, file), depth + 1)
                _may_call(file.path, name, job, below)
                called[name] = below
    except UsesError as error:
        raise WorkflowError(f"Invalid workflow file: {file.path}: {error}") from None
    return Loaded(workflow, file, called)


def _located(workflow: Workflow, file: FileAt) -> Workflow:
    """The workflow with every `$/…` of its steps as the repository and commit it means."""
    jobs = {}
    for name, job in workflow.jobs.items():
        steps = tuple(
            step.model_copy(update={"uses": absolute(step.uses, file)}) if step.uses else step
            for step in job.steps
        )
        jobs[name] = job.model_copy(update={"steps": steps}) if steps else job
    return workflow.model_copy(update={"jobs": jobs})


def _may_call(path: str, name: str, job: Job, called: Loaded) -> None:
    told = f"Invalid workflow file: {path}: job '{name}': "
    event = called.workflow.on.get("workflow_call")
    if event is None:
        raise WorkflowError(
            f"{told}'{called.file.path}' is not reusable as it is missing a "
            "`on.workflow_call` trigger"
        )
    for given in job.with_:
        if given not in event.inputs:
            raise WorkflowError(
                f"{told}Invalid input, {given} is not defined in the referenced workflow."
            )
    for wanted, declared in event.inputs.items():
        if declared.required and wanted not in job.with_:
            raise WorkflowError(
                f"{told}Input {wanted} is required, but not provided while calling."
            )
    if job.secrets != "inherit":
        for given in job.secrets:
            if given not in event.secrets:
                raise WorkflowError(
                    f"{told}Invalid secret, {given} is not defined in the referenced workflow."
                )
        for wanted, taken in event.secrets.items():
            if taken.required and wanted not in job.secrets:
                raise WorkflowError(
                    f"{told}Secret {wanted} is required, but not provided while calling."
                )


@dataclass
class Scope:
    """One workflow file of a run: its own, or one it calls.

    secrets  what a call hands over; None: all that the repository has
    ceiling  what its jobs' tokens may at most; None: whatever they ask for
    default  what they may where the run's own file says nothing
    holders  places in concurrency groups of the file and of the job that calls it
    """

    loaded: Loaded
    key: str = ""
    title: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] | None = None
    ceiling: Mapping[str, str] | None = None
    default: Mapping[str, str] = field(default_factory=lambda: DEFAULT_PERMISSIONS["read"])
    nodes: dict[str, "Node"] = field(default_factory=dict)
    holders: list[Holder] = field(default_factory=list)
    result: str = ""

    def __post_init__(self) -> None:
        for name, job in self.loaded.workflow.jobs.items():
            self.nodes[name] = Node(self, name, job)

    @property
    def done(self) -> bool:
        """Whether nothing of it is left to do."""
        return bool(self.result) or all(node.done for node in self.nodes.values())

    def outcome(self) -> str:
        """What its jobs came to."""
        return self.result or outcome([node.result for node in self.nodes.values()])

    def permissions(self, job: Job) -> dict[str, str]:
        """What a job's token may. Raises WorkflowError when a called one asks for too much."""
        asked = job.permissions
        if asked is None:
            asked = self.loaded.workflow.permissions
        if asked is None:
            return dict(self.default if self.ceiling is None else self.ceiling)
        if self.ceiling is not None:
            for name, level in asked.items():
                most = self.ceiling.get(name, "none")
                if _LEVELS.index(level) > _LEVELS.index(most):
                    raise WorkflowError(
                        f"Error calling workflow '{self.loaded.file.path}': the nested job is "
                        f"requesting '{name}: {level}', but is only allowed '{name}: {most}'."
                    )
        return dict(asked)


@dataclass
class Node:
    """A job of a file. `members` are what it stands for: jobs of its matrix, or called files."""

    scope: Scope
    name: str
    job: Job
    opened: bool = False
    done: bool = False
    result: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    members: "list[Leaf | Scope]" = field(default_factory=list)

    @property
    def needs(self) -> list["Node"]:
        """Those it waits for."""
        return [self.scope.nodes[name] for name in self.job.needs]

    def ancestors(self) -> list["Node"]:
        """Those it waits for, and those they waited for."""
        found: dict[str, Node] = {}
        left = self.needs
        while left:
            node = left.pop()
            if node.name not in found:
                found[node.name] = node
                left += node.needs
        return list(found.values())


@dataclass
class Leaf:
    """One job that a runner runs."""

    node: Node
    record: int
    key: str
    matrix: Mapping[str, Any] | None
    stop: Stop = field(default_factory=Stop)
    holders: list[Holder] = field(default_factory=list)
    environment: str = ""
    future: Future[None] | None = None
    done: bool = False
    result: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def begun(self) -> bool:
        """Whether it is with a runner, or in the line for one."""
        return self.future is not None


def outcome(results: list[str]) -> str:
    """Several results in one."""
    for worst in ("failure", "cancelled"):
        if worst in results:
            return worst
    return "skipped" if results and all(each == "skipped" for each in results) else "success"
