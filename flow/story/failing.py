"""What goes wrong on staging, and what its users notice of it: nothing."""

from __future__ import annotations

import time
from pathlib import Path

from flow import load, rollback, state
from flow.errors import FlowError
from flow.publishing import publish
from flow.story.acts import Team, check

STACK = "staging"
# A branch of its own, so that no stage's newest image is the bad one.
BRANCH = "feature-demo/bad"


def bad_release(team: Team) -> None:
    """Under load: a version that is never well is refused, and a rollback goes back and forth."""
    stacks = team.project.stacks
    outputs = stacks.outputs(STACK)
    url, good = str(outputs["url"]), str(outputs["version"])
    trust = Path(str(team.project.credentials["trust"]))
    with team.act("a version that is never well, under load: refused", "rollback") as stage:
        version = f"9.0.{team.began:.0f}"
        publish(team.project, version, BRANCH, stage.note, fault="health")
        with load.on(url, trust) as seen:
            try:
                stacks.up(STACK, stage.note, version=version)
            except FlowError as refusal:
                check("still serves" in refusal.problem, f"not for its health: {refusal.problem}")
            else:
                raise FlowError(f"{version} was deployed, and it is never well")
        check(not seen.lost, f"{len(seen.lost)} requests were lost: {seen.lost[:3]}")
        stage.result = f"{good[:12]} still serves; requests lost: 0 of {seen.sent}"
    with team.act("flow rollback, under load", "rollback") as stage:
        found = rollback.releases(state.parse(stacks.state(STACK, secrets=False)).releases)
        before = rollback.target(STACK, found, None)
        with load.on(url, trust) as seen:
            started = time.monotonic()
            stacks.up(STACK, stage.note, settings={"rollback": before.id, "version": ""})
            seconds = time.monotonic() - started
            now = str(stacks.outputs(STACK)["version"])
            check(now == before.version, f"it runs {now} instead of {before.version}")
            stacks.up(STACK, stage.note, settings={"rollback": found[0].id, "version": ""})
        check(not seen.lost, f"{len(seen.lost)} requests were lost: {seen.lost[:3]}")
        now = str(stacks.outputs(STACK)["version"])
        check(now == good, f"it runs {now} instead of {good}")
        stage.result = (
            f"to {before.version[:12]} in {seconds:.0f} s, and forth again; "
            f"requests lost: 0 of {seen.sent}"
        )
