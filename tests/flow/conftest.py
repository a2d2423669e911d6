"""The sandbox, its images, and teams of their own in it, for tests that drive the engine."""

import copy
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hcloud
import httpx
import pytest

from flow.publishing import publish
from flow.rehearsal import NEXT_BRANCH
from flow.sandbox_project import SandboxProject
from flow.sandbox_team import BRANCHES
from sandbox.lifecycle import Sandbox
from tests.flow.team import Team

ROOT = Path(__file__).resolve().parents[2]
FIRST_VERSION = "1.0.0"


@pytest.fixture(scope="session")
def shared_project(sandbox: Sandbox) -> SandboxProject:
    """The project folder of this machine's sandbox, as `flow sandbox env` makes it."""
    project = SandboxProject(ROOT, sandbox.directory, sandbox.credentials())
    project.write()
    return project


@pytest.fixture(scope="session")
def publish_version(shared_project: SandboxProject) -> Callable[..., dict[str, Any]]:
    """Builds and pushes a version for a branch: publish_version("1.1.0", "staging", fault="")."""

    def build(version: str, branch: str, fault: str = "") -> dict[str, Any]:
        return publish(shared_project, version, branch, _silent, fault=fault)

    return build


@pytest.fixture(scope="session")
def published(
    shared_project: SandboxProject, publish_version: Callable[..., dict[str, Any]]
) -> SandboxProject:
    """The shared project, with images of FIRST_VERSION for every branch the tests deploy."""
    # The last is the demo the README has its reader make.
    for branch in (*BRANCHES, NEXT_BRANCH):
        publish_version(FIRST_VERSION, branch)
    return shared_project


@pytest.fixture(scope="module")
def team(
    shared_project: SandboxProject,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Team]:
    """A new team for one module; what it leaves behind is deleted through the API."""
    name = f"team-{secrets.token_hex(3)}"
    endpoint = str(shared_project.credentials["endpoint"])
    control = endpoint.removesuffix("/v1") + "/_sandbox/projects"
    made = httpx.post(control, json={"name": name}, timeout=30, trust_env=False)
    tokens = made.raise_for_status().json()["project"]
    token = tokens["token"]
    zone = f"{name}.test"
    credentials = copy.deepcopy(dict(shared_project.credentials))
    credentials["projects"] = {
        each: {"token": token, "zone": zone} for each in ("prod", "nonprod", "demo")
    }
    # One state and one passphrase for all, as a team may keep them.
    del credentials["passphrases"]
    credentials["images"] = f"{credentials['registry']['server']}/{name}"
    client = hcloud.Client(token=token, api_endpoint=endpoint)
    client.zones.create(name=zone, mode="primary")
    project = SandboxProject(ROOT, tmp_path_factory.mktemp(name), credentials)
    project.write()
    others = shared_project.credentials["projects"]["prod"]["token"]
    known = {"read-only": tokens["read_only_token"], "another project's": others}
    made_team = Team(project, zone, client, known)
    yield made_team
    made_team.clean()


def _silent(_line: str) -> None:
    """Progress nobody reads in a test."""
