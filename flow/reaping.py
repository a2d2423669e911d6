"""The reaper of demos: announces an end, ends what is over, finds what states have lost.

It never touches what is no demo, a demo with a date to come, or one deployed lately; it says 24
hours before that a demo ends; and it refuses to act by a clock that differs from Hetzner's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from components import naming
from flow import backends, clock, demos, destroying, pricing, state, survey
from flow.engine import ENGINES, at_once
from flow.errors import FlowError
from flow.labelled import ALL, Cloud, Found
from flow.project import Project
from flow.stages import Stages

NOTICE_SECONDS = 24 * 3600
"""Between the announcement and the end; and how long after a deploy a demo is not touched."""
SKEW_SECONDS = 3600
MARK = "flow:announced"
ENDINGS = 4  # at once: each is an engine, and a dump in memory

Action = Literal["keep", "announce", "announced", "end", "ended", "lost", "removed", "failed"]


@dataclass(frozen=True)
class Verdict:
    """What is to be done with one demo, or was; `why` is for people."""

    environment: str
    action: Action
    why: str
    branch: str = ""
    url: str = ""
    expires: int | None = None
    dump: str | None = None
    left: tuple[Found, ...] = field(default=(), repr=False)

    def output(self) -> dict[str, Any]:
        """As JSON has it."""
        # What the API listed holds its client, which no JSON can.
        return {**asdict(replace(self, left=())), "left": [str(each) for each in self.left]}


def judge(name: str, found: state.State, mark: str, now: float) -> Verdict:
    """What is to be done with a demo; pure. `mark` is what an announcement left, or empty.

    A mark is for one expiry: a push or a new date moves that, and the announcement is void.
    """
    expires = found.number("expires")

    def verdict(action: Action, why: str) -> Verdict:
        return Verdict(
            name,
            action,
            why,
            branch=str(found.outputs.get("branch") or naming.branch_of_stack(name) or ""),
            url=str(found.outputs.get("url") or ""),
            expires=expires,
        )

    if naming.stage_of_stack(name) != "demo":
        return verdict("keep", "it is no demo")
    if expires is None:
        return verdict("keep", "it has no end: its first deploy has not finished")
    if found.deployed is not None and now - found.deployed < NOTICE_SECONDS:
        return verdict("keep", f"it was deployed {survey.span(now - found.deployed)} ago")
    if expires - now > NOTICE_SECONDS:
        return verdict("keep", f"it ends in {survey.span(expires - now)}")
    told = announced(mark, expires)
    if told is None:
        end = max(expires, int(now) + NOTICE_SECONDS)
        return verdict("announce", f"it ends at {survey.day(end)}")
    end = max(expires, told + NOTICE_SECONDS)
    if now < end:
        return verdict("keep", f"announced; it ends at {survey.day(end)}")
    return verdict("end", f"it was over at {survey.day(expires)}, announced at {survey.day(told)}")


def announced(mark: str, expires: int) -> int | None:
    """When this end was announced, in seconds since 1970; None when it was not."""
    of, _, at = mark.partition("@")
    return int(at) if of == str(expires) and at.isdigit() else None


def lost(listed: list[Found], project: str, known: Mapping[str, bool], now: float) -> list[Verdict]:
    """Demos of this project of which the API lists something and no state holds anything; pure.

    known  stack's label → whether a state of it holds anything
    Only what ended a day ago is to be removed: another backend's demo looks the same.
    """
    by_stack: dict[str, list[Found]] = {}
    for each in listed:
        ours = each.labels.get("project") == naming.label_value(project)
        is_demo = each.labels.get("stage") == "demo" and each.stack.startswith(naming.DEMO_STACK)
        # A stage's drill is in a state that the demos' reaper does not read.
        is_demo = is_demo and backends.group_of(each.stack) == backends.DEMO
        if ours and is_demo and not known.get(each.stack):
            by_stack.setdefault(each.stack, []).append(each)
    verdicts = []
    for stack, left in sorted(by_stack.items()):
        ends = [each.expires for each in left]
        latest = max((end for end in ends if end is not None), default=None)
        over = None not in ends and latest is not None and now - latest >= NOTICE_SECONDS
        named = ", ".join(str(each) for each in left)
        why = f"no state knows {named}"
        if not over:
            why += "; it has not been over for a day, so it stays"
        verdicts.append(
            Verdict(stack, "lost" if over else "keep", why, expires=latest, left=tuple(left))
        )
    return verdicts


def check_clock(ours: float, theirs: float) -> float:
    """Hetzner's time, which decides; raises FlowError when ours differs by over an hour."""
    if abs(ours - theirs) > SKEW_SECONDS:
        raise FlowError(
            f"this machine's clock is off by {survey.span(abs(ours - theirs))} from Hetzner's. "
            "Nothing was changed",
            "set the clock (timedatectl set-ntp true), then run it again",
        )
    return theirs


def plan(project: Project) -> tuple[list[Verdict], Cloud]:
    """What is to be done now with every demo, and the Hetzner project of demos."""
    names = demos.names(project)
    found = survey.states(project, names)
    whole = {name: each for name, each in found.items() if isinstance(each, state.State)}
    cloud = _cloud(survey.providers(project, whole))
    now = check_clock(clock.now(), cloud.now())
    stacks = project.stacks

    def decide(name: str) -> Verdict:
        first = judge(name, whole[name], "", now)
        if first.action != "announce":
            return first
        return judge(name, whole[name], stacks.tag(name, MARK), now)

    verdicts = at_once(decide, list(whole), ENGINES)
    verdicts += [
        Verdict(name, "failed", each.problem)
        for name, each in found.items()
        if isinstance(each, FlowError)
    ]
    # A state that cannot be read may hold anything.
    known = {
        naming.label_value(name): not (isinstance(each, state.State) and each.empty)
        for name, each in found.items()
    }
    named = {naming.label_value(name): name for name in found}
    gone = [
        replace(each, environment=named.get(each.environment, each.environment))
        for each in lost(cloud.listed(ALL), project.name, known, now)
    ]
    if gone:
        # What lies in the state of another group is not lost, and nobody has saved its data.
        try:
            astray = {naming.label_value(name) for name in stacks.astray()}
            gone = [each for each in gone if each.left[0].stack not in astray]
        except FlowError as error:
            gone = [replace(each, action="keep", why=error.problem) for each in gone]
    # Of a stack whose state is empty that says more than the state.
    said = {each.environment for each in gone}
    return [each for each in verdicts if each.environment not in said] + gone, cloud


def reap(
    project: Project, stages: Stages, *, dry_run: bool = False, dumps: demos.Dumps | None = None
) -> list[Verdict]:
    """Announce, end and remove what `plan` says; what was done with each. One fails alone."""
    with stages.stage("demos: which are over") as stage:
        verdicts, cloud = plan(project)
        due = [each for each in verdicts if each.action in ("announce", "end", "lost")]
        stage.result = f"{len(verdicts)} looked at, {len(due)} to act on"
    if dry_run or not due:
        return verdicts
    with stages.stage("demos: announce and end") as stage:
        quiet = _Quiet(stage.note)

        def act(verdict: Verdict) -> Verdict:
            try:
                return _act(project, verdict, cloud, quiet, dumps)
            except FlowError as error:
                why = error.problem
            except Exception as error:  # noqa: BLE001 (else it would stop the ends of the others)
                # Its type alone: the words of a foreign error may hold what was sent.
                why = f"{type(error).__name__}; flow demo end {verdict.environment} shows where"
            return replace(verdict, action="failed", why=f"{verdict.action}: {why}")

        done = at_once(act, verdicts, ENDINGS)
        counts = {each.action: 0 for each in done}
        for each in done:
            counts[each.action] += 1
        stage.result = ", ".join(f"{count} {action}" for action, count in sorted(counts.items()))
    return done


def _act(
    project: Project, verdict: Verdict, cloud: Cloud, quiet: Stages, dumps: demos.Dumps | None
) -> Verdict:
    name = verdict.environment
    if verdict.action == "announce":
        project.stacks.mark(name, MARK, f"{verdict.expires}@{int(cloud.now())}")
        return replace(verdict, action="announced", why=verdict.why)
    if verdict.action == "end":

        def still_over() -> None:
            # A push may have come since; what it deployed is not ours to end.
            found = state.parse(project.stacks.state(name))
            again = judge(name, found, project.stacks.tag(name, MARK), cloud.now())
            if again.action != "end":
                raise FlowError(f"it is no longer over: {again.why}")

        done = demos.end(project, name, quiet, dumps, before_destroy=still_over)
        return replace(verdict, action="ended", dump=done.get("dump"))
    if verdict.action == "lost":
        cloud.delete(verdict.left)
        ours = f"project={naming.label_value(project.name)},stack={verdict.left[0].stack}"
        if still := cloud.listed(f"{ALL},{ours}"):
            raise FlowError(f"left behind: {', '.join(str(each) for each in still)}")
        if name in project.stacks.names():
            # Empty: a destroy before left this behind. It looks elsewhere, too, and forgets it.
            destroying.destroy(project, name, quiet)
        return replace(verdict, action="removed", why=verdict.why)
    return verdict


def _cloud(tokens: Iterable[Mapping[str, Any]]) -> Cloud:
    """The Hetzner project of demos: by the environment's token, else a demo's own."""
    for provider in tokens:
        if token := provider.get("token"):
            endpoint = provider.get("endpoint") or os.environ.get("HCLOUD_ENDPOINT") or ""
            return Cloud(str(token), str(endpoint or pricing.HETZNER_API))
    raise FlowError(
        "there is no Hetzner token to look for demos with",
        "export HCLOUD_TOKEN, a token of the demos' project with read and write access",
    )


class _Quiet(Stages):
    """Stages of many at once: each line goes to one place, and none is drawn."""

    def __init__(self, say: Callable[[str], Any]) -> None:
        super().__init__()
        self._say = say

    def _print(self, line: str) -> None:
        self._say(line)
