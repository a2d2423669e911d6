"""`flow rebuild`: another server for an environment, with all that outlives a server."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flow import deploying, machines, rebuild_plan, state
from flow.errors import FlowError
from flow.project import Project
from flow.rebuild_plan import Name, Plan
from flow.stages import Stage, Stages


@dataclass(frozen=True)
class Prospect:
    """A rebuild that was checked: its plan, and the state as it is before."""

    plan: Plan
    before: state.State = field(repr=False)
    changes: Mapping[str, int]
    """What the engine says it would do, by kind of step."""


def prospect(
    project: Project, stack: str, stages: Stages, *, lose_data: bool = False, anew: bool = False
) -> Prospect:
    """Check what can be checked, and change nothing. Raises FlowError."""
    with stages.stage(f"{stack}: its state, and what of it is at Hetzner") as stage:
        found = state.parse(project.stacks.state(stack))
        rebuild_plan.check_release(stack, found)
        deploying.check_idle(project, stack)
        wanted = rebuild_plan.Settings.of(project.settings(stack))
        sight = machines.of(project, stack).look(found, wanted.server_type)
        plan = rebuild_plan.make(stack, found, sight, wanted, lose_data=lose_data, anew=anew)
        stage.result = f"server: {sight.server or 'gone'}"
    with stages.stage(f"{stack}: what the engine would do") as stage:
        # The program's own checks: its settings, and that nothing else is lost by them.
        planned = project.stacks.preview(stack, stage.note, **_run(plan))
        stage.result = deploying.told_changes(planned.changes)
    return Prospect(plan, found, dict(planned.changes))


def rebuild(project: Project, ahead: Prospect, stages: Stages) -> dict[str, Any]:
    """Do what was planned. Raises FlowError; run again, it goes on from where it was.

    {"environment", "server": {"before", "after"}, "url", "version", "release", "ipv4", "ipv6",
    "volume", "protected", "seconds", "down_seconds"}; times in seconds, down from the first step
    that stops the server to the release's health.
    """
    plan, before = ahead.plan, ahead.before
    began = time.monotonic()
    down = up = 0.0
    for step in plan.steps:
        if step.name not in ("let go", "hold"):
            down = down or time.monotonic()
        with stages.stage(f"{plan.stack}: {step.text}") as stage:
            _take(project, plan, step.name, stage)
        if step.name in ("replace", "make", "finish"):
            up = time.monotonic()
    with stages.stage(f"{plan.stack}: what is there now") as stage:
        after = state.parse(project.stacks.state(plan.stack))
        _check_kept(plan.stack, before, after)
        stage.result = f"{after.outputs['url']} runs {after.outputs['version']}"
    return {
        "environment": plan.stack,
        "server": {"before": _server(before) or None, "after": _server(after)},
        "url": after.outputs["url"],
        "version": after.outputs["version"],
        "release": after.outputs["release"],
        "ipv4": after.outputs.get("ipv4"),
        "ipv6": after.outputs.get("ipv6"),
        "volume": next((str(each["id"]) for each in after.find("Volume")), None),
        "protected": after.find("Server")[0].get("deleteProtection") is True,
        "seconds": round(time.monotonic() - began, 1),
        "down_seconds": round(up - down, 1),
    }


def _take(project: Project, plan: Plan, name: Name, stage: Stage) -> None:
    stacks, stack = project.stacks, plan.stack
    if name == "stop":
        stage.result = machines.of(project, stack).shut_down(plan.server, stage.note)
        return
    if name == "forget":
        # All it holds was looked for by its id: the token is the right one.
        done = stacks.refresh(stack, stage.note)
    elif name == "let go":
        done = stacks.up(stack, stage.note, settings=_settings(plan), target=[plan.urn])
    elif name == "replace":
        done = stacks.up(stack, stage.note, **_run(plan))
    else:
        done = stacks.up(stack, stage.note, settings=deploying.AS_IT_RUNS)
    stage.result = deploying.told_changes(done.changes)


def _run(plan: Plan) -> dict[str, Any]:
    """Arguments of the `up` that replaces the server, where one does."""
    return {"settings": _settings(plan), **({"replace": [plan.urn]} if plan.word else {})}


def _settings(plan: Plan) -> dict[str, Any]:
    return {**deploying.AS_IT_RUNS, **({"confirm": plan.word} if plan.word else {})}


def _server(found: state.State) -> str:
    return next((str(each["id"]) for each in found.find("Server")), "")


def _check_kept(stack: str, before: state.State, after: state.State) -> None:
    """Raises FlowError where something that had to stay is another one now."""

    def kept(found: state.State) -> dict[str, Any]:
        things = ("Volume", "PrimaryIp")
        return {
            "volume and addresses": sorted(
                str(e["id"]) for kind in things for e in found.find(kind)
            ),
            "URL": found.outputs.get("url"),
            "images": found.release.get("images"),
        }

    was, now = kept(before), kept(after)
    wrong = [f"{name}: {was[name]} → {now[name]}" for name in was if was[name] != now[name]]
    if wrong:
        raise FlowError(
            f"{stack} was rebuilt, and is not what it was: {'; '.join(wrong)}",
            "look at the changes above: something was changed at the same time",
        )
