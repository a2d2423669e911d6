"""Workflow files as frozen models: the documented syntax and nothing else."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from sandbox.github.actions.yaml12 import Document, Place, YamlError, read

FOLDER = ".github/workflows/"
_EVENTS = """
branch_protection_rule check_run check_suite create delete deployment deployment_status
discussion discussion_comment fork gollum image_version issue_comment issues label merge_group
milestone page_build public pull_request pull_request_review pull_request_review_comment
pull_request_target push registry_package release repository_dispatch schedule status watch
workflow_call workflow_dispatch workflow_run
"""
_PERMISSIONS = """
actions attestations checks contents deployments discussions id-token issues models packages
pages pull-requests repository-projects security-events statuses
"""
EVENTS = frozenset(_EVENTS.split())
PERMISSIONS = frozenset(_PERMISSIONS.split())
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LEVELS = {"none": 0, "read": 1, "write": 2}

Permissions = Mapping[str, str]


class WorkflowError(ValueError):
    """A file GitHub would call invalid; the message says where and what."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


def _texts(value: Any) -> Any:
    """A list of texts, given as one text or a list."""
    return [value] if isinstance(value, str) else value


def _text(value: Any) -> Any:
    """A text, also where a number or a boolean is written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _texts_by_name(value: Any) -> Any:
    if not isinstance(value, dict):
        return {} if value is None else value
    return {name: "" if each is None else _text(each) for name, each in value.items()}


def _permissions(value: Any) -> Any:
    """Each permission's level; what is not named is `none`."""
    if value in ("read-all", "write-all"):
        return dict.fromkeys(PERMISSIONS, value.removesuffix("-all"))
    if not isinstance(value, dict):
        raise ValueError(f"Unexpected value '{value}'")
    for name, level in value.items():
        if name not in PERMISSIONS:
            raise ValueError(f"Unexpected value '{name}'")
        if level not in _LEVELS:
            raise ValueError(f"Unexpected value '{level}'")
    return value


Text = Annotated[str, BeforeValidator(_text)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
ByName = Annotated[dict[str, str], BeforeValidator(_texts_by_name)]
# What is not given stays apart from `{}`, which gives nothing at all.
Given = Annotated[dict[str, str], BeforeValidator(_permissions)]


class Concurrency(_Model):
    """Which runs or jobs wait for each other; `group` may be an expression."""

    group: Text
    cancel_in_progress: Text = Field("false", alias="cancel-in-progress")
    queue: Literal["single", "max"] = "single"


class Environment(_Model):
    """The environment a job deploys to; both may be expressions."""

    name: Text
    url: str = ""
    deployment: bool = True


class Strategy(_Model):
    """How often a job runs, with which values."""

    matrix: Any = None
    fail_fast: Text = Field("true", alias="fail-fast")
    max_parallel: Any = Field(None, alias="max-parallel")


class Step(_Model):
    """One step; exactly one of `run` and `uses`."""

    id: str = ""
    name: Text = ""
    if_: Text = Field("", alias="if")
    uses: str = ""
    run: Text = ""
    with_: ByName = Field({}, alias="with")
    env: Any = None
    shell: str = ""
    working_directory: str = Field("", alias="working-directory")
    continue_on_error: Any = Field(None, alias="continue-on-error")
    timeout_minutes: Any = Field(None, alias="timeout-minutes")

    @model_validator(mode="after")
    def _is_one_thing(self) -> "Step":
        if bool(self.run) == bool(self.uses):
            raise ValueError("a step has either 'run' or 'uses'")
        return self


class Job(_Model):
    """One job: steps on a runner, or a call of another workflow."""

    name: Text = ""
    needs: Texts = ()
    if_: Text = Field("", alias="if")
    runs_on: Any = Field(None, alias="runs-on")
    environment: Annotated[
        Environment | None, BeforeValidator(lambda v: {"name": v} if isinstance(v, str) else v)
    ] = None
    concurrency: Annotated[
        Concurrency | None, BeforeValidator(lambda v: {"group": v} if isinstance(v, str) else v)
    ] = None
    permissions: Given | None = None
    outputs: ByName = {}
    env: Any = None
    defaults: dict[str, Any] | None = None
    steps: tuple[Step, ...] = ()
    timeout_minutes: Text = Field("360", alias="timeout-minutes")
    strategy: Strategy | None = None
    continue_on_error: Text = Field("false", alias="continue-on-error")
    container: Any = None
    services: Any = None
    uses: str = ""
    with_: dict[str, Any] = Field({}, alias="with")
    secrets: Literal["inherit"] | ByName = {}

    @model_validator(mode="after")
    def _is_one_thing(self) -> "Job":
        if self.uses and (self.steps or self.runs_on is not None):
            raise ValueError("a job that calls a workflow has no 'runs-on' and no 'steps'")
        if not self.uses and self.runs_on is None:
            raise ValueError("Required property is missing: runs-on")
        if not self.uses and not self.steps:
            raise ValueError("Required property is missing: steps")
        return self


class Input(_Model):
    """An input of a dispatch or a call."""

    description: Text = ""
    required: bool = False
    default: Any = None
    type: Literal["string", "boolean", "number", "choice", "environment"] = "string"
    options: tuple[Text, ...] = ()
    deprecation: str = Field("", alias="deprecationMessage")


class Output(_Model):
    """An output of a called workflow; `value` is an expression over its jobs."""

    description: Text = ""
    value: Text


class Secret(_Model):
    """A secret a called workflow takes."""

    description: Text = ""
    required: bool = False


def _by_name_or_nothing(value: Any) -> Any:
    given = {} if value is None else value
    return (
        {k: {} if v is None else v for k, v in given.items()} if isinstance(given, dict) else given
    )


class Event(_Model):
    """What about an event starts the workflow; None: no filter of that kind."""

    types: Texts | None = None
    branches: Texts | None = None
    branches_ignore: Texts | None = Field(None, alias="branches-ignore")
    tags: Texts | None = None
    tags_ignore: Texts | None = Field(None, alias="tags-ignore")
    paths: Texts | None = None
    paths_ignore: Texts | None = Field(None, alias="paths-ignore")
    workflows: Texts | None = None
    crons: tuple[str, ...] = ()
    inputs: Annotated[dict[str, Input], BeforeValidator(_by_name_or_nothing)] = {}
    outputs: dict[str, Output] = {}
    secrets: Annotated[dict[str, Secret], BeforeValidator(_by_name_or_nothing)] = {}

    @model_validator(mode="after")
    def _says_one_way(self) -> "Event":
        for kind in ("branches", "tags", "paths"):
            if getattr(self, kind) is not None and getattr(self, f"{kind}_ignore") is not None:
                raise ValueError(f"you may only define one of `{kind}` and `{kind}-ignore`")
        return self


def _events(value: Any) -> Any:
    if isinstance(value, str | list):
        value = dict.fromkeys(_texts(value))
    if not isinstance(value, dict):
        raise ValueError(f"Unexpected value '{value}'")
    for name in value:
        if name not in EVENTS:
            raise ValueError(f"Unexpected value '{name}'")
    found = {name: {} if each is None else each for name, each in value.items()}
    if isinstance(schedule := found.get("schedule"), list):
        crons = [entry.get("cron") for entry in schedule if isinstance(entry, dict)]
        if len(crons) != len(schedule) or not all(isinstance(cron, str) for cron in crons):
            raise ValueError("a schedule is a list of `cron: '…'`")
        found["schedule"] = {"crons": crons}
    return found


class Workflow(_Model):
    """One workflow file. `path` is where it is in its repository."""

    path: str
    name: Text = ""
    run_name: Text = Field("", alias="run-name")
    on: Annotated[dict[str, Event], BeforeValidator(_events)]
    permissions: Given | None = None
    env: Any = None
    defaults: dict[str, Any] | None = None
    concurrency: Annotated[
        Concurrency | None, BeforeValidator(lambda v: {"group": v} if isinstance(v, str) else v)
    ] = None
    jobs: dict[str, Job] = Field(min_length=1)

    @property
    def title(self) -> str:
        """What GitHub lists it as."""
        return self.name or self.path

    @model_validator(mode="after")
    def _jobs_can_be_ordered(self) -> "Workflow":
        for name, job in self.jobs.items():
            if not _IDENTIFIER.fullmatch(name):
                raise ValueError(
                    f"The identifier '{name}' is invalid. IDs may only contain alphanumeric "
                    "characters, '_', and '-'. IDs must start with a letter or '_'"
                )
            for need in job.needs:
                if need not in self.jobs:
                    raise ValueError(f"Job '{name}' depends on unknown job '{need}'.")
        if cycle := _in_a_circle({name: job.needs for name, job in self.jobs.items()}):
            raise ValueError(f"Job '{cycle}' depends on itself, directly or through others.")
        return self


def _in_a_circle(needs: Mapping[str, Iterable[str]]) -> str:
    """A name that is among those it needs, or "" when all can be put in order."""
    left = {name: set(needed) for name, needed in needs.items()}
    while ready := [name for name, needed in left.items() if not needed & left.keys()]:
        for name in ready:
            del left[name]
    return next(iter(left), "")


def parse(text: str, path: str) -> Workflow:
    """The workflow in a file's text. Raises WorkflowError, in GitHub's words where it has some."""
    try:
        document = read(text)
    except YamlError as error:
        raise WorkflowError(f"Invalid workflow file: {path}: {error}") from None
    if not isinstance(document.value, dict):
        raise WorkflowError(f"Invalid workflow file: {path}: it is no mapping")
    for name in ("on", "jobs"):
        if name not in document.value:
            raise WorkflowError(
                f"Invalid workflow file: {path}: (Line: 1, Col: 1): "
                f"Required property is missing: {name}"
            )
    try:
        return Workflow.model_validate({**document.value, "path": path})
    except ValidationError as error:
        told = "; ".join(_told(document, dict(each)) for each in error.errors())
        raise WorkflowError(f"Invalid workflow file: {path}: {told}") from None


def _told(document: Document, problem: Mapping[str, Any]) -> str:
    place: Place = tuple(problem["loc"])
    line, column = document.where(place)
    if problem["type"] == "extra_forbidden":
        message = f"Unexpected value '{place[-1]}'"
    elif problem["type"] == "missing":
        message = f"Required property is missing: {place[-1]}"
    else:
        message = str(problem["msg"]).removeprefix("Value error, ")
    return f"(Line: {line}, Col: {column}): {message}"
