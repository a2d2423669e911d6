"""One deploy of one environment: an `up` of its stack with what is given for this run only."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from components import naming
from flow import backends, locks, state, terminal
from flow.engine import OnLine
from flow.errors import FlowError
from flow.project import Project
from flow.results import Result
from flow.stacks import NoStackError, Stacks
from flow.stages import Stages

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")

# What runs stays, though the stack's file may name a version: `pulumi up -c version=…` leaves it.
AS_IT_RUNS: Final[Mapping[str, Any]] = {"version": ""}


@dataclass(frozen=True)
class Wish:
    """What is asked for; what is None or empty stays as it is."""

    stack: str
    version: str | None = None
    application: Path | None = None
    """Absolute; None: what the settings say."""
    branch: str | None = None
    """A demo's branch where its stack's name does not tell it."""
    until: str | None = None
    """A demo's last day, as 2031-05-31."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Image name → `sha256:…`: what the version's tags are."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further settings of the project for this run, as they are."""
    asleep: bool | None = None
    """Whether a demo sleeps or wakes; None: as its settings say, and so it wakes."""

    def settings(self) -> dict[str, Any]:
        """The settings that hold for this run."""
        wanted: dict[str, Any] = {
            "application": None if self.application is None else str(self.application),
            "branch": self.branch,
            "digests": dict(self.digests),
            "until": self.until,
            "version": self.version,
        }
        given = {name: value for name, value in wanted.items() if value} | dict(self.more)
        return given if self.asleep is None else {**AS_IT_RUNS, **given, "asleep": self.asleep}


@dataclass(frozen=True)
class Deployed:
    """How it ended. `expires` is in seconds since 1970; None for what has no end."""

    environment: str
    stage: str
    url: str
    version: str
    commit: str
    release: str
    branch: str
    expires: int | None
    seconds: float
    changes: Mapping[str, int]

    def output(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def deploy(project: Project, wish: Wish, stages: Stages) -> Deployed:
    """Bring the environment up; raises FlowError. A demo's stack is made where it is missing.

    A stage's never is: with the wrong backend in the environment a second production would be
    made, empty.
    """
    started = time.monotonic()
    told = f"version {wish.version}" if wish.version else "what runs, else the branch's newest"
    with stages.stage(f"{wish.stack}: deploy {told}") as stage:
        done = _up(project.stacks, wish, stage.note)
        stage.result = told_changes(done.changes)
    return deployed(project, wish.stack, time.monotonic() - started, done.changes)


def deployed(project: Project, stack: str, seconds: float, changes: Mapping[str, int]) -> Deployed:
    """How an `up` ended, by the state it left.

    Warns of a first certificate that is still awaited, and of a version the stack's file pins.
    """
    found = state.parse(project.stacks.state(stack))
    ended = _deployed(stack, found, seconds, changes)
    if warning := told_certificate(found, time.time() - seconds):
        terminal.say(warning)
    if warning := told_pin(project.settings(stack).get("version"), ended):
        terminal.say(warning)
    return ended


def told_certificate(found: state.State, since: float) -> str:
    """A warning where a release handed over `since` then has no certificate; empty where it has.

    since  in seconds since 1970: of an earlier hand-over nothing is known by now
    """
    if found.tls != "pending" or found.deployed is None or found.deployed < int(since):
        return ""
    host = str(found.outputs.get("hostname") or "its name")
    address = str(found.outputs.get("ipv4") or "the server")
    said = (
        f"warning: {host} has no certificate yet, so it does not answer by https. It is asked for "
        "again by itself, after a minute and then less often: no other deploy is needed. Next: "
    )
    own, made_of, domain = host.partition(f".{address.replace('.', '-')}.")
    if made_of and own:
        # There is no record to correct, and everybody's names there share one limit.
        return (
            f"{said}have ports 80 and 443 of {address} open; where the authority has given out as "
            f"many as it does for {domain}, a name of your own (zone, hostname), or another "
            "addressDomain"
        )
    return f"{said}have the DNS record of {host} say {address}, and ports 80 and 443 of it open"


def told_pin(pinned: Any, deployed: Deployed) -> str:
    """A warning where the stack's file has the next `up` by hand go back; empty where not."""
    if not pinned or str(pinned) == deployed.version:
        return ""
    stack = deployed.environment
    return (
        f"warning: Pulumi.{stack}.yaml says version {pinned}: an `up` by hand goes back to it. "
        f"Next: {backends.command(stack, 'config rm version')}"
    )


def told_password(stack: str) -> str:
    """The command that shows a demo's password; its user is `demo`."""
    return backends.command(stack, "stack output password --show-secrets")


def _up(stacks: Stacks, wish: Wish, note: OnLine) -> Result:
    try:
        return stacks.up(wish.stack, note, settings=wish.settings())
    except NoStackError:
        if naming.stage_of_stack(wish.stack) != "demo":
            raise
    stacks.create(wish.stack)
    return stacks.up(wish.stack, note, settings=wish.settings())


def preview(project: Project, wish: Wish, stages: Stages) -> dict[str, Any]:
    """What `deploy` would change: {"environment", "changes": {kind of step: count}, "changed"}."""
    with stages.stage(f"{wish.stack}: preview") as stage:
        try:
            planned = project.stacks.preview(wish.stack, stage.note, settings=wish.settings())
        except NoStackError:
            if naming.stage_of_stack(wish.stack) != "demo":
                raise
            stage.result = "it does not exist yet: stack, server and all would be made"
            return {"environment": wish.stack, "exists": False, "changes": {}, "changed": 0}
        stage.result = told_changes(planned.changes)
    return {
        "environment": wish.stack,
        "exists": True,
        "changes": dict(planned.changes),
        "changed": planned.changed,
    }


def check_idle(project: Project, stack: str) -> None:
    """Raises FlowError where another update runs: before a server is stopped under it."""
    # One that is dead is dealt with by the `up` that meets its lock.
    at_work = [each for each in project.stacks.holders(stack) if not locks.is_dead(each)]
    if at_work:
        raise locks.busy(stack, at_work)


def told_changes(changes: Mapping[str, int]) -> str:
    """Steps as a person reads them: "3 create, 12 same"."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(changes.items())) or "nothing"


def application_for(project: Project, stack: str, given: Path | None) -> Path | None:
    """The folder for this run where one was named; None: the settings' own, which is checked."""
    folder = project.application(stack, given)
    named = given is not None or bool(os.environ.get("FLOW_APPLICATION"))
    return folder if named else None


def branch_for(target: str, stack: str) -> str | None:
    """The branch a person named, where the stack's name alone would mean another."""
    return target if target != stack and naming.branch_of_stack(stack) != target else None


def check_version(version: str | None) -> None:
    """Raises FlowError for what is no image tag, before anything is asked of anybody."""
    if version is not None and not _TAG.fullmatch(version):
        raise FlowError(f"{version!r} is no version", "give an image tag, as 1.4.0", code=2)


def _deployed(
    stack: str, found: state.State, seconds: float, changes: Mapping[str, int]
) -> Deployed:
    outputs = found.outputs
    return Deployed(
        environment=stack,
        stage=str(naming.stage_of_stack(stack)),
        url=str(outputs.get("url") or ""),
        version=str(outputs.get("version") or ""),
        commit=str(found.release.get("revision") or ""),
        release=str(outputs.get("release") or ""),
        branch=str(outputs.get("branch") or ""),
        expires=found.number("expires"),
        seconds=round(seconds, 1),
        changes=dict(changes),
    )
