"""What a runner is given for a job: a token, secrets, variables, contexts, actions."""

from sandbox.github import environments
from sandbox.github.access import BOT
from sandbox.github.actions import calls, contexts, uses
from sandbox.github.actions.act_files import Needed, Work
from sandbox.github.actions.execution import Execution
from sandbox.github.actions.expressions import Evaluation
from sandbox.github.actions.graph import Leaf

_TOKEN_SECONDS = 24 * 3600.0


def known(execution: Execution, leaf: Leaf) -> Evaluation:
    """What the job's expressions may name."""
    return execution.evaluation(leaf.node.scope, leaf.node).with_(matrix=leaf.matrix or {})


def token(execution: Execution, leaf: Leaf) -> str:
    """A GITHUB_TOKEN with the job's permissions; for a fork one that only reads.

    Raises WorkflowError.
    """
    granted = leaf.node.scope.permissions(leaf.node.job)
    if not execution.run["trusted"]:
        granted = {name: "read" for name, level in granted.items() if level != "none"}
    permissions = {name.replace("-", "_"): level for name, level in granted.items()}
    return execution.hub.tokens.mint(
        BOT,
        "workflow",
        permissions={"metadata": "read", **permissions},
        repositories=[execution.full_name],
        expires=execution.hub.store.now() + _TOKEN_SECONDS,
    )


def work(execution: Execution, leaf: Leaf, token: str) -> tuple[Work, float]:
    """The job, and the minutes it has. Raises ExpressionError and UsesError."""
    node, run = leaf.node, execution.run
    minutes = float(known(execution, leaf).text(node.job.timeout_minutes))
    context = contexts.github(execution.hub, execution.repository, run, node.name)
    found = calls.secrets(execution, node.scope, leaf.environment)
    found["GITHUB_TOKEN"] = token
    prepared = Work(
        workflow=node.scope.loaded.workflow,
        title=run["name"],
        name=node.name,
        job=node.job,
        event=run["event"],
        payload=run["payload"],
        actor=run["actor"],
        inputs=node.scope.inputs,
        needs={need.name: Needed(need.result, need.outputs) for need in node.needs},
        matrix=leaf.matrix,
        secrets={
            name: value.replace(calls.TOKEN_OF_THE_JOB, token) for name, value in found.items()
        },
        variables=environments.variables_of(
            execution.hub, execution.full_name, leaf.environment or None
        ),
        environment=contexts.environment(context),
        actions=uses.actions(
            execution.hub,
            [step.uses for step in node.job.steps if step.uses],
            execution.hub.folder / ".exported",
            execution.full_name,
        ),
    )
    return prepared, minutes
