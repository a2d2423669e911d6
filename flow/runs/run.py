"""The workflow run this process is part of: what GitHub says of it in the environment."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import naming
from flow.errors import FlowError

_HEADS = "refs/heads/"
_TAGS = "refs/tags/"


@dataclass(frozen=True)
class Run:
    """One run. `event` is GitHub's payload; `outputs` and `summary` are files, or None."""

    name: str
    ref: str
    sha: str
    repository: str
    actor: str
    event: Mapping[str, Any]
    address: str
    """Of the run's own page."""
    api: str
    token: str
    outputs: Path | None = None
    summary: Path | None = None

    @property
    def branch(self) -> str:
        """What was built from: the branch of a push, `main` for a release, the deleted branch.

        Raises FlowError for an event that has none.
        """
        if self.name == "delete":
            return str(self.event.get("ref") or "")
        if self.name == "release":
            return naming.STAGE_BRANCHES["prod"]
        if self.ref.startswith(_HEADS):
            return self.ref.removeprefix(_HEADS)
        raise FlowError(
            f"a {self.name} of {self.ref} is no deploy",
            "deploys are pushes to branches, and releases (.github/workflows/flow.yml says which)",
        )

    @property
    def stack(self) -> str:
        """The stack it is about. Raises FlowError for a branch that no stack follows."""
        branch = self.branch
        stack = naming.stack_of_branch(branch)
        if naming.stage_of_stack(stack) == "demo" and not branch.startswith(naming.DEMO_BRANCH):
            raise FlowError(
                f"no stack follows the branch {branch}",
                f"name it {naming.DEMO_BRANCH}… to have a server of its own",
            )
        return stack

    @property
    def version(self) -> str:
        """A release's tag; for a push, its commit."""
        if self.name == "release":
            tag = str((self.event.get("release") or {}).get("tag_name") or "")
            return tag or self.ref.removeprefix(_TAGS)
        return self.sha

    def put(self, **outputs: str) -> None:
        """Hand values to later steps and jobs."""
        if self.outputs is None:
            return
        with self.outputs.open("a") as file:
            for name, value in outputs.items():
                # A word nobody can know beforehand: a value with line ends could end it early.
                end = f"end-{secrets.token_hex(8)}"
                file.write(f"{name}<<{end}\n{value}\n{end}\n")

    def tell(self, text: str) -> None:
        """Add Markdown to the page of the run."""
        if self.summary is not None:
            with self.summary.open("a") as file:
                file.write(text.rstrip() + "\n")


def address(environment: Mapping[str, str]) -> str:
    """The page of the run at GitHub; empty outside of one."""
    server = environment.get("GITHUB_SERVER_URL", "https://github.com")
    repository, number = environment.get("GITHUB_REPOSITORY"), environment.get("GITHUB_RUN_ID")
    return f"{server}/{repository}/actions/runs/{number}" if repository and number else ""


def read(environment: Mapping[str, str]) -> Run:
    """The run by its environment. Raises FlowError outside of one."""
    needed = ("GITHUB_EVENT_NAME", "GITHUB_EVENT_PATH", "GITHUB_REPOSITORY", "GITHUB_SHA")
    missing = [name for name in needed if not environment.get(name)]
    if missing:
        raise FlowError(
            f"this is no workflow run: {', '.join(missing)} not set",
            "a person uses flow deploy, flow demo up and flow demo end",
        )
    file = Path(environment["GITHUB_EVENT_PATH"])
    event = json.loads(file.read_text()) if file.is_file() else {}

    def path(name: str) -> Path | None:
        return Path(environment[name]) if environment.get(name) else None

    return Run(
        name=environment["GITHUB_EVENT_NAME"],
        ref=environment.get("GITHUB_REF", ""),
        sha=environment["GITHUB_SHA"],
        repository=environment["GITHUB_REPOSITORY"],
        actor=environment.get("GITHUB_ACTOR", ""),
        event=event if isinstance(event, dict) else {},
        address=address(environment),
        api=environment.get("GITHUB_API_URL", "https://api.github.com"),
        token=environment.get("GITHUB_TOKEN", ""),
        outputs=path("GITHUB_OUTPUT"),
        summary=path("GITHUB_STEP_SUMMARY"),
    )
