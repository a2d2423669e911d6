"""Demos with the real engine: made without settings, side by side, gone without a trace."""

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from components import naming
from flow.looking import look
from tests.flow.commands import Flow
from tests.flow.team import Team

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(600)]
BRANCHES = ("feature-demo/roads", "feature-demo/Kaart_België;$(reboot)")
STACKS = tuple(naming.stack_of_branch(branch) for branch in BRANCHES)
DAY = 86400


@pytest.fixture(scope="module", autouse=True)
def demos(team: Team) -> None:
    """Two demos, brought up at the same time; the second branch's name is as odd as they get."""
    for branch, stack in zip(BRANCHES, STACKS, strict=True):
        team.publish("1.0.0", branch)
        team.stacks.create(stack)
    # A stack's name does not say which odd branch it is of; the plain one needs no setting.
    team.configure(STACKS[1], branch=BRANCHES[1])
    with ThreadPoolExecutor(len(STACKS)) as pool:
        list(pool.map(team.stacks.up, STACKS))


@pytest.mark.parametrize("stack", STACKS)
def test_a_demo_is_behind_a_password_and_hidden_from_search_engines(team: Team, stack: str) -> None:
    outputs = team.stacks.outputs(stack)
    assert len(outputs["password"]) >= 16
    sight = look(outputs["url"], "1.0.0", team.trust, password=outputs["password"])
    assert "noindex" in sight.robots


def test_each_demo_has_an_address_and_a_server_of_its_own(team: Team) -> None:
    hosts = [team.stacks.outputs(stack)["ipv4"] for stack in STACKS]
    assert len(set(hosts)) == len(team.client.servers.get_all()) == 2
    assert team.stacks.outputs(STACKS[0])["url"] == f"https://roads.{team.zone}"


def test_a_demo_carries_its_branch_and_its_end_as_labels(team: Team) -> None:
    server = team.client.servers.get_all(label_selector=f"stack={STACKS[0]}")[0]
    assert server.labels is not None
    assert server.labels["branch"] == naming.branch_slug(BRANCHES[0])
    assert 13 * DAY < int(server.labels["expires"]) - time.time() <= 14 * DAY


def test_a_second_up_changes_nothing(team: Team) -> None:
    assert team.stacks.up(STACKS[0]).changed == 0


def test_one_demos_end_leaves_nothing_of_it_and_the_other_alone(team: Team) -> None:
    assert team.listed(f"stack={STACKS[0]}")
    team.stacks.destroy(STACKS[0])
    assert team.listed(f"stack={STACKS[0]}") == {}
    other = team.stacks.outputs(STACKS[1])
    look(other["url"], "1.0.0", team.trust, password=other["password"])


def test_a_demo_whose_state_is_lost_is_swept_and_its_data_only_on_demand(
    team: Team, tmp_path: Path
) -> None:
    flow, stack = Flow(team, tmp_path), STACKS[1]
    other = team.stacks.outputs(stack)
    (cost,) = _costs(flow, stack)
    assert _costs(flow, "no stack") == []
    _lose_state(team, stack)
    assert _costs(flow, "no stack") == [cost]
    before = team.listed()
    # It was made a minute ago: somebody's `up` may still be at it, whose state is elsewhere.
    code, out, _ = flow.run("sweep", "--yes", "--json")
    assert code == 0
    assert {each["action"] for each in json.loads(out)["things"]} == {"keep"}
    assert team.listed() == before
    code, out, err = flow.run("sweep", "--stack", stack, "--yes", "--json")
    assert code == 1, err
    actions = {each["kind"]: each["action"] for each in json.loads(out)["things"]}
    assert actions.pop("volume") == "keep"
    assert set(actions) == {"server", "primary IP", "firewall", "SSH key", "record set"}
    assert set(actions.values()) == {"removed"}
    assert team.listed() == {"volumes": before["volumes"]}
    code, _, err = flow.run("sweep", "--stack", stack, "--volumes", "--yes")
    assert code == 0, err
    assert team.listed() == {}
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://{other['ipv4']}/", timeout=3, trust_env=False)


def _costs(flow: Flow, line: str) -> list[float]:
    """What the lines of that name cost a day."""
    found = flow.json("cost")["environments"]
    return [each["a_day"] for each in found if each["environment"] == line]


def _lose_state(team: Team, stack: str) -> None:
    """Forget a stack that holds things, as a lost bucket does."""
    pulumi = str(team.project.root / ".toolchain/bin/pulumi")
    subprocess.run(
        [pulumi, "--non-interactive", "stack", "rm", "--force", "--yes", "-s", stack],
        cwd=team.project.folder,
        env={**os.environ, **team.project.environment()},
        check=True,
        capture_output=True,
        timeout=60,
    )
