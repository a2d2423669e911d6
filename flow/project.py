"""The team's project: its folder, the engine, and what a stack's settings say in plain text.

In the sandbox's shell PULUMI_OPTION_CWD names the project's folder; anywhere else, a GitHub
runner among it, it is the checkout this code runs from. Secrets and the backend come from the
environment, as they do for `pulumi` itself.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from components import naming
from flow.errors import FlowError
from flow.stacks import Stacks

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Project:
    """`root` is the program's checkout, `folder` that of Pulumi.yaml and the stacks' files."""

    root: Path
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def stacks(self) -> Stacks:
        """Its stacks, through the engine. Raises FlowError where there is no engine."""
        return Stacks(self.folder, self.environment, engine(self.root))

    @property
    def name(self) -> str:
        """The project's name, which is the first part of every setting's key."""
        return str(_load(self.folder / "Pulumi.yaml").get("name") or "")

    def settings(self, stack: str) -> dict[str, Any]:
        """Settings of `stack`: its file's, else the project's defaults. Secret ones are left out.

        A stack without a file has the defaults only.
        """
        declared = _load(self.folder / "Pulumi.yaml")
        found: dict[str, Any] = {}
        file = self.folder / f"Pulumi.{stack}.yaml"
        own = (_load(file).get("config") or {}) if file.exists() else {}
        for key, value in (declared.get("config") or {}).items():
            default = value.get("default") if isinstance(value, dict) else value
            found[self._key(key)] = default
        for key, value in own.items():
            if not (isinstance(value, dict) and set(value) == {"secure"}):
                found[self._key(key)] = value
        return found

    def _key(self, key: str) -> str:
        return str(key).removeprefix(f"{self.name}:")

    def application(self, stack: str, given: Path | None) -> Path:
        """The application's folder: as given, else FLOW_APPLICATION's, else the settings'."""
        if given is None and (named := os.environ.get("FLOW_APPLICATION")):
            given = Path(named)
        if given is None:
            # The program reads the setting relative to itself, wherever the project's folder is.
            given = self.root / str(self.settings(stack).get("application") or ".")
        folder = given.resolve()
        compose = folder / self.compose_file(stack)
        if not compose.is_file():
            raise FlowError(
                f"there is no {compose.name} in {folder}",
                "give the application's folder: --application DIR, or FLOW_APPLICATION",
            )
        return folder

    def compose_file(self, stack: str) -> str:
        """Name of the Compose file in the application's folder."""
        return str(self.settings(stack).get("composeFile") or "compose.yaml")


def find() -> Project:
    """The project this process is for. Raises FlowError where there is none."""
    named = os.environ.get("PULUMI_OPTION_CWD")
    folder = Path(named).resolve() if named else ROOT
    if not (folder / "Pulumi.yaml").is_file():
        raise FlowError(
            f"there is no Pulumi.yaml in {folder}",
            "run flow from a checkout of the team's deployment repository"
            + (", or unset PULUMI_OPTION_CWD" if named else ""),
        )
    return Project(ROOT, folder, environment(ROOT))


def engine(root: Path) -> Path:
    """The `pulumi` of the project's toolchain, else the one on PATH."""
    own = root / ".toolchain/bin/pulumi"
    found = shutil.which("pulumi")
    return Path(found) if found and not own.exists() else own


def environment(root: Path) -> dict[str, str]:
    """What the engine needs on top of our own environment."""
    wanted = {"PULUMI_SKIP_UPDATE_CHECK": "1"}
    # The language host starts the first `python3` on PATH: ours, which has the SDK.
    first = [str(Path(sys.executable).parent)]
    if (root / ".toolchain/bin").is_dir():
        first.append(str(root / ".toolchain/bin"))
    if (root / ".toolchain/pulumi-home").is_dir() and "PULUMI_HOME" not in os.environ:
        wanted["PULUMI_HOME"] = str(root / ".toolchain/pulumi-home")
        # The toolchain has put every plugin there; a download would be tried in vain.
        wanted["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    if token := os.environ.get("FLOW_GITHUB_TOKEN"):
        # A run's own token may not make environments and rules; this one was made for that.
        wanted["GITHUB_TOKEN"] = token
    path = os.environ.get("PATH", "/usr/bin:/bin").split(os.pathsep)
    wanted["PATH"] = os.pathsep.join([*first, *(each for each in path if each not in first)])
    return wanted


def stack_of(target: str) -> str:
    """The stack a person means: its name, or that of the branch it follows."""
    if naming.stage_of_stack(target) is not None:
        return target
    return naming.stack_of_branch(target)


def _load(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise FlowError(f"{file} is not YAML: {error}", f"correct {file}") from error
    return content if isinstance(content, dict) else {}
