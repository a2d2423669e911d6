"""Fifty demos at once, in a cloud of this process: few at a time, and none keeps another."""

import time
from pathlib import Path
from typing import Any

import pytest

from flow import demos, engine, reaping
from flow.errors import FlowError
from flow.project import Project
from flow.stages import Stages
from tests.unit.hetzner_cloud import FSN1, Cloud
from tests.unit.hetzner_cloud import cloud as cloud
from tests.unit.team_stacks import Stacks, labels_of, project_of, resource, things

DAY = 86400
COUNT = 50
# Every tenth fails at its destroy, another says that it is done and leaves its volume.
BROKEN = {f"feature-demo-{number}" for number in range(0, COUNT, 10)}
LEAVING = {f"feature-demo-{number}" for number in range(5, COUNT, 10)}


def demo(cloud: Cloud, name: str, over: int) -> dict[str, Any]:
    """A demo that was over then, long ago deployed; its volume is there."""
    made = cloud.client.volumes.create(
        name=f"{name}-data", size=10, location=FSN1, labels=labels_of(name, expires=str(over))
    )
    outputs = {"url": f"https://{name}.test", "expires": over}
    stack = {"type": "pulumi:pulumi:Stack", "urn": "stack", "outputs": outputs}
    return {"resources": [stack, resource("volume:Volume", made.volume.id, size=10)]}


@pytest.fixture
def team(tmp_path: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> tuple[Project, Stacks]:
    over = int(time.time()) - 3 * DAY
    stacks = Stacks(cloud)
    for number in range(COUNT):
        name = f"feature-demo-{number}"
        stacks.states[name] = demo(cloud, name, over)
        stacks.marks[name, reaping.MARK] = f"{over}@{over}"
    cloud.settled()
    stacks.seconds, stacks.broken, stacks.keeps = 0.05, set(BROKEN), set(LEAVING)
    return project_of(tmp_path, stacks, monkeypatch), stacks


def reap(team: Project) -> dict[str, reaping.Verdict]:
    with Stages() as stages:
        done = reaping.reap(team, stages, dumps=demos.Dumps(wanted=False))
    assert len(done) == len({each.environment for each in done})
    return {each.environment: each for each in done}


def test_fifty_demos_end_a_few_at_a_time_and_those_that_fail_keep_no_other(
    cloud: Cloud, team: tuple[Project, Stacks]
) -> None:
    project, stacks = team
    done = reap(project)
    assert len(done) == COUNT
    assert 1 < stacks.most <= 4
    assert {name for name, each in done.items() if each.action == "failed"} == BROKEN | LEAVING
    assert {name for name, each in done.items() if each.action == "ended"} == (
        done.keys() - BROKEN - LEAVING
    )
    assert all("no answer" in done[name].why for name in BROKEN)
    assert all(f"left behind: volume {name}-data" in done[name].why for name in LEAVING)
    assert things(cloud) == {f"{name}-data" for name in BROKEN | LEAVING}
    assert set(stacks.names()) == BROKEN | LEAVING
    # The next night goes on from there: what was left behind is found by its labels.
    stacks.broken.clear()
    later = {name: each.action for name, each in reap(project).items()}
    assert later == {**dict.fromkeys(BROKEN, "ended"), **dict.fromkeys(LEAVING, "removed")}
    assert things(cloud) == set()
    assert stacks.names() == []


def test_fifty_demos_are_judged_a_few_at_a_time(
    team: tuple[Project, Stacks], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = team
    workers: list[int] = []
    at_once = engine.at_once

    def counted(work: Any, given: Any, most: int) -> Any:
        workers.append(most)
        return at_once(work, given, most)

    monkeypatch.setattr(reaping, "at_once", counted)
    verdicts, _ = reaping.plan(project)
    assert [each.action for each in verdicts] == ["end"] * COUNT
    assert max(workers) <= engine.ENGINES


def test_demos_in_the_state_of_another_group_are_not_lost(
    cloud: Cloud, team: tuple[Project, Stacks]
) -> None:
    project, stacks = team
    names = stacks.names()
    stacks.states.clear()
    before = things(cloud)
    stacks.elsewhere = dict.fromkeys(names, "nonprod")
    assert reap(project) == {}
    stacks.elsewhere = FlowError("the team's stacks of prod cannot be listed")
    assert {each.action for each in reap(project).values()} == {"keep"}
    assert things(cloud) == before


def test_fifty_demos_that_no_state_knows_are_removed_with_what_each_has(
    cloud: Cloud, team: tuple[Project, Stacks]
) -> None:
    project, stacks = team
    stacks.states.clear()
    protected = cloud.client.volumes.get_by_name("feature-demo-7-data")
    protected.change_protection(delete=True).wait_until_finished()
    done = reap(project)
    assert {name for name, each in done.items() if each.action == "failed"} == {"feature-demo-7"}
    assert sum(each.action == "removed" for each in done.values()) == COUNT - 1
    assert things(cloud) == {"feature-demo-7-data"}
