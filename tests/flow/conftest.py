"""The sandbox's project and its images, shared by every test that drives the engine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flow.publishing import publish
from flow.rehearsal import BRANCHES
from flow.sandbox_project import SandboxProject
from sandbox.lifecycle import Sandbox

ROOT = Path(__file__).resolve().parents[2]
FIRST_VERSION = "1.0.0"


@pytest.fixture(scope="session")
def shared_project(sandbox: Sandbox) -> SandboxProject:
    """The project folder of the shared sandbox, as `flow sandbox env` makes it."""
    project = SandboxProject(ROOT, sandbox.directory, sandbox.credentials())
    project.write()
    return project


@pytest.fixture(scope="session")
def published(shared_project: SandboxProject) -> SandboxProject:
    """The shared project, with images of FIRST_VERSION for every branch the tests deploy."""
    for branch in BRANCHES:
        publish(shared_project, FIRST_VERSION, branch, _silent)
    return shared_project


@pytest.fixture(scope="session")
def publish_version(shared_project: SandboxProject) -> Callable[..., dict[str, Any]]:
    """Builds and pushes a version for a branch: publish_version("1.1.0", "staging", fault="")."""

    def build(version: str, branch: str, fault: str = "") -> dict[str, Any]:
        return publish(shared_project, version, branch, _silent, fault=fault)

    return build


def _silent(_line: str) -> None:
    """Progress nobody reads in a test."""
