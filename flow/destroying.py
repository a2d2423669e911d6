"""The end of one environment: through its state, then looked for by its labels, then forgotten."""

from __future__ import annotations

import os
from typing import Any

from components import labels, naming
from flow import deploying, state
from flow.errors import FlowError
from flow.labelled import Cloud
from flow.project import Project
from flow.stages import Stages


def destroy(project: Project, stack: str, stages: Stages) -> dict[str, Any]:
    """Remove everything of `stack`, then the stack: {"environment", "changes"}. Raises FlowError.

    What is protected is refused before anything is touched.
    """
    with stages.stage(f"{stack}: its state") as stage:
        found = state.parse(project.stacks.state(stack))
        check(stack, found)
        stage.result = f"{len(found.resources)} resources at Hetzner"
    changes: dict[str, int] = {}
    with stages.stage(f"{stack}: destroy") as stage:
        done = project.stacks.destroy(stack, stage.note)
        changes = dict(done.changes)
        stage.result = deploying.told_changes(changes)
    with stages.stage(f"{stack}: what the API lists now") as stage:
        stage.result = verify(project, stack, found)
    with stages.stage(f"{stack}: forget the stack"):
        # A stage's file is the team's, and committed; a demo's was made with it.
        project.stacks.remove(stack, keep_file=naming.stage_of_stack(stack) != "demo")
    return {"environment": stack, "changes": changes}


def check(stack: str, found: state.State) -> None:
    """Raises FlowError for what is protected, and where the token for GitHub is missing."""
    if found.github and not (found.github.get("token") or _github_token()):
        # To nobody GitHub says of a private repository that there is none, and the provider
        # takes that for gone: the environment would stay, and its secrets with it.
        raise FlowError(
            f"{stack} has an environment at GitHub, and there is no token to remove it with. "
            "Nothing was changed",
            f"by hand: export GITHUB_TOKEN, an administrator's, then flow destroy {stack} (in a "
            "workflow of a stage: the secret FLOW_GITHUB_TOKEN)",
        )
    if naming.stage_of_stack(stack) == "demo" or found.empty:
        return
    if found.outputs.get("protected") is True:
        raise FlowError(
            f"{stack} is protected: its volume, its addresses and what is on them. Nothing was "
            "changed",
            f"to lose them on purpose: pulumi config set protected false -s {stack}, "
            f"flow deploy {stack}, flow destroy {stack}",
        )


def _github_token() -> str:
    return os.environ.get("FLOW_GITHUB_TOKEN") or os.environ.get("GITHUB_TOKEN") or ""


def verify(project: Project, stack: str, before: state.State) -> str:
    """Says that nothing carries the stack's labels any more; raises FlowError when something does.

    before  the state as it was, whose token reaches the stack's Hetzner project
    """
    cloud = cloud_of(before)
    if cloud is None:
        return "no token to ask with"
    left = cloud.listed(labels.selector(project=project.name, stack=stack))
    if left:
        raise FlowError(
            f"the destroy of {stack} left behind: {', '.join(str(each) for each in left)}",
            f"flow destroy {stack} once more, else delete them in Hetzner's console",
        )
    return "nothing"


def cloud_of(found: state.State) -> Cloud | None:
    """The stack's Hetzner project by its own token, else the environment's; None without one."""
    token = found.provider.get("token") or os.environ.get("HCLOUD_TOKEN")
    endpoint = found.provider.get("endpoint") or os.environ.get("HCLOUD_ENDPOINT") or ""
    return Cloud(str(token), str(endpoint)) if token else None
