"""From a push to a live URL, through the sandbox's GitHub and its runner.

Two pushes as a team makes them: a new demo branch, which gets a server of its own, and more
commits on it, which update the server that is there.
"""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import MeasureError, Watch
from components import naming
from flow import terminal
from flow.sandbox_project import SandboxProject
from flow.sandbox_team import SandboxTeam
from flow.story.people import Person
from flow.story.watching import JobDone, Runs

EXISTING = "push to a server that exists"
NEW = "push of a new demo's branch"
# Seconds beyond the build of images, which the flow is meant to stay under on two cores.
LIMITS = {EXISTING: 30.0, NEW: 45.0}
_PAGE = "web/site/index.html"
_END = "</main>"


@dataclass(frozen=True)
class Pushed:
    """One push, in seconds.

    total   until the URL showed the new commit; for a new demo until its run was done, because
            its address and password are known no earlier
    build   the build job; deploy: the deploy job
    """

    total: float
    build: float
    deploy: float

    @property
    def beyond(self) -> float:
        """What is not the build job. The application's own start is still in it."""
        return self.total - self.build


def pushed(total: float, jobs: Iterable[JobDone]) -> Pushed:
    """A push by the jobs of its run. Called jobs are named `flow / build`.

    Raises MeasureError where one of the two did not run.
    """
    took = {job.name.rpartition("/")[2].strip(): job.ended - job.started for job in jobs}
    if missing := {"build", "demo"} - set(took):
        raise MeasureError(f"no job {', '.join(sorted(missing))} ran, but {', '.join(took)}")
    return Pushed(total, took["build"], took["demo"])


def row(all_: Sequence[Pushed], limit: float) -> dict[str, Any]:
    """Medians of every figure by itself, and whether the limit is kept."""

    def middle(figures: Iterable[float]) -> float:
        return round(statistics.median(figures), 1)

    beyond = middle(each.beyond for each in all_)
    return {
        "total": middle(each.total for each in all_),
        "build": middle(each.build for each in all_),
        "deploy": middle(each.deploy for each in all_),
        "beyond": beyond,
        "limit": limit,
        "kept": beyond < limit,
        "repeated": len(all_),
    }


class Pushes:
    """Pushes to a demo's branch of its own; `results` maps what was measured to repetitions."""

    def __init__(self, project: SandboxProject, repeats: int, folder: Path) -> None:
        self.results: dict[str, list[Pushed]] = {}
        self._project = project
        self._repeats = repeats
        self._branch = f"feature-demo/bench-{secrets.token_hex(2)}"
        self._stack = naming.stack_of_branch(self._branch)
        self._team = SandboxTeam(project, terminal.say)
        self._folder = folder

    def run(self) -> None:
        """Everything, in order; the demo is ended by the deletion of its branch."""
        self._team.seed()
        developer = Person(self._team, "developer", self._folder)
        runs = Runs(
            Person(self._team, "maintainer", self._folder).repository,
            time.time(),
            self._team.token("maintainer"),
        )
        try:
            self._push(developer, runs, NEW)
            for _ in range(self._repeats):
                self._push(developer, runs, EXISTING)
        finally:
            before = runs.newest()
            developer.delete(self._branch)
            runs.done(runs.appears("delete", before), "demo", lambda _line: None)

    def report(self) -> dict[str, dict[str, Any]]:
        """The medians, by what was measured."""
        return {name: row(all_, LIMITS[name]) for name, all_ in self.results.items()}

    def _push(self, developer: Person, runs: Runs, name: str) -> None:
        before = runs.newest()
        sentence = f'  <p class="small">{secrets.token_hex(4)}</p>\n  {_END}'
        started = time.monotonic()
        sha = developer.change(self._branch, "development", _PAGE, _END, sentence, name)
        watch = self._watch(sha) if name == EXISTING else None
        run = runs.appears("push", before, self._branch)
        jobs = runs.done(run, "demo", lambda _line: None)
        ended = time.monotonic()
        seen = (watch or self._watch(sha)).end()
        if seen is None:
            raise MeasureError(f"{name}: {sha} never showed")
        measured = pushed(max(seen, ended) - started if watch is None else seen - started, jobs)
        self.results.setdefault(name, []).append(measured)
        terminal.say(
            f"{name}: {measured.total:.1f} s, of it {measured.build:.1f} s build and "
            f"{measured.deploy:.1f} s deploy; {measured.beyond:.1f} s beyond the build"
        )

    def _watch(self, version: str) -> Watch:
        outputs = self._project.stacks.outputs(self._stack)
        trust = Path(str(self._project.credentials["trust"]))
        return Watch(str(outputs["url"]), version, trust, str(outputs["password"]))
