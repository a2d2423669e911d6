"""The jobs of .github/workflows/flow.yml."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from components import naming
from flow import building, deploying, project, terminal
from flow.runs.run import Run
from flow.runs.telling import Telling
from flow.stages import Stages


def application() -> Path | None:
    """Where the run has the application checked out."""
    named = os.environ.get("FLOW_APPLICATION") or os.environ.get("GITHUB_WORKSPACE")
    return Path(named) if named else None


def build(run: Run) -> None:
    """Build and push what the event's commit is, by version and branch."""
    team = project.find()
    folder = team.application(run.stack, application())
    images = building.plan(
        building.read(folder / team.compose_file(run.stack)),
        version=run.version,
        branch=run.branch,
        commit=run.sha,
        variables=building.variables(team.settings(run.stack)),
    )
    report = building.build(images, folder, push=True, on_line=terminal.say)
    lines = [f"| `{name}` | `{image['digest']}` |" for name, image in report.items()]
    run.tell(f"### Images of {run.version}\n\n| image | digest |\n|---|---|\n" + "\n".join(lines))
    run.put(version=run.version)


def deploy(run: Run) -> None:
    """Deploy the version the event stands for to the stack that follows its branch."""
    team, stack = project.find(), run.stack
    telling = Telling(run)
    with telling.deployment(stack) as told:
        wish = deploying.Wish(
            stack,
            version=run.version,
            application=deploying.application_for(team, stack, application()),
            branch=deploying.branch_for(run.branch, stack),
        )
        with Stages() as stages:
            done = deploying.deploy(team, wish, stages)
        told["url"] = done.url
        told["told"] = f"{done.version} in {done.seconds:.0f} s"
    run.put(url=done.url, version=done.version)
    text = _about(done)
    run.tell(text)
    if naming.stage_of_stack(stack) == "demo":
        telling.comment(stack, text)


def end(run: Run) -> None:
    """End the demo of a branch that was deleted; one that is gone already is fine."""
    from flow import demos

    team = project.find()
    with Stages() as stages:
        demos.end(team, run.stack, stages)
    Telling(run).ended(run.stack)
    run.tell(f"The demo {run.stack} has ended; nothing of it is left.")


def _about(done: deploying.Deployed) -> str:
    """A deploy for people, in Markdown."""
    lines = [
        f"### {done.environment}: [{done.url}]({done.url})",
        "",
        f"runs `{done.version}`, release `{done.release}`, after {done.seconds:.0f} s",
    ]
    if done.stage == "demo":
        lines.append("")
        lines.append(
            "Behind a password, which is in the stack: "
            f"`pulumi stack output password --show-secrets -s {done.environment}`"
        )
    if done.expires is not None:
        day = datetime.datetime.fromtimestamp(done.expires, datetime.UTC)
        lines.append("")
        lines.append(
            f"It ends on {day:%Y-%m-%d %H:%M} UTC, or when its branch is deleted; "
            f"`flow demo extend {done.branch or done.environment} --until DATE` keeps it."
        )
    return "\n".join(lines)
