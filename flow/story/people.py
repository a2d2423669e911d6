"""Somebody of the team: with a clone, a token, and nothing else than git and GitHub's API."""

from __future__ import annotations

from pathlib import Path

from github.PullRequest import PullRequest
from github.Repository import Repository

from flow.errors import FlowError
from flow.sandbox_project import APPLICATION
from flow.sandbox_team import SandboxTeam, git


class Person:
    """One person, who keeps clones under `folder`."""

    def __init__(self, team: SandboxTeam, login: str, folder: Path) -> None:
        self.login = login
        self._team = team
        self._folder = folder / login
        self.repository: Repository = team.client(login).get_repo(APPLICATION)

    def change(self, branch: str, base: str, file: str, old: str, new: str, message: str) -> str:
        """Commit a change of a file on a branch, off `base` where it is new, and push it; its sha.

        Raises FlowError where the file does not hold `old`.
        """
        if not (self._folder / ".git").exists():
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            address = f"{self._team.url}/{APPLICATION}.git"
            self.git("clone", "--quiet", address, str(self._folder), at=self._folder.parent)
        self.git("fetch", "--quiet", "--prune", "origin")
        known = self.git("branch", "--remotes", "--list", f"origin/{branch}")
        self.git("checkout", "--quiet", "-B", branch, f"origin/{branch if known else base}")
        path = self._folder / file
        text = path.read_text()
        if old not in text:
            raise FlowError(f"{file} on {branch} does not say {old!r}")
        path.write_text(text.replace(old, new))
        self.git("commit", "--quiet", "--all", "-m", message)
        self.push(branch)
        return self.git("rev-parse", "HEAD")

    def push(self, branch: str) -> None:
        """Push what is committed to a branch."""
        self.git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")

    def delete(self, branch: str) -> None:
        """Delete a branch there."""
        self.git("push", "--quiet", "origin", "--delete", branch)

    def ask(self, head: str, base: str, title: str, body: str = "") -> PullRequest:
        """Open a pull request."""
        return self.repository.create_pull(base=base, head=head, title=title, body=body)

    def approve(self, number: int) -> None:
        """Approve a pull request."""
        self.repository.get_pull(number).create_review(event="APPROVE", body="Seen and tried.")

    def merge(self, number: int) -> str:
        """Merge a pull request; the new head of its base."""
        merged = self.repository.get_pull(number).merge(merge_method="merge")
        if not merged.merged:
            raise FlowError(f"#{number} was not merged: {merged.message}")
        return str(merged.sha)

    def git(self, *arguments: str, at: Path | None = None) -> str:
        """A git command in the clone."""
        token = self._team.token(self.login)
        return git(at or self._folder, *arguments, token=token, login=self.login)
