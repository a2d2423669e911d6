"""`flow` as a person or a runner calls it, for one team of the sandbox."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from flow.foreign import FOREIGN
from flow.publishing import BASE_IMAGE
from tests.flow.team import Team

SECONDS = 300


class Flow:
    """`flow` with a team's environment, in a folder of its own."""

    def __init__(self, team: Team, folder: Path) -> None:
        self.team = team
        self.folder = folder
        # What this test's own surroundings say must not reach the command.
        foreign = (*FOREIGN, "GITHUB_ACTIONS", "RUNNER_ENVIRONMENT")
        own = {k: v for k, v in os.environ.items() if k not in foreign}
        self.environment = {**own, **team.project.environment(), "BASE_IMAGE": BASE_IMAGE}

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        """Begin a command."""
        return subprocess.Popen(
            [sys.executable, "-m", "flow.app", *arguments],
            cwd=self.folder,
            env={**self.environment, "PYTHONPATH": str(self.team.project.root)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )

    def pulumi(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a command of Pulumi's own, in the project's folder."""
        return subprocess.Popen(
            [self.team.project.root / ".toolchain/bin/pulumi", "--non-interactive", *arguments],
            cwd=self.team.project.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a command."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=SECONDS)
        return process.returncode, out, err

    def json(self, *arguments: str) -> Any:
        """What a command that has to succeed prints with --json."""
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    def settings_file(self, stack: str) -> Path:
        """The stack's file, which a fresh checkout does not have for a demo."""
        return self.team.project.folder / f"Pulumi.{stack}.yaml"

    def locks(self, stack: str) -> list[str]:
        """Lock files of a stack."""
        folder = self.team.project.directory / "state/.pulumi/locks"
        return [file.name for file in folder.glob(f"**/{stack}/*.json")]
