"""The end of one environment: through its state, then looked for where it was, then forgotten."""

from __future__ import annotations

import os
from typing import Any

from components import labels, naming
from flow import backends, deploying, github_part, state
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
    with stages.stage(f"{stack}: what is left of it") as stage:
        stage.result = verify(project, stack, found)
    with stages.stage(f"{stack}: forget the stack"):
        # A stage's file is the team's, and committed; a demo's was made with it.
        project.stacks.remove(stack, keep_file=naming.stage_of_stack(stack) != "demo")
    return {"environment": stack, "changes": changes}


def check(stack: str, found: state.State) -> None:
    """Raises FlowError for what is protected, and where the token for GitHub is missing."""
    if found.github and not (found.github.get("token") or github_part.token_at_hand()):
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
            f"to lose them on purpose: {backends.command(stack, 'config set protected false')}, "
            f"flow deploy {stack}, flow destroy {stack}",
        )


def verify(project: Project, stack: str, before: state.State) -> str:
    """Asks cloud, DNS and GitHub whether anything is left; raises FlowError naming all that is.

    before  the state as it was, whose token reaches the stack's Hetzner project
    """
    left: list[str] = []
    remedies: list[str] = []
    said: list[str] = []
    cloud = cloud_of(project, stack, before)
    if cloud is None:
        said.append("no Hetzner token to ask with")
    elif found := at_hetzner(cloud, project.name, stack, before):
        left += found
        remedies.append(f"flow sweep --stack {stack} removes what carries its labels")
    part = github_part.of(project, stack, before)
    if part is not None:
        said.append(part.end_deployments())
        at_github = part.left()
        left += at_github
        remedies += at_github.values()
    if left:
        raise FlowError(
            f"the destroy of {stack} left behind: {', '.join(left)}",
            "; ".join([*remedies, f"then flow destroy {stack} once more, which forgets the stack"]),
        )
    return "; ".join(["nothing", *filter(None, said)])


def at_hetzner(cloud: Cloud, project: str, stack: str, before: state.State) -> list[str]:
    """Names of what carries the stack's labels still, and of its record sets by their own names.

    A record set of its name that another stack has labelled is that one's. Raises FlowError.
    """
    left = {str(each) for each in cloud.listed(labels.selector(project=project, stack=stack))}
    for each in before.find("ZoneRrset"):
        found = cloud.record_set(str(each["zone"]), str(each["name"]), str(each["type"]))
        if found is not None and found.stack in ("", naming.label_value(stack)):
            left.add(str(found))
    return sorted(left)


def cloud_of(project: Project, stack: str, found: state.State) -> Cloud | None:
    """The stack's Hetzner project by its own token, else the environment's; None without one.

    A state that is empty has no token any more; the settings have, where it is theirs.
    """
    provider = found.provider
    if not provider.get("token") and found.empty:
        settings = project.stacks.settings(stack)
        provider = {key: settings.get(f"hcloud:{key}") for key in ("token", "endpoint")}
    token = provider.get("token") or os.environ.get("HCLOUD_TOKEN")
    endpoint = provider.get("endpoint") or os.environ.get("HCLOUD_ENDPOINT") or ""
    return Cloud(str(token), str(endpoint)) if token else None
