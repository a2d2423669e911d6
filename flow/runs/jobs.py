"""The jobs of .github/workflows/flow.yml."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

from github.Repository import Repository

from components import naming
from flow import (
    building,
    carrying,
    demos,
    deploying,
    project,
    reaping,
    survey,
    terminal,
    webhook,
)
from flow.errors import FlowError
from flow.onboarding import bug_form
from flow.promotion import due, steps
from flow.promotion import team as promotion
from flow.runs import waiting
from flow.runs.run import Run
from flow.runs.telling import Telling
from flow.stages import Stages
from registry.client import Reference


def application() -> Path | None:
    """Where the run has the application checked out."""
    named = os.environ.get("FLOW_APPLICATION") or os.environ.get("GITHUB_WORKSPACE")
    return Path(named) if named else None


def build(run: Run) -> None:
    """Build and push what the event's commit is, by version and branch.

    A release is not built where staging ran the same files: its images are those.
    """
    team = project.find()
    folder = team.application(run.stack, application())
    images = building.plan(
        building.read(folder / team.compose_file(run.stack)),
        version=run.version,
        branch=run.branch,
        commit=run.sha,
        variables=building.variables(team.settings(run.stack)),
    )
    report: dict[str, Any] = {}
    how = "built"
    if run.name == "release":
        report = carrying.carry(images, run.version, carrying.tested(_repository(run), run.sha))
        how = next((f"as staging ran them, {each['from']}" for each in report.values()), how)
        terminal.say(f"images of {run.version}: {how}")
    report = report or building.build(images, folder, push=True, on_line=terminal.say)
    lines = [f"| `{name}` | `{image['digest']}` |" for name, image in report.items()]
    heading = f"### Images of {run.version}, {how}"
    run.tell(f"{heading}\n\n| image | digest |\n|---|---|\n" + "\n".join(lines))
    digests = {Reference.parse(image["tags"][0]).name: image["digest"] for image in report.values()}
    run.put(version=run.version, images=json.dumps(digests))


def deploy(run: Run) -> None:
    """Deploy the version the event stands for to the stack that follows its branch."""
    team, stack = project.find(), run.stack
    telling = Telling(run)
    with telling.deployment(stack) as told:
        wish = deploying.Wish(
            stack,
            version=run.version,
            digests=_digests(os.environ.get("FLOW_IMAGES", "")),
            application=deploying.application_for(team, stack, application()),
            branch=deploying.branch_for(run.branch, stack),
        )
        with Stages() as stages:
            done = waiting.when_idle(team, stack, lambda: deploying.deploy(team, wish, stages))
        told["url"] = done.url
        told["told"] = f"{done.version} in {done.seconds:.0f} s"
        cost = ""
        if done.stage == "demo":
            cost = _cost(survey.look(team, [stack])[0])
            told["told"] = f"ends {survey.day(done.expires)}; {cost}; password: see the comment"
    run.put(url=done.url, version=done.version)
    text = _about(done, run.address.partition("/actions/runs/")[0], cost)
    run.tell(text)
    if naming.stage_of_stack(stack) == "demo":
        telling.comment(stack, run.branch, text)


def _digests(text: str) -> dict[str, str]:
    """What the build pushed, as it told; empty where it told nothing. Raises FlowError."""
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise FlowError("FLOW_IMAGES is no JSON object", "run the workflow again")
    return {str(name): str(digest) for name, digest in found.items()}


def end(run: Run) -> None:
    """End the demo of a branch that was deleted; one that is gone already is fine."""
    team = project.find()
    with Stages() as stages:
        done = waiting.when_idle(team, run.stack, lambda: demos.end(team, run.stack, stages))
    Telling(run).ended(run.stack)
    if not done["gone"]:
        why = "its branch was deleted"
        over = reaping.Verdict(run.stack, "ended", why, branch=run.branch, dump=done["dump"])
        _tell_webhook([over])
    saved = f" Its data: `{done['dump']}`." if done["dump"] else ""
    run.tell(f"The demo {run.stack} has ended; nothing of it is left.{saved}")


def reap(run: Run) -> None:
    """Announce the demos that end soon, end those that are over. Raises FlowError: one was not."""
    # Waits for no demo that is busy: what a push has just deployed is over no more.
    with Stages() as stages:
        verdicts = reaping.reap(project.find(), stages)
    _tell_webhook(verdicts)
    telling = Telling(run)
    lines = ["### Demos", "", "| demo | what | why |", "|---|---|---|"]
    for each in verdicts:
        saved = f"; its data: `{each.dump}`" if each.dump else ""
        lines.append(f"| {each.environment} | {each.action} | {each.why}{saved} |")
        terminal.say(f"{each.environment}: {each.action}, {each.why}")
        if each.action == "announced":
            text = (
                f"### {each.environment} ends soon\n\n[{each.url}]({each.url}): {each.why}. "
                "A push to its branch keeps it, and so does "
                f"`flow demo extend {each.branch} --until DATE`."
            )
            telling.comment(each.environment, each.branch, text)
        elif each.action == "ended":
            telling.ended(each.environment)
    run.tell("\n".join(lines))
    failed = [each.environment for each in verdicts if each.action == "failed"]
    if failed:
        raise FlowError(f"not ended: {', '.join(failed)}", "flow demo reap --dry-run says why")


def _tell_webhook(verdicts: list[reaping.Verdict]) -> None:
    if said := webhook.tell(verdicts, os.environ):
        terminal.say(said)


def promote(run: Run, today: datetime.date) -> None:
    """Open the promotions that are due: staging every other Monday, production every other month.

    From that Monday on every run tries again until one was opened or merged, by whomever: GitHub
    drops scheduled runs, and a release blocker goes away on any day. Raises FlowError: production's
    is held up by one.
    """
    repository = _repository(run)
    done: list[steps.Step] = []
    try:
        if not due.was_opened(repository, steps.STAGING, due.staging(today)):
            done.append(steps.promote_staging(repository, today))
        if not due.was_opened(repository, steps.MAIN, due.prod(today)):
            done.append(steps.promote_prod(repository))
    finally:
        # What was opened is told even where the next is refused.
        _tell_steps(run, "Promotions", done)


def back_merge(run: Run) -> None:
    """Open pull requests for what a hotfix has brought and the branches below lack."""
    _tell_steps(run, "Back-merges", steps.back_merge(_repository(run)))


def _repository(run: Run) -> Repository:
    return promotion.repository(run.repository)


def _tell_steps(run: Run, heading: str, done: list[steps.Step]) -> None:
    lines = [f"- {each.what}: {each.done} {each.url}".rstrip() for each in done]
    for line in lines or ["- nothing to do"]:
        terminal.say(line)
    run.tell("\n".join([f"### {heading}", "", *(lines or ["- nothing to do"])]))


def _cost(row: survey.Row) -> str:
    """What a demo costs, in words."""
    if row.cost_a_day is None:
        return "what it costs a day is not known"
    return f"it costs {row.cost_a_day:.2f} {row.currency} a day, net"


def _about(done: deploying.Deployed, repository: str, cost: str = "") -> str:
    """A deploy for people, in Markdown.

    repository  address of its page
    cost        what a demo costs, in words
    """
    lines = [
        f"### {done.environment}: [{done.url}]({done.url})",
        "",
        f"runs `{done.version}`, release `{done.release}`, after {done.seconds:.0f} s",
    ]
    if done.stage == "staging":
        report = bug_form.address(repository, done.version)
        lines += ["", f"[Report a bug]({report}) of this version."]
    if done.stage == "demo":
        lines.append("")
        lines.append(
            "Behind a password, which is in the stack: "
            f"`{deploying.told_password(done.environment)}`"
        )
    if done.expires is not None:
        day = datetime.datetime.fromtimestamp(done.expires, datetime.UTC)
        lines.append("")
        lines.append(
            f"It ends on {day:%Y-%m-%d %H:%M} UTC, or when its branch is deleted; "
            f"`flow demo extend {done.branch or done.environment} --until DATE` keeps it."
            + (f" {cost[:1].upper()}{cost[1:]}." if cost else "")
        )
    return "\n".join(lines)
