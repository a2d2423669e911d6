"""The rehearsal: the whole flow of a team once, with the real engine, in the sandbox.

By git and GitHub's API alone: pushes, pull requests, reviews and releases, and the workflows they
start. Every act asserts something and ends the rehearsal where it does not hold.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from flow.errors import FlowError
from flow.publishing import publish
from flow.sandbox_project import SandboxProject
from flow.sandbox_team import SandboxTeam
from flow.stages import Stages
from flow.story import acts, failing, recovering
from flow.timeline import Span, page
from sandbox.lifecycle import Sandbox

# An image for the demo the README has its reader make next.
NEXT_BRANCH = "feature-demo/x"


class Rehearsal:
    """One run. `urls` of the stages it brought up; `spans` of all that took time."""

    def __init__(self, root: Path, directory: Path, stages: Stages) -> None:
        self._root = root
        self._directory = directory
        self._stages = stages
        self.urls: dict[str, str] = {}
        self.spans: list[Span] = []

    @property
    def report(self) -> Path:
        """The page that is left of it."""
        return self._directory / "rehearsal.html"

    def run(self) -> None:
        """All of it, in order; raises FlowError at the first thing that is not as it should be."""
        project = self._start()
        self._publish(project)
        team = SandboxTeam(project, lambda _line: None)
        with self._stages.stage("a team: two repositories, and what runs need") as stage:
            team.seed()
            stage.result = f"{team.url}/example-org/fieldwork"
        with tempfile.TemporaryDirectory(prefix="deployment-flow-") as folder:
            story = acts.Team(project, team, self._stages, Path(folder))
            self.urls = story.urls
            try:
                acts.tidy(story)
                acts.development(story)
                text = acts.staging(story)
                acts.hotfix(story)
                failing.bad_release(story)
                acts.production(story, text)
                self._unchanged(project, "staging")
                recovering.rebuilt(story)
                recovering.drilled(story)
                acts.demo(story)
                acts.outlived(story)
            finally:
                self.spans = sorted([*story.spans, *story.runs.spans], key=lambda span: span.start)
                when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(story.began))
                self.report.write_text(page(f"Rehearsal of {when} UTC", self.spans))

    def _start(self) -> SandboxProject:
        with self._stages.stage("sandbox: Hetzner, GitHub, DNS, certificates, registry") as stage:
            sandbox = Sandbox(self._directory)
            sandbox.up(stage.note)
            project = SandboxProject(self._root, self._directory, sandbox.credentials())
            stage.result = str(project.credentials["endpoint"])
        with self._stages.stage("sandbox: dev, staging and prod as stacks") as stage:
            project.write()
            for stack in project.unpin():
                stage.note(f"Pulumi.{stack}.yaml no longer says which version")
            made = project.stacks.names()
            missing = {"dev", "staging", "prod"} - set(made)
            if missing:
                raise FlowError(f"not made: {', '.join(sorted(missing))}")
            stage.result = ", ".join(sorted(made))
        return project

    def _publish(self, project: SandboxProject) -> None:
        with self._stages.stage("images of the example, built once and cached") as stage:
            version = time.strftime("1.0.%Y%m%d%H%M%S", time.gmtime())
            built = publish(project, version, NEXT_BRANCH, stage.note)
            unpushed = [name for name, image in built["images"].items() if not image["digest"]]
            if unpushed:
                raise FlowError(f"not in the registry: {', '.join(unpushed)}")
            stage.result = f"{', '.join(built['images'])} in {project.images}"

    def _unchanged(self, project: SandboxProject, stack: str) -> None:
        with self._stages.stage(f"{stack}: pulumi up once more, by hand") as stage:
            done = project.stacks.up(stack, stage.note)
            if done.changed:
                told = "; ".join(done.steps) or str(dict(done.changes))
                raise FlowError(f"a second up of {stack} changed something: {told}")
            stage.result = "no change"
