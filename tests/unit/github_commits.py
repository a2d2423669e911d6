"""Commits for tests of the GitHub: made in its repositories, and told of as a push is."""

import tempfile
from pathlib import Path

from sandbox.github import pushes
from sandbox.github.access import Caller
from sandbox.github.git import NONE, Person
from tests.unit.github_hub import FULL_NAME, Served


def push(
    served: Served,
    branch: str,
    files: dict[str, str] | None = None,
    *,
    who: str = "developer",
    message: str = "A change",
    start: str = "main",
    full_name: str = FULL_NAME,
) -> str:
    """One commit on a branch, new ones beginning at `start`; the new commit's sha.

    files  path → text; without any, one that is new
    """
    repository = served.hub.repository(*full_name.split("/", 1))
    git = served.hub.git(repository)
    old = git.resolve(f"refs/heads/{branch}")
    parent = old or git.resolve(start)
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        if parent:
            git.run("read-tree", parent, environment=index)
        for path, text in (files or {f"{branch}/{message}.txt".lower(): message}).items():
            blob = git.run("hash-object", "-w", "--stdin", text=text)
            entry = f"100644,{blob},{path}"
            git.run("update-index", "--add", "--cacheinfo", entry, environment=index)
        tree = git.run("write-tree", environment=index)
    author = Person(who.capitalize(), f"{who}@users.noreply.github.test")
    now = served.hub.store.now()
    sha = git.write_commit(tree, [parent] if parent else [], message, author, now)
    move(served, branch, sha, who=who, full_name=full_name)
    return sha


def move(
    served: Served, branch: str, sha: str, *, who: str = "developer", full_name: str = FULL_NAME
) -> None:
    """Set a branch, or with git.NONE delete it, and tell as after a push."""
    repository = served.hub.repository(*full_name.split("/", 1))
    git = served.hub.git(repository)
    ref = f"refs/heads/{branch}"
    old = git.resolve(ref) or NONE
    if sha == NONE:
        git.delete(ref)
    else:
        git.update(ref, sha)
    caller = Caller(who, "classic")
    with served.hub.store.transaction():
        events = pushes.moved(served.hub, repository, caller, ref, old, sha)
    served.hub.publish(events)
