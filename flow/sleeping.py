"""Demos that sleep: the server is gone and costs nothing, and all it needs to come back stays.

What stays: volume, addresses (so the DNS stays right), keys, password, settings, and the release
in the state. Any `up` wakes a demo; a push to its branch is one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flow import backends, deploying, machines, rebuild_plan, state
from flow.errors import FlowError
from flow.project import Project
from flow.stages import Stages

MARK = "flow:slept"
_MARK_MOST = 200  # characters; the engine takes 256


@dataclass(frozen=True)
class Dump:
    """A demo's data as it was saved when it fell asleep; `place` is None where it holds none."""

    place: str | None


def check(stack: str, found: state.State) -> None:
    """Raises FlowError for what cannot sleep, before anything is asked of anybody."""
    rebuild_plan.check_release(stack, found)
    if lost := rebuild_plan.data_on_disk(found):
        raise FlowError(
            f"{stack} keeps data on its server's own disk ({', '.join(lost)}), which would go with "
            "the server. Nothing was changed",
            f"a demo with a volume can sleep. Give it one: flow demo end {stack} (its data is "
            "saved), "
            f"{backends.command(stack, f'stack init {stack}')}, "
            f"{backends.command(stack, 'config set volumeSize 10')}, flow demo up {stack}",
        )


def sleep(
    project: Project, stack: str, stages: Stages, *, dump: bool = True, folder: Path | None = None
) -> dict[str, Any]:
    """Save the data, shut the server down, delete it. Raises FlowError; can be repeated.

    {"environment", "url", "asleep": True, "dump": where it is or None, "changes", "seconds"}.

    dump    False: its data is on its volume alone
    folder  where the dump is written; None: see saving.save
    """
    # What encrypts is only needed here, and not installed everywhere.
    from flow import saving

    began = time.monotonic()
    asleep = {**deploying.AS_IT_RUNS, "asleep": True}
    told: dict[str, Any] = {"environment": stack, "asleep": True, "dump": None, "changes": {}}
    with stages.stage(f"{stack}: what it is now") as stage:
        found = state.parse(project.stacks.state(stack))
        told["url"] = found.outputs.get("url")
        servers = found.find("Server")
        if found.asleep:
            stage.result = "asleep already"
            return {**told, "seconds": round(time.monotonic() - began, 1)}
        check(stack, found)
        deploying.check_idle(project, stack)
        at = machines.of(project, stack)
        status = at.look(found, str(servers[0]["serverType"]) if servers else "").server
        # The program's own checks, before anything is stopped.
        project.stacks.preview(stack, stage.note, settings=asleep)
        stage.result = f"server: {status or 'gone'}"
    id_ = str(servers[0]["id"]) if servers else ""
    if not dump:
        _mark(project, stack, id_, None)
    elif status == "running":
        with stages.stage(f"{stack}: a last dump") as stage:
            try:
                told["dump"] = saving.save(stack, found, folder, stage.note)
                _mark(project, stack, id_, Dump(told["dump"]))
                stage.result = told["dump"] or "nothing to save"
            except saving.NoDumpError:
                _mark(project, stack, id_, None)
                stage.result = "no service says how it is saved: its volume alone has it"
    # One that is off was saved by the sleep that was stopped, or cannot be: its volume has it.
    if status not in ("", "off"):
        with stages.stage(f"{stack}: shut down") as stage:
            stage.result = at.shut_down(id_, stage.note)
    with stages.stage(f"{stack}: delete the server; volume, addresses and release stay") as stage:
        if servers and not status:
            # The provider cannot delete what somebody has deleted by hand.
            project.stacks.refresh(stack, stage.note)
        done = project.stacks.up(stack, stage.note, settings=asleep)
        stage.result = deploying.told_changes(done.changes)
    return {**told, "changes": dict(done.changes), "seconds": round(time.monotonic() - began, 1)}


def wake(project: Project, stack: str, stages: Stages) -> deploying.Deployed:
    """Make the server anew, with the release, URL, password and data it had. Raises FlowError.

    A demo that is awake is brought up to its settings, as `flow deploy` does.
    """
    return deploying.deploy(project, deploying.Wish(stack, asleep=False), stages)


def dump_of(project: Project, stack: str, found: state.State) -> Dump | None:
    """What was saved when a demo fell asleep; None for one that is awake, or was not saved."""
    if not found.asleep:
        return None
    server, _, place = project.stacks.tag(stack, MARK).partition("@")
    if not place or server != str(found.outputs["asleep"].get("server")):
        return None
    return Dump(None if place == "-" else place)


def _mark(project: Project, stack: str, server: str, dump: Dump | None) -> None:
    """Keep where the data is: SERVER@PLACE, with - for a demo without any."""
    place = "" if dump is None else (dump.place or "-")[:_MARK_MOST]
    project.stacks.mark(stack, MARK, f"{server}@{place}")
