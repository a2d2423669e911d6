"""The application's files: a branch fetched by git, or a folder that is already there."""

import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feature_demo.branches import authorization
from feature_demo.demo import Demo, kept_folder
from feature_demo.words import DemoError, Say
from remote.server.agent.commands import Commands, Ended
from remote.server.agent.machine import Machine

SECONDS: Final = 900
_VERSION_LENGTH: Final = 12


@dataclass(frozen=True)
class Source:
    """The application as it will be deployed."""

    folder: Path
    """Where its Compose file is."""
    commit: str
    """Empty for a folder that is in no repository."""
    version: str
    """What images built of it are tagged with."""


class Fetcher:
    """Gets the files of a demo."""

    def __init__(self, machine: Machine, commands: Commands, say: Say) -> None:
        self._target = kept_folder(machine) / "source"
        self._commands = commands
        self._say = say

    def fetch(self, demo: Demo) -> Source:
        """The newest state of the branch, or the folder. Raises DemoError."""
        top = self._branch(demo) if demo.is_git else Path(demo.source)
        folder = top / demo.folder
        if not (folder / demo.compose_file).is_file() or not _is_within(folder, top):
            where = f"{demo.folder}/{demo.compose_file}" if demo.folder else demo.compose_file
            raise DemoError(
                f"{demo.source} ({demo.branch}) has no {where}",
                "give its folder as --application and its name as --compose-file",
            )
        commit = self._commit(folder)
        # A folder somebody works in changes without a commit.
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        version = commit[:_VERSION_LENGTH] if demo.is_git else stamp
        return Source(folder, commit, version)

    def _branch(self, demo: Demo) -> Path:
        """A shallow clone, kept from update to update."""
        self._say(f"fetching {demo.branch} of {demo.source}")
        target = self._target
        if (target / ".git").is_dir():
            known = self._git(["config", "--get", "remote.origin.url"], demo)
            if known.last() != demo.source:
                shutil.rmtree(target)
        if not (target / ".git").is_dir():
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True, mode=0o700)
            self._must(["init", "--quiet"], demo)
            self._must(["remote", "add", "origin", demo.source], demo)
        self._must(
            ["fetch", "--quiet", "--depth", "1", "origin", f"refs/heads/{demo.branch}"], demo
        )
        self._must(["checkout", "--quiet", "--force", "--detach", "FETCH_HEAD"], demo)
        self._must(["clean", "--quiet", "-ffdx"], demo)
        if (target / ".gitmodules").exists():
            self._must(["submodule", "--quiet", "update", "--init", "--recursive", "--depth", "1"],
                       demo)  # fmt: skip
        return target

    def _must(self, words: list[str], demo: Demo) -> None:
        ended = self._git(words, demo)
        if not ended.ok:
            raise DemoError(
                f"git {words[0]} of {demo.source}, branch {demo.branch}, failed: "
                f"{ended.last()[:400]}",
                "check the URL, the branch, and that this server may read the repository",
            )

    def _git(self, words: list[str], demo: Demo) -> Ended:
        return self._commands.run(
            ["git", "-C", str(self._target), *words],
            seconds=SECONDS,
            environment=git_environment(demo),
        )

    def _commit(self, folder: Path) -> str:
        if not shutil.which("git"):
            return ""
        ended = self._commands.run(
            ["git", "-c", f"safe.directory={folder}", "-C", str(folder), "rev-parse", "HEAD"],
            seconds=20,
        )
        found = ended.last().strip()
        return found if ended.ok and re.fullmatch(r"[0-9a-f]{40,64}", found) else ""


def git_environment(demo: Demo) -> Mapping[str, str]:
    """What git is told; a token goes in here, never on a command line, and to its URL only."""
    told = {
        "HOME": "/root",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
        "GIT_CONFIG_COUNT": "0",
    }
    if demo.git_token:
        told |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{demo.source}.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: {authorization(demo.git_user, demo.git_token)}",
        }
    return told


def _is_within(folder: Path, top: Path) -> bool:
    return folder.resolve().is_relative_to(top.resolve())
