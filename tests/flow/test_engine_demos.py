"""Demos with the real engine: made without settings, side by side, gone without a trace."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from components import naming
from flow.looking import look
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
    team.stacks.destroy(STACKS[1])
    assert team.listed() == {}
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://{other['ipv4']}/", timeout=3, trust_env=False)
