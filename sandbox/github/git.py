"""Bare repositories, by git's own plumbing. Every command is bounded."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60
NONE = "0" * 40


class GitError(Exception):
    """git refused; the message is its own."""


@dataclass(frozen=True)
class Person:
    """Whose name a commit carries."""

    name: str
    email: str


@dataclass(frozen=True)
class Commit:
    """One commit; times in UTC, `2031-05-31T12:00:00Z`."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    authored: str
    committer: Person
    committed: str
    message: str


_FORMAT = "%H%x00%T%x00%P%x00%an%x00%ae%x00%ad%x00%cn%x00%ce%x00%cd%x00%B"
# As the API writes times, whatever zone a commit was made in.
_DATES = "--date=format-local:%Y-%m-%dT%H:%M:%SZ"


class Git:
    """One bare repository in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(
        self,
        *arguments: str,
        text: str | None = None,
        environment: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> str:
        """A git command's output, without the last newline. Raises GitError."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=SECONDS,
            check=False,
            env={**_environment(), "GIT_DIR": str(self.folder), **(environment or {})},
        )
        if check and done.returncode:
            raise GitError(
                done.stderr.strip() or f"git {arguments[0]} ended with {done.returncode}"
            )
        return done.stdout.rstrip("\n")

    def create(self, default_branch: str) -> None:
        """An empty repository, which remembers what was (for reflogs and unreachable commits)."""
        self.folder.mkdir(parents=True)
        self.run("init", "--quiet", "--bare", f"--initial-branch={default_branch}", ".")
        for key, value in (
            ("http.receivepack", "true"),
            ("uploadpack.allowAnySHA1InWant", "true"),
            ("receive.shallowUpdate", "true"),
            ("gc.auto", "0"),
        ):
            self.run("config", key, value)

    def resolve(self, name: str) -> str | None:
        """The commit a branch, tag, ref or (short) sha names, or None."""
        for candidate in (f"refs/heads/{name}", f"refs/tags/{name}", name):
            if candidate.startswith("-"):
                continue
            found = self.run(
                "rev-parse", "--verify", "--quiet", f"{candidate}^{{commit}}", check=False
            )
            if found:
                return found
        return None

    def refs(self, prefix: str = "refs/heads/") -> dict[str, str]:
        """Full ref → object, of the refs under a prefix."""
        lines = self.run("for-each-ref", "--format=%(refname) %(objectname)", prefix)
        return dict(line.split(" ", 1) for line in lines.splitlines())

    def commit(self, sha: str) -> Commit:
        """One commit. Raises GitError."""
        return self.log(sha, limit=1)[0]

    def log(self, *what: str, limit: int = 250) -> list[Commit]:
        """Commits newest first, as `git log` of these revisions: `main..staging`."""
        text = self.run("log", f"--max-count={limit}", _DATES, f"--format={_FORMAT}%x01", *what)
        return [_commit(part.strip("\n")) for part in text.split("\x01") if part.strip()]

    def update(self, ref: str, new: str, old: str | None = None) -> None:
        """Move a ref, or make it. Raises GitError when it is not at `old`."""
        self.run("update-ref", ref, new, *([old] if old is not None else []))

    def delete(self, ref: str) -> None:
        """Remove a ref."""
        self.run("update-ref", "-d", ref)

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `newer` holds all of `older`."""
        base = self.run("merge-base", older, newer, check=False)
        return base == older

    def merge_tree(self, ours: str, theirs: str) -> str | None:
        """The tree of a merge, or None when the two conflict."""
        done = self.run("merge-tree", "--write-tree", ours, theirs, check=False)
        lines = done.splitlines()
        return lines[0] if len(lines) == 1 else None

    def write_commit(
        self,
        tree: str,
        parents: Sequence[str],
        message: str,
        author: Person,
        when: float,
        *,
        committer: Person | None = None,
        committed: float | None = None,
    ) -> str:
        """A new commit's sha; it is on no branch yet. Times in epoch seconds."""
        committer = committer or Person("GitHub", "noreply@github.com")
        environment = {
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.email,
            "GIT_AUTHOR_DATE": f"{int(when)} +0000",
            "GIT_COMMITTER_NAME": committer.name,
            "GIT_COMMITTER_EMAIL": committer.email,
            "GIT_COMMITTER_DATE": f"{int(when if committed is None else committed)} +0000",
        }
        options = [word for parent in parents for word in ("-p", parent)]
        return self.run("commit-tree", tree, *options, text=message, environment=environment)

    def file(self, sha: str, path: str) -> bytes | None:
        """A file's content at a commit, or None."""
        try:
            return self.exact("cat-file", "blob", f"{sha}:{path}")
        except GitError:
            return None

    def exact(self, *arguments: str, data: bytes = b"") -> bytes:
        """A git command's output to the byte. Raises GitError."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            input=data,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            env={**_environment(), "GIT_DIR": str(self.folder)},
        )
        if done.returncode:
            raise GitError(done.stderr.decode("utf-8", "replace").strip())
        return done.stdout

    def names(self, sha: str, folder: str = "") -> list[str]:
        """Paths of the entries of a folder at a commit; none where there is no such folder."""
        under = [f"{folder.rstrip('/')}/"] if folder else []
        text = self.run("ls-tree", "-z", "--name-only", sha, *under, check=False)
        return [name for name in text.split("\0") if name]


def _commit(text: str) -> Commit:
    sha, tree, parents, *rest = text.split("\0")
    author, author_email, authored, committer, committer_email, committed, message = rest
    return Commit(
        sha=sha,
        tree=tree,
        parents=tuple(parents.split()),
        author=Person(author, author_email),
        authored=authored,
        committer=Person(committer, committer_email),
        committed=committed,
        message=message.rstrip("\n"),
    )


def _environment() -> dict[str, str]:
    """git's own, and nobody's settings."""
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }
