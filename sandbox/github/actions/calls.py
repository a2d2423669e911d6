"""Called workflows: what they are handed, and what they give back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sandbox.github.actions.expressions import Evaluation, ExpressionError
from sandbox.github.actions.graph import Node, Scope
from sandbox.github.environments import secrets_of

if TYPE_CHECKING:
    from sandbox.github.actions.execution import Execution

log = logging.getLogger(__name__)

#: Stands for the token of whichever job reads it, where a call hands its own on.
TOKEN_OF_THE_JOB = "\x1fGITHUB_TOKEN\x1f"  # noqa: S105 - it is none  # nosec B105


def scope(execution: Execution, node: Node, known: Evaluation, title: str, suffix: str) -> Scope:
    """The file a job calls, with its inputs and secrets.

    Raises ExpressionError, and WorkflowError when its permissions are more than the caller has.
    """
    around = node.scope
    called = around.loaded.called[node.name]
    event = called.workflow.on["workflow_call"]
    given = known.value(node.job.with_)
    inputs = {name: given.get(name, declared.default) for name, declared in event.inputs.items()}
    handed = around.secrets
    if node.job.secrets != "inherit":
        filled = known.with_(
            secrets={**secrets(execution, around), "GITHUB_TOKEN": TOKEN_OF_THE_JOB}
        )
        handed = {name: filled.text(value) for name, value in node.job.secrets.items()}
    return Scope(
        called,
        key=f"{around.key}{node.name}{suffix}/",
        title=f"{around.title}{title} / ",
        inputs=inputs,
        secrets=handed,
        ceiling=around.permissions(node.job),
    )


def secrets(execution: Execution, around: Scope, environment: str = "") -> dict[str, str]:
    """What a job of that file may read; nothing for a fork's pull request."""
    if not execution.run["trusted"]:
        return {}
    own = secrets_of(execution.hub, execution.full_name)
    everything = secrets_of(execution.hub, execution.full_name, environment or None)
    if around.secrets is None:
        return everything
    # An environment's own go before what was handed over.
    special = {name: value for name, value in everything.items() if own.get(name) != value}
    return {**around.secrets, **special}


def outputs(execution: Execution, called: Scope) -> dict[str, str]:
    """The outputs of a called workflow, by those of its jobs."""
    jobs = {
        name: {"result": node.result, "outputs": node.outputs}
        for name, node in called.nodes.items()
    }
    known = execution.evaluation(called).with_(jobs=jobs)
    found: dict[str, str] = {}
    for name, output in called.loaded.workflow.on["workflow_call"].outputs.items():
        try:
            found[name] = known.text(output.value)
        except ExpressionError as error:
            log.warning("run %s: output %s: %s", execution.number, name, error)
    return found
