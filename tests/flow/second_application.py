"""An application that nobody has set up yet, and the person who does."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from flow import backends
from tests.flow.buckets import Bucket

ROOT = Path(__file__).resolve().parents[2]
OWNER = "example-org"


@dataclass
class Application:
    """An application that nobody has set up yet; its team's folder, tokens and accounts."""

    name: str
    folder: Path
    environment: dict[str, str] = field(repr=False)
    api: httpx.Client
    site: httpx.Client
    states: dict[str, Bucket]
    """By group."""

    @property
    def full_name(self) -> str:
        return f"{OWNER}/{self.name}"

    @property
    def deployment(self) -> str:
        """The team's copy of this repository, whose checkout the folder is."""
        return f"{self.full_name}-deployment"

    @property
    def domain(self) -> str:
        return f"{self.name}.test"

    def flow(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A command with no terminal; `more` are variables of its environment."""
        return subprocess.run(
            [sys.executable, "-m", "flow.app", *arguments],
            cwd=ROOT,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def init(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """`flow init` with every answer."""
        answers = {
            "repository": self.full_name,
            "deployment": self.deployment,
            "images": f"registry.sandbox.test/{self.name}",
            "domain": self.domain,
            "email": f"ops@{self.domain}",
            "reviewer": "reviewer",
        }
        flags = [part for key, value in answers.items() for part in (f"--{key}", value)]
        return self.flow("init", *flags, "--yes", *arguments, **more)

    def pulumi(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Plain `pulumi`, opening what `more` opens and nothing else."""
        environment = {k: v for k, v in self.environment.items() if k not in backends.ENDED}
        return subprocess.run(
            ["pulumi", "--non-interactive", *arguments],
            cwd=self.folder,
            env={**environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def names(self, **opening: str) -> list[str]:
        """Stacks of the project on the backend that is given."""
        listed = self.pulumi("stack", "ls", "--json", **opening)
        assert listed.returncode == 0, said(listed)
        return [each["name"] for each in json.loads(listed.stdout)]

    def get(self, path: str) -> Any:
        """What GitHub answers below the repository."""
        return self.api.get(f"/repos/{self.full_name}{path}").raise_for_status().json()

    def git(self, *arguments: str) -> str:
        """A git command in the team's folder."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def let_in(self, level: str) -> None:
        """Say whose runs may call the deployment repository's workflow."""
        path = f"/repos/{self.deployment}/actions/permissions/access"
        self.api.put(path, json={"access_level": level}).raise_for_status()

    def environments(self) -> dict[str, Any]:
        return {each["name"]: each for each in self.get("/environments")["environments"]}

    def token(self, permissions: dict[str, str]) -> str:
        """A fine-grained token of the maintainer's for the two repositories."""
        wanted = {
            "login": "maintainer",
            "kind": "fine_grained",
            "permissions": permissions,
            "repositories": [self.full_name, self.deployment],
        }
        made = self.site.post("/_sandbox/tokens", json=wanted).raise_for_status()
        return str(made.json()["token"])


def opening(bucket: Bucket) -> dict[str, str]:
    """The variables that open a state."""
    return {
        backends.URL: bucket.url,
        backends.KEY: bucket.key,
        backends.KEY_SECRET: bucket.key_secret,
    }


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Both of a command's outputs."""
    return done.stdout + done.stderr
