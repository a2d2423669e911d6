"""Which workflows an event starts, and which commit's files count. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.github.actions import filters
from sandbox.github.actions.workflow import Event, Workflow

# Events whose workflows are those of the default branch, whatever they are about.
ON_DEFAULT_BRANCH = frozenset(
    {"delete", "discussion", "discussion_comment", "fork", "gollum", "issue_comment", "issues"}
    | {"label", "milestone", "page_build", "public", "repository_dispatch", "schedule", "watch"}
    | {"branch_protection_rule", "check_run", "check_suite", "status", "workflow_run"}
    # With rights, so never with the files of who asks to be pulled.
    | {"pull_request_target"}
    | {"pull_request_target"}
)
# What a run's own token may start all the same.
_BY_WORKFLOW_TOKEN = frozenset({"workflow_dispatch", "repository_dispatch"})
_USUAL_TYPES = dict.fromkeys(
    ("pull_request", "pull_request_target"), ("opened", "synchronize", "reopened")
)
_SKIPPED_BY = ("[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]")


def _no_paths() -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class Happening:
    """An event, as filters look at it.

    base     the branch a pull request goes to
    message  of the commit pushed, or at the head of a pull request
    paths    what was changed; asked only where a filter wants to know
    """

    name: str
    ref: str
    action: str = ""
    base: str = ""
    message: str = ""
    by_workflow_token: bool = False
    paths: Callable[[], Sequence[str]] = field(default=_no_paths)


def starts(workflow: Workflow, happening: Happening) -> bool:
    """Whether the event starts the workflow."""
    event = workflow.on.get(happening.name)
    if event is None or not may_start(happening):
        return False
    types = event.types or _USUAL_TYPES.get(happening.name)
    if types is not None and happening.action and happening.action not in types:
        return False
    if happening.name == "push":
        return _push(event, happening)
    if happening.name in ("pull_request", "pull_request_target"):
        return filters.passes(happening.base, event.branches, event.branches_ignore) and _touched(
            event, happening
        )
    return True


def may_start(happening: Happening) -> bool:
    """Whether the event may start anything at all."""
    if happening.by_workflow_token and happening.name not in _BY_WORKFLOW_TOKEN:
        return False
    told = happening.name in ("push", "pull_request")
    return not (told and any(word in happening.message for word in _SKIPPED_BY))


def _push(event: Event, happening: Happening) -> bool:
    kind, _, name = happening.ref.removeprefix("refs/").partition("/")
    branches = (event.branches, event.branches_ignore)
    tags = (event.tags, event.tags_ignore)
    if kind == "tags":
        if tags == (None, None):
            # With a filter of branches alone, tags start nothing; paths do not count for them.
            return branches == (None, None)
        return filters.passes(name, *tags)
    if branches == (None, None) and tags != (None, None):
        return False
    return filters.passes(name, *branches) and _touched(event, happening)


def _touched(event: Event, happening: Happening) -> bool:
    if event.paths is None and event.paths_ignore is None:
        return True
    return filters.touches(happening.paths(), event.paths, event.paths_ignore)


class InputError(ValueError):
    """Inputs that a workflow does not take."""


def dispatched(event: Event, given: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a dispatch, with defaults, as texts: as they stand in its payload.

    Raises InputError for one that is unknown, missing, or none of its options.
    """
    for name in given:
        if name not in event.inputs:
            raise InputError(f'Unexpected inputs provided: ["{name}"]')
    found: dict[str, Any] = {}
    for name, declared in event.inputs.items():
        value = given.get(name, declared.default)
        if value in (None, "") and declared.required:
            raise InputError(f"Required input '{name}' not provided")
        text = (
            str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
        )
        if declared.type == "choice" and text and text not in declared.options:
            raise InputError(
                f"Provided value '{text}' for input '{name}' not in the list of allowed values"
            )
        if declared.type == "boolean" and text not in ("", "true", "false"):
            raise InputError(f"Provided value '{text}' for input '{name}' is not a boolean")
        found[name] = text
    return found


def typed(event: Event, texts: Mapping[str, Any]) -> dict[str, Any]:
    """The `inputs` context of a dispatch: booleans and numbers as such."""
    found: dict[str, Any] = {}
    for name, declared in event.inputs.items():
        text = texts.get(name, "")
        if declared.type == "boolean":
            found[name] = str(text).lower() == "true"
        elif declared.type == "number" and text not in ("", None):
            number = float(text)
            found[name] = int(number) if number.is_integer() else number
        else:
            found[name] = text
    return found
