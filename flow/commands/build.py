"""`flow build`: the application's images, and the push of them."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from flow import building, deploying, project, terminal
from flow.commands.asking import Application, DryRun, Json, Version
from flow.errors import FlowError
from flow.stages import Stages


def build(
    version: Version = None,
    branch: Annotated[
        str | None, typer.Option(help="The branch it is built from; else the one checked out.")
    ] = None,
    application: Application = None,
    commit: Annotated[
        str | None, typer.Option(help="The commit it is built from; else the one checked out.")
    ] = None,
    push: Annotated[bool, typer.Option("--push", help="Push what was built.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Build every service of the Compose file that has `build:`, tagged by version and branch.

    Without --version it is the time and the commit, as 20310531.0904-1a2b3c4. --push logs in with
    REGISTRY_PUSH_USERNAME and REGISTRY_PUSH_PASSWORD where they are set, else as Docker is.
    """
    deploying.check_version(version)
    team = project.find()
    # Which stack's settings say where the images are: that of the branch.
    stack = project.stack_of(branch) if branch else "dev"
    folder = team.application(stack, application)
    branch = branch or building.branch_of(folder)
    if not branch:
        raise FlowError("no branch is checked out", "name it: --branch development")
    stack = project.stack_of(branch)
    commit = commit or building.commit_of(folder)
    version = version or f"{time.strftime('%Y%m%d.%H%M', time.gmtime())}-{commit[:7]}"
    images = building.plan(
        building.read(folder / team.compose_file(stack)),
        version=version,
        branch=branch,
        commit=commit,
        variables=building.variables(team.settings(stack)),
    )
    if dry_run:
        report: dict[str, Any] = {
            each.service: {"tags": list(each.references), "digest": None} for each in images
        }
    else:
        stages = Stages()
        with stages, stages.stage(f"images of version {version}") as stage:
            report = building.build(images, folder, push=push, on_line=stage.note)
            stage.result = f"{', '.join(report)}{', pushed' if push else ''}"
    if as_json:
        terminal.print_json(
            {"version": version, "branch": branch, "commit": commit, "images": report}
        )
        return
    for name, image in report.items():
        terminal.data.print(f"{name}  {image['tags'][0]}  {image['digest'] or ''}", markup=False)
