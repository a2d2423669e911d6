"""A GitHub in this process with repositories to push to, and Actions that run for real."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.github import accounts, environments, pushes
from sandbox.github.access import Caller
from sandbox.github.actions import COMMAND, Actions, records
from sandbox.github.actions.jobs import log_of
from sandbox.github.hub import Event, Hub
from sandbox.store import Record, Store

WORKFLOW = ".github/workflows/ci.yml"
OWNER = "example-org"
DEVELOPER = Caller("developer", "classic")


class World:
    """Repositories of `example-org`, whose files git reads from the disk."""

    def __init__(self, folder: Path, at_once: int = 2) -> None:
        self.folder = folder
        bare = folder / "github"
        bare.mkdir(parents=True)
        # git finds `owner/name.git` under a file address as it does under ours.
        self.hub = Hub(Store(), bare, f"file://{bare}")
        for login in ("maintainer", "developer", "reviewer"):
            accounts.user(self.hub, login)
        accounts.organization(self.hub, OWNER, {"maintainer": "admin"})
        self.actions = Actions(self.hub, environment=dict, at_once=at_once)
        self.hub.listen(self.actions.on_event)
        self.actions.start()

    def close(self) -> None:
        self.actions.stop()
        self.hub.store.close()

    def repository(self, name: str = "fieldwork", *, private: bool = False) -> Record:
        now = self.hub.now()
        record = {
            "owner": OWNER, "name": name, "full_name": f"{OWNER}/{name}", "private": private,
            "description": None, "homepage": None, "default_branch": "main", "has_issues": True,
            "has_wiki": False, "allow_squash_merge": True, "allow_merge_commit": True,
            "allow_rebase_merge": True, "delete_branch_on_merge": False,
            "collaborators": {"developer": "write", "reviewer": "write"},
            "created_at": now, "updated_at": now, "pushed_at": now,
        }  # fmt: skip
        added = self.hub.store.add("repository", "", record)
        self.hub.git(added).create("main")
        return added

    def push(
        self,
        repository: Record,
        files: Mapping[str, str],
        ref: str = "refs/heads/main",
        *,
        message: str = "A change",
        by: Caller = DEVELOPER,
    ) -> str:
        """Commit files on top of a ref, or of main, and tell of it; the commit."""
        git = self.hub.git(repository)
        before = git.refs("refs/")
        parent = git.resolve(ref) or git.resolve("main")
        index = {"GIT_INDEX_FILE": str(self.folder / f"index-{os.urandom(4).hex()}")}
        if parent:
            git.run("read-tree", parent, environment=index)
        for path, text in files.items():
            blob = git.run("hash-object", "-w", "--stdin", text=text)
            git.run(
                "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", environment=index
            )
        tree = git.run("write-tree", environment=index)
        author = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "dev"), ("EMAIL", "dev@example.org"))
        }
        parents = ("-p", parent) if parent else ()
        sha = git.run("commit-tree", tree, *parents, text=message, environment=author)
        git.update(ref, sha)
        pushes.finish(self.hub, repository, by, before)
        return sha

    def tell(self, repository: Record, name: str, **more: Any) -> None:
        """Publish an event."""
        known = {"ref": "", "sha": "", "actor": "developer", **more}
        self.hub.publish([Event(name=name, repository=repository["full_name"], **known)])

    def command(self, run: Record, action: str, by: str = "reviewer", **payload: Any) -> None:
        """What the API tells the scheduler."""
        told = {"run": run["id"], **payload}
        event = Event(COMMAND, run["project"], "", "", by, action, payload=told)
        self.hub.publish([event])

    def settle(self, seconds: float = 30) -> None:
        assert self.actions.settle(seconds), "the runs did not come to rest"

    def runs(self, repository: Record) -> list[Record]:
        self.settle()
        return self.hub.store.all("run", repository["full_name"])

    def run(self, repository: Record) -> Record:
        """The only run."""
        (found,) = self.runs(repository)
        return found

    def jobs(self, run: Record) -> dict[str, Record]:
        self.settle()
        now = self.hub.store.get("run", run["id"]) or run
        return {job["name"]: job for job in records.jobs(self.hub, now)}

    def conclusions(self, run: Record) -> dict[str, str]:
        return {name: job["conclusion"] or job["status"] for name, job in self.jobs(run).items()}

    def log(self, run: Record, name: str) -> str:
        path = log_of(self.hub, self.jobs(run)[name])
        return path.read_text() if path.exists() else ""

    def environment(self, repository: Record, name: str, **rules: Any) -> None:
        record = {
            "name": name, "wait_timer": 0, "prevent_self_review": False, "reviewers": [],
            "deployment_branch_policy": None, "created_at": self.hub.now(),
            "updated_at": self.hub.now(), **rules,
        }  # fmt: skip
        self.hub.store.add("environment", repository["full_name"], record)
        assert environments.environment_of(self.hub, repository["full_name"], name)

    def secret(self, repository: Record, name: str, value: str, environment: str = "") -> None:
        self._kept("secret", repository, name, value, environment)

    def variable(self, repository: Record, name: str, value: str, environment: str = "") -> None:
        self._kept("variable", repository, name, value, environment)

    def _kept(self, kind: str, repository: Record, name: str, value: str, environment: str) -> None:
        record = {"name": name, "value": value, "environment": environment}
        self.hub.store.add(kind, repository["full_name"], record)
