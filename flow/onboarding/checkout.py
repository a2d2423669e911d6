"""The project's folder as git has it: settings that runs use have to be committed and pushed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from flow import git

_ORIGIN = re.compile(r"[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?$")


class Checkout:
    """A team's checkout of its deployment repository.

    `token` opens its origin over HTTPS where that is at `site` (https://github.com), and no other:
    a repository of the same name elsewhere is not told it.
    """

    def __init__(self, folder: Path, token: str = "", site: str = "") -> None:  # nosec B107
        self.folder = folder
        self._token = token
        self._site = site

    @property
    def exists(self) -> bool:
        """Whether the folder is the top of a checkout that has an origin."""
        return (self.folder / ".git").exists() and bool(self.origin)

    @property
    def origin(self) -> str:
        """OWNER/NAME of where it was cloned from; empty where there is none."""
        found = _ORIGIN.search(self._git("remote", "get-url", "origin", check=False))
        return found[1] if found else ""

    @property
    def branch(self) -> str:
        """The branch that is checked out. Raises FlowError for none."""
        return self._git("symbolic-ref", "--short", "HEAD")

    @property
    def head(self) -> str:
        """The commit."""
        return self._git("rev-parse", "HEAD")

    def changed(self, files: Sequence[str]) -> list[str]:
        """Those that differ from the commit."""
        listed = self._git("status", "--porcelain", "-z", "--", *files)
        return [each[3:] for each in listed.split("\0") if each.strip()]

    def publish(self, files: Sequence[str]) -> None:
        """Commit these files alone, where they changed, and push the branch."""
        if self.changed(files):
            self._git("add", "--", *files)
            self._git("commit", "--quiet", "-m", "Settings of the stages", "--", *files)
        self._git("push", "--quiet", "origin", f"HEAD:refs/heads/{self.branch}")

    def _git(self, *arguments: str, check: bool = True) -> str:
        # Without a site it is offered to nobody.
        token = self._token if self._site else ""
        return git.run(self.folder, *arguments, token=token, site=self._site, check=check)
