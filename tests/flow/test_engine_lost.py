"""The end of a demo whose server somebody has deleted by hand, with the real engine."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from flow.errors import FlowError
from flow.looking import look
from flow.stacks import Stacks
from tests.flow.team import Team

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1200)]
BY_FLOW, BY_PULUMI = "feature-demo-lost", "feature-demo-missing"


@pytest.fixture(scope="module", autouse=True)
def demos(team: Team) -> None:
    """Two demos without their servers."""
    for stack in (BY_FLOW, BY_PULUMI):
        team.publish("1.0.0", stack.replace("feature-demo-", "feature-demo/"))
        team.stacks.create(stack)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(team.stacks.up, (BY_FLOW, BY_PULUMI)))
    delete_servers(team)


def delete_servers(team: Team) -> None:
    """As somebody does in Hetzner's console."""
    for server in team.client.servers.get_all():
        server.delete().wait_until_finished()


def pulumi(team: Team, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(team.project.root / ".toolchain/bin/pulumi"), "--non-interactive", *arguments],
        cwd=team.project.folder,
        env={**team.project.environment(), "HOME": str(team.project.directory)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_an_up_with_a_refresh_makes_the_server_anew_where_it_was(team: Team) -> None:
    before = team.stacks.outputs(BY_PULUMI)
    done = pulumi(team, "up", "--yes", "--skip-preview", "--refresh", "-s", BY_PULUMI)
    assert done.returncode == 0, done.stdout + done.stderr
    assert team.stacks.outputs(BY_PULUMI)["ipv4"] == before["ipv4"]
    look(before["url"], "1.0.0", team.trust, password=before["password"])
    delete_servers(team)


def test_pulumi_destroys_it_with_a_refresh(team: Team) -> None:
    destroy = ("destroy", "--yes", "--skip-preview", "-s", BY_PULUMI)
    refused = pulumi(team, *destroy)
    assert refused.returncode != 0
    assert "not found (not_found)" in refused.stdout + refused.stderr
    done = pulumi(team, *destroy, "--refresh")
    assert done.returncode == 0, done.stdout + done.stderr
    assert team.listed(f"stack={BY_PULUMI}") == {}


def test_a_token_of_another_project_does_not_make_flow_forget_what_is_there(team: Team) -> None:
    endpoint = str(team.project.credentials["endpoint"]).removesuffix("/v1")
    name = f"{team.zone}-other"
    made = httpx.post(
        f"{endpoint}/_sandbox/projects", json={"name": name}, timeout=30, trust_env=False
    )
    other = made.raise_for_status().json()["project"]["token"]
    before = team.listed(f"stack={BY_FLOW}")
    state = team.state_file(BY_FLOW)
    strangers = Stacks(
        team.project.folder,
        {**team.project.environment(), "HCLOUD_TOKEN": other},
        team.project.root / ".toolchain/bin/pulumi",
    )
    with pytest.raises(FlowError, match="another Hetzner project") as refused:
        strangers.destroy(BY_FLOW)
    assert f"pulumi destroy --refresh -s {BY_FLOW}" in str(refused.value.remedy)
    assert team.listed(f"stack={BY_FLOW}") == before
    assert team.state_file(BY_FLOW) == state


def test_flow_destroys_it_without_being_told(team: Team) -> None:
    assert team.listed(f"stack={BY_FLOW}")
    team.stacks.destroy(BY_FLOW)
    assert team.listed() == {}
