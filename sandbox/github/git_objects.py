"""Blobs and trees of a bare repository: what commits are made of."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.github.git import Git

_SHA = re.compile(r"[0-9a-f]{40}")
# git writes no dot segments and nothing of its own folder.
_BAD_PARTS = frozenset({"", ".", "..", ".git"})


@dataclass(frozen=True)
class Entry:
    """One entry of a tree: `mode` as git writes it, `kind` blob, tree or commit, size in bytes."""

    mode: str
    kind: str
    sha: str
    size: int
    path: str


def kind(git: Git, sha: str) -> str | None:
    """blob, tree, commit or tag; None for what is not there."""
    if not _SHA.fullmatch(sha):
        return None
    return git.run("cat-file", "-t", sha, check=False) or None


def entries(git: Git, tree: str, *, recursive: bool = False) -> list[Entry]:
    """The entries of a tree (or of a commit's); `tree` may name a path: `<sha>:<folder>`."""
    options = ["-r", "-t"] if recursive else []
    text = git.run("ls-tree", "-z", "--long", *options, tree)
    found = []
    for line in text.split("\0"):
        if line:
            head, _, path = line.partition("\t")
            mode, entry_kind, sha, size = head.split()
            found.append(Entry(mode, entry_kind, sha, int(size) if size != "-" else 0, path))
    return found


def at(git: Git, commit: str, path: str) -> Entry | None:
    """What is at a path of a commit, or None; the root is a tree."""
    if not path:
        sha = git.run("rev-parse", f"{commit}^{{tree}}")
        return Entry("040000", "tree", sha, 0, "")
    if not is_path(path):
        return None
    # A pathspec without magic: `*` is a name like any other.
    text = git.run("--literal-pathspecs", "ls-tree", "-z", "--long", commit, "--", path)
    for line in text.split("\0"):
        head, _, name = line.partition("\t")
        if name == path:
            mode, entry_kind, sha, size = head.split()
            return Entry(mode, entry_kind, sha, int(size) if size != "-" else 0, path)
    return None


def is_path(path: str) -> bool:
    """Whether a path can be in a tree."""
    return not any(part in _BAD_PARTS for part in path.split("/")) and "\0" not in path


def write_blob(git: Git, content: bytes) -> str:
    """A new blob's sha."""
    return git.exact("hash-object", "-w", "--stdin", data=content).decode().strip()


def write_tree(git: Git, base: str | None, changes: Sequence[tuple[str, str, str | None]]) -> str:
    """The tree of `base` (a tree or commit) with changes: (path, mode, sha; None to remove).

    Raises GitError.
    """
    with tempfile.TemporaryDirectory(prefix="sandbox-index-") as folder:
        environment = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        if base is not None:
            git.run("read-tree", base, environment=environment)
        for path, mode, sha in changes:
            if sha is not None and mode == "040000":
                git.run("read-tree", f"--prefix={path}/", sha, environment=environment)
                continue
            # Mode 0 removes; a folder is removed file by file.
            lines = [f"{mode} {sha}\t{path}\0"]
            if sha is None:
                listed = git.run(
                    "--literal-pathspecs", "ls-files", "-z", "--", path, environment=environment
                )
                lines = [f"0 {'0' * 40}\t{name}\0" for name in listed.split("\0") if name]
            git.run(
                "update-index", "-z", "--index-info", text="".join(lines), environment=environment
            )
        return git.run("write-tree", environment=environment)
