"""What the team does, one act after another; each asserts what came of it.

Everything happens by git and GitHub's API. What the acts see they see as the team would: runs on
GitHub, pages over HTTPS, comments, and what Hetzner's API lists.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from github.WorkflowRun import WorkflowRun

from components import naming
from flow import clock, state
from flow.errors import FlowError
from flow.labelled import Cloud
from flow.looking import look
from flow.promotion import steps
from flow.runs.telling import DEMOS
from flow.sandbox_project import DEMO_PROJECT, SandboxProject
from flow.sandbox_team import SandboxTeam
from flow.stages import Stage, Stages
from flow.story.people import Person
from flow.story.watching import Runs
from flow.timeline import Span

PAGE = "web/site/index.html"
_END = "</main>"
DEMO = "feature-demo/mapping-party"
SECOND_DEMO = "feature-demo/outlived"


class Team:
    """Who acts, and what is seen of it. `folder` holds their clones while the story lasts."""

    def __init__(
        self, project: SandboxProject, team: SandboxTeam, stages: Stages, folder: Path
    ) -> None:
        self.project = project
        self.developer = Person(team, "developer", folder)
        self.reviewer = Person(team, "reviewer", folder)
        self.maintainer = Person(team, "maintainer", folder)
        self.began = time.time()
        self.when = time.strftime("%H:%M:%S", time.gmtime(self.began))
        self.runs = Runs(self.maintainer.repository, self.began, team.token("maintainer"))
        self.urls: dict[str, str] = {}
        self.spans: list[Span] = []
        self._lane = ""
        self._stages = stages
        self._before = ""

    @contextmanager
    def act(self, name: str, lane: str) -> Iterator[Stage]:
        """One act: shown while it lasts, drawn afterwards."""
        started = time.time() - self.began
        state, self._lane = "failed", lane
        with self._stages.stage(name) as stage:
            try:
                yield stage
                state = "done"
            finally:
                after = (self._before,) if self._before else ()
                end = time.time() - self.began
                self.spans.append(Span(name, lane, started, end, state, stage.result, after=after))
                self._before = name

    def says(self, name: str, text: str, branch: str, base: str) -> str:
        """The developer adds a sentence to the page and pushes it on a branch; the commit."""
        new = f'  <p class="small">{text}</p>\n  {_END}'
        return self.developer.change(branch, base, PAGE, _END, new, name)

    def sees(self, stack: str, version: str, text: str) -> str:
        """Look at a stage as a browser would: version and sentence are live. What was seen."""
        outputs = self.project.stacks.outputs(stack)
        self.urls[stack] = str(outputs["url"])
        trust = Path(str(self.project.credentials["trust"]))
        password = str(outputs.get("password") or "")
        sight = look(self.urls[stack], version, trust, password=password, text=text)
        if naming.stage_of_stack(stack) == "demo" and not (password and "noindex" in sight.robots):
            raise FlowError(f"{stack} is open to the public or to search engines")
        return f"{sight.url} serves {sight.version[:12]} over {sight.tls}"

    def follow(self, event: str, after: int, stage: Stage, branch: str = "") -> WorkflowRun:
        """Wait for the run an event started, and for its end."""
        run = self.runs.appears(event, after, branch)
        self.runs.done(run, self._lane, stage.note)
        return run

    def listed(self, stack: str, project: str = DEMO_PROJECT) -> list[str]:
        """What Hetzner's API lists of a stack in one of the team's projects, by its label."""
        token = str(self.project.credentials["projects"][project]["token"])
        cloud = Cloud(token, str(self.project.credentials["endpoint"]))
        return [str(each) for each in cloud.listed(f"stack={naming.label_value(stack)}")]


def check(holds: bool, otherwise: str) -> None:
    """Raises FlowError unless it holds."""
    if not holds:
        raise FlowError(otherwise)


def tidy(team: Team) -> None:
    """Nothing that an earlier rehearsal left half done is in this one's way."""
    _set_back(team.project)
    for pull in team.maintainer.repository.get_pulls(state="open"):
        pull.edit(state="closed")
    for issue in team.maintainer.repository.get_issues(labels=[steps.BLOCKER]):
        issue.edit(state="closed")


def development(team: Team) -> None:
    """A change, its pull request, its merge: dev has it."""
    text = f"Squares can be printed since {team.when}."
    with team.act("a change on a branch, and its pull request", "development") as stage:
        branch = f"topic/print-{team.began:.0f}"
        team.says("Squares can be printed", text, branch, "development")
        pull = team.developer.ask(branch, "development", "feat: squares can be printed")
        team.reviewer.approve(pull.number)
        stage.result = f"#{pull.number} approved by {team.reviewer.login}"
    with team.act("merged: dev has it", "development") as stage:
        before = team.runs.newest()
        sha = team.developer.merge(pull.number)
        team.follow("push", before, stage, "development")
        stage.result = team.sees("dev", sha, text)


def staging(team: Team) -> str:
    """Freeze, patch, approve, merge: staging has it. Returns the sentence of the patch."""
    patch = f"Printed squares have a scale since {team.when}."
    repository = team.maintainer.repository
    with team.act("flow promote staging: frozen, and patched", "staging") as stage:
        today = datetime.datetime.now(datetime.UTC).date()
        step = steps.promote_staging(repository, today)
        check(step.done == "opened", f"the promotion is {step.done}")
        check("printed" in step.text, "the pull request does not say what is in it")
        again = steps.promote_staging(repository, today)
        check((again.done, again.url) == ("open", step.url), "a second one was opened")
        team.says("A scale on printed squares", patch, step.branch, step.branch)
        number = int(step.url.rpartition("/")[2])
        team.reviewer.approve(number)
        stage.result = f"{step.url} from {step.branch}"
    with team.act("merged: staging has it", "staging") as stage:
        before = team.runs.newest()
        sha = team.maintainer.merge(number)
        team.follow("push", before, stage, "staging")
        stage.result = team.sees("staging", sha, patch)
    _back_to_development(team, "the patch", patch)
    return patch


def hotfix(team: Team) -> None:
    """A fix of staging, which comes back by itself."""
    text, name = f"Printing works in Safari since {team.when}.", f"safari-{team.began:.0f}"
    repository = team.maintainer.repository
    with team.act("flow hotfix: a branch off staging, and its pull request", "hotfix") as stage:
        started = steps.start_hotfix(repository, name, "staging")
        team.says("fix: printing in Safari", text, started.branch, "staging")
        asked = steps.finish_hotfix(repository, name, "staging")
        number = int(asked.url.rpartition("/")[2])
        team.reviewer.approve(number)
        stage.result = asked.url
    with team.act("merged: staging has the fix", "hotfix") as stage:
        before = team.runs.newest()
        sha = team.maintainer.merge(number)
        team.follow("push", before, stage, "staging")
        stage.result = team.sees("staging", sha, text)
    _back_to_development(team, "the fix", text)


def _back_to_development(team: Team, what: str, text: str) -> None:
    """The pull request that the run opened by itself brings it back."""
    repository = team.maintainer.repository
    with team.act(f"{what} comes back: dev has it", "hotfix") as stage:
        pulls = list(
            repository.get_pulls(state="open", base="development", head="example-org:staging")
        )
        check(len(pulls) == 1, f"{len(pulls)} pull requests bring {what} back instead of one")
        check(pulls[0].user.login.endswith("[bot]"), "it was not opened by the workflow")
        team.reviewer.approve(pulls[0].number)
        before = team.runs.newest()
        sha = team.maintainer.merge(pulls[0].number)
        team.follow("push", before, stage, "development")
        stage.result = team.sees("dev", sha, text)
        missing = steps.missing_below(repository)
        check(not missing, f"development still lacks {missing}")


def production(team: Team, text: str) -> None:
    """Staging to main, refused while a blocker is open; a release; its reviewers; production."""
    repository = team.maintainer.repository
    with team.act("flow promote prod: refused while a release blocker is open", "prod") as stage:
        blocker = team.developer.repository.create_issue("Cannot print", labels=["release-blocker"])
        try:
            steps.promote_prod(repository)
        except FlowError as refusal:
            check(f"#{blocker.number}" in refusal.problem, f"not for #{blocker.number}: {refusal}")
        else:
            raise FlowError("production was promoted with a release blocker open")
        blocker.edit(state="closed")
        step = steps.promote_prod(repository)
        number = int(step.url.rpartition("/")[2])
        team.reviewer.approve(number)
        team.maintainer.merge(number)
        stage.result = f"refused for #{blocker.number}; then {step.url}, merged"
    with team.act("flow release: notes, and reviewers are waited for", "prod") as stage:
        before = team.runs.newest()
        released = steps.release(repository)
        check("## New" in released.text, f"the notes tell nothing new: {released.text}")
        run = team.runs.appears("release", before)
        team.runs.waits(run, stage.note)
        stage.result = f"{released.title}: {released.url}"
    with team.act("a reviewer agrees: production has it", "prod") as stage:
        agreed = team.runs.approve(run, team.reviewer.repository, "Tested on staging.")
        team.runs.done(run, "prod", stage.note)
        seen = team.sees("prod", released.title, text)
        tested, now = (
            state.parse(team.project.stacks.state(stack, secrets=False)).images
            for stack in ("staging", "prod")
        )
        check(tested == now != "", f"production runs images {now}, staging tested {tested}")
        stage.result = f"{', '.join(agreed)} approved; {seen}, images {now} as on staging"


def demo(team: Team) -> None:
    """A branch gets its server; pushed again it is updated in place; deleted, nothing is left."""
    stack = naming.stack_of_branch(DEMO)
    repository = team.maintainer.repository
    first, second = "Mapping party on Saturday.", "Mapping party on Sunday."
    with team.act(f"{DEMO} is pushed: its own server", "demo") as stage:
        before = team.runs.newest()
        sha = team.says("A mapping party", first, DEMO, "development")
        team.follow("push", before, stage, DEMO)
        stage.result = team.sees(stack, sha, first)
        comments = [c.body for c in repository.get_commit(sha).get_comments()]
        told = "\n".join(comments)
        check(team.urls[stack] in told, "no comment says where the demo is")
        for word in ("password", "ends on", "a day, net"):
            check(word in told, f"the comment does not say {word!r}: {told}")
        newest = repository.get_deployments(environment=DEMOS, task=f"deploy:{stack}")[0]
        state = newest.get_statuses()[0]
        check(
            (state.state, state.environment_url) == ("success", team.urls[stack]),
            f"the deployment says {state.state} at {state.environment_url}",
        )
    servers = [each for each in team.listed(stack) if each.startswith("server")]
    with team.act(f"{DEMO} is pushed again: updated in place", "demo") as stage:
        before = team.runs.newest()
        sha = team.developer.change(DEMO, DEMO, PAGE, first, second, "On Sunday")
        team.follow("push", before, stage, DEMO)
        stage.result = team.sees(stack, sha, second)
        now = [each for each in team.listed(stack) if each.startswith("server")]
        check(now == servers != [], f"the server is another one: {servers} and {now}")
    with team.act(f"{DEMO} is deleted: nothing is left", "demo") as stage:
        before = team.runs.newest()
        team.developer.delete(DEMO)
        team.follow("delete", before, stage)
        _is_gone(team, stack)
        stage.result = "nothing listed with its label, no stack, no page"


def outlived(team: Team) -> None:
    """A demo nobody ends: announced, and gone a day later, by the nightly run alone."""
    stack = naming.stack_of_branch(SECOND_DEMO)
    repository = team.maintainer.repository
    with team.act(f"{SECOND_DEMO} is pushed, and forgotten", "reaper") as stage:
        before = team.runs.newest()
        sha = team.says("A demo", "Forget me.", SECOND_DEMO, "development")
        team.follow("push", before, stage, SECOND_DEMO)
        stage.result = team.sees(stack, sha, "Forget me.")
        expires = float(team.project.stacks.outputs(stack)["expires"])
    with clocks(team) as ahead:
        with team.act("its time is over: announced", "reaper") as stage:
            before = team.runs.newest()
            ahead(expires - time.time() + 3600)
            team.follow("schedule", before, stage)
            check(bool(team.listed(stack)), "it was ended without a word")
            comments = [c.body for c in repository.get_commit(sha).get_comments()]
            check(any("ends soon" in each for each in comments), "no comment announces its end")
            stage.result = "a comment says so; it still runs"
        with team.act("a day later: gone", "reaper") as stage:
            before = team.runs.newest()
            ahead(expires - time.time() + 26 * 3600)
            team.follow("schedule", before, stage)
            _is_gone(team, stack)
            stage.result = "nothing listed with its label"


def _is_gone(team: Team, stack: str) -> None:
    left = team.listed(stack)
    check(not left, f"it left behind: {', '.join(left)}")
    check(stack not in team.project.stacks.names(), f"the stack {stack} is still there")
    environments = [each.name for each in team.maintainer.repository.get_environments()]
    check(stack not in environments, f"GitHub still has an environment {stack}")
    try:
        httpx.get(f"http://{team.urls[stack].split('/')[2]}/", timeout=3, trust_env=False)
    except httpx.TransportError:
        return
    raise FlowError(f"{team.urls[stack]} still answers")


@contextmanager
def clocks(team: Team) -> Iterator[Any]:
    """Moves the sandbox's clocks, the cloud's and GitHub's, and the runners' with them."""
    project = team.project
    places = _clocks_of(project)
    runner = project.directory / "github/runner.json"
    kept = runner.read_text()

    def ahead(seconds: float) -> None:
        runner.write_text(_with_clock(kept, seconds))
        team.runs.ahead = seconds
        for place in places:
            answer = httpx.post(place, json={"offset": seconds}, timeout=10, trust_env=False)
            answer.raise_for_status()

    try:
        yield ahead
    finally:
        runner.write_text(kept)
        team.runs.ahead = 0.0
        _set_back(project)


def _clocks_of(project: SandboxProject) -> list[str]:
    addresses = (str(project.credentials["endpoint"]), str(project.credentials["github"]["url"]))
    return [f"{each.removesuffix('/v1')}/_sandbox/clock" for each in addresses]


def _set_back(project: SandboxProject) -> None:
    """Both clocks right again, the second though the first cannot be reached."""
    for place in _clocks_of(project):
        with contextlib.suppress(httpx.TransportError):
            httpx.post(place, json={"offset": 0}, timeout=10, trust_env=False)


def _with_clock(content: str, seconds: float) -> str:
    known: Mapping[str, Any] = json.loads(content)
    environment = {**known.get("environment", {}), clock.AHEAD: str(int(seconds))}
    return json.dumps({**known, "environment": environment}, indent=2)
