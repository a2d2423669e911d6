"""A demo's branch that goes to a machine that exists, by pushes alone, in the sandbox's GitHub.

The tests are chapters of one life: each starts where the one before it ended.
"""

from collections.abc import Iterator

import hcloud
import pytest

from components import naming
from flow.sandbox_project import APPLICATION, DEMO_PROJECT, SandboxProject
from flow.sandbox_team import SandboxTeam
from flow.stages import Stages
from flow.story import acts
from tests.flow import by_hand
from tests.flow.by_hand import Machine

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1200)]
BRANCH = "feature-demo/by-push"
STACK = naming.stack_of_branch(BRANCH)
FIRST, SECOND = "Served by a machine of ours.", "Updated where it was."


@pytest.fixture(scope="module")
def client(shared_project: SandboxProject) -> hcloud.Client:
    """Hetzner's API, in the demos' project."""
    known = shared_project.credentials
    return hcloud.Client(
        token=str(known["projects"][DEMO_PROJECT]["token"]), api_endpoint=str(known["endpoint"])
    )


@pytest.fixture(scope="module")
def machine(client: hcloud.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A server somebody made by hand."""
    yield by_hand.make(client, tmp_path_factory.mktemp("keys"))
    for server in (client.servers.get_by_name(by_hand.NAME),):
        if server is not None:
            server.delete().wait_until_finished()
    if (key := client.ssh_keys.get_by_name(by_hand.NAME)) is not None:
        key.delete()


@pytest.fixture(scope="module")
def story(
    shared_project: SandboxProject, machine: Machine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[acts.Team]:
    """The sandbox's team, whose runs of demos are told of the machine and have its key."""
    team = SandboxTeam(shared_project, lambda _line: None)
    team.seed()
    told = acts.Team(shared_project, team, Stages(), tmp_path_factory.mktemp("clones"))
    environment = team.client().get_repo(APPLICATION).get_environment("flow-demo")
    environment.create_variable(
        "DEMO_HOSTS", f"# ours\n{BRANCH} root@{machine.address} {machine.host_key}\n"
    )
    environment.create_secret("DEMO_SSH_KEY", machine.key)
    yield told
    environment.delete_variable("DEMO_HOSTS")
    environment.delete_secret("DEMO_SSH_KEY")
    if STACK in shared_project.stacks.names():
        shared_project.stacks.destroy(STACK)
        shared_project.stacks.remove(STACK)


def deployed(story: acts.Team, old: str, new: str) -> str:
    """Push a change of the page, wait for its run, see it live; the version."""
    with story.act(new, "demo") as stage:
        before = story.runs.newest()
        if old:
            sha = story.developer.change(BRANCH, BRANCH, acts.PAGE, old, new, new)
        else:
            sha = story.says(new, new, BRANCH, "development")
        story.follow("push", before, stage, BRANCH)
        stage.result = story.sees(STACK, sha, new)
    return sha


def test_a_push_deploys_to_the_machine_that_is_named_and_makes_none(
    story: acts.Team, machine: Machine
) -> None:
    sha = deployed(story, "", FIRST)
    assert story.project.stacks.outputs(STACK)["ipv4"] == machine.address
    assert {each.partition(" ")[0] for each in story.listed(STACK)} == {"record"}
    (comment,) = story.maintainer.repository.get_commit(sha).get_comments()
    assert story.urls[STACK] in comment.body


def test_another_push_updates_it_in_place(story: acts.Team, machine: Machine) -> None:
    before = story.project.stacks.outputs(STACK)
    deployed(story, FIRST, SECOND)
    after = story.project.stacks.outputs(STACK)
    assert after["ipv4"] == machine.address
    assert after["password"] == before["password"]
    assert after["release"] != before["release"]


def test_the_branchs_deletion_takes_its_names_and_leaves_the_machine(
    story: acts.Team, client: hcloud.Client
) -> None:
    before = story.runs.newest()
    with story.act("deleted", "demo") as stage:
        story.developer.delete(BRANCH)
        story.follow("delete", before, stage)
    assert story.listed(STACK) == []
    assert STACK not in story.project.stacks.names()
    server = client.servers.get_by_name(by_hand.NAME)
    assert server is not None
    assert server.status == "running"
