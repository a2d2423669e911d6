"""A team in the sandbox's GitHub: its deployment repository, its application's, and what runs need.

The deployment repository is this checkout with the sandbox's settings; the application is the
example. Both come about by pushes and the API, as a team's own would.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from github import Auth, Github, UnknownObjectException
from github.Repository import Repository

from components import naming
from flow import backends, caller, run_environments
from flow import git as plain_git
from flow.onboarding import release_tags
from flow.publishing import BASE_IMAGE
from flow.sandbox_project import APPLICATION, DEPLOYMENT, PROJECT_OF_STACK, SandboxProject

# The last is the default: deletions and schedules run there.
BRANCHES = tuple(reversed(list(naming.STAGE_BRANCHES.values())))
_SECONDS = 120


class SandboxTeam:
    """The two repositories of a sandbox's team; `report` is told what is done."""

    def __init__(self, project: SandboxProject, report: Callable[[str], Any]) -> None:
        self._project = project
        self._report = report
        self._known: Mapping[str, Any] = project.credentials["github"]
        self.url = str(self._known["url"])

    def client(self, login: str = "maintainer") -> Github:
        """GitHub's API as one of the team."""
        # Its patience between requests is for GitHub's limits, which are not those of here.
        return Github(
            auth=Auth.Token(self.token(login)),
            base_url=str(self._known["api"]),
            seconds_between_requests=None,
            seconds_between_writes=None,
        )

    def token(self, login: str) -> str:
        """A person's token."""
        return str(self._known["users"][login]["token"])

    def seed(self) -> None:
        """Make what is missing; what is there is brought up to this checkout. Safe to repeat."""
        self._write_runner()
        self._repository(DEPLOYMENT)
        application = self._repository(APPLICATION)
        # From now on the stages have a part at GitHub, and the settings say so.
        self._project.write()
        commit = self._publish_deployment()
        for name in ("developer", "reviewer"):
            application.add_to_collaborators(name, "push")
        if self._git(Path.cwd(), "ls-remote", "--heads", self._address(APPLICATION)):
            self._pin(commit)
        else:
            self._publish_application(commit)
            application.edit(default_branch=BRANCHES[-1])
        run_environments.let_runs_ask(application)
        release_tags.ensure(application)
        for name in run_environments.GROUPS:
            self._environment(application, name)

    # -- parts -----------------------------------------------------------------

    def _repository(self, full_name: str) -> Repository:
        client = self.client()
        try:
            return client.get_repo(full_name)
        except UnknownObjectException:
            self._report(f"making {full_name}")
            owner, _, name = full_name.partition("/")
            return client.get_organization(owner).create_repo(name)

    def _environment(self, repository: Repository, name: str) -> None:
        credentials = self._project.credentials
        registry = credentials["registry"]["pull"]
        group = run_environments.GROUPS[name]
        known = self._project.environment()
        contents = run_environments.Contents(
            secrets={
                "HCLOUD_TOKEN": str(credentials["projects"][group]["token"]),
                "PULUMI_CONFIG_PASSPHRASE": known[backends.of_group(backends.PASSPHRASE, group)],
                "REGISTRY_PASSWORD": str(registry["password"]),
                # Makes the stages' own environments and rules, which no run's own token may.
                "FLOW_GITHUB_TOKEN": ""
                if name in run_environments.WITHOUT_TOKEN
                else self.token("maintainer"),
            },
            variables={
                "HCLOUD_ENDPOINT": str(credentials["endpoint"]),
                "PULUMI_BACKEND_URL": known[backends.of_group(backends.URL, group)],
                "REGISTRY_USERNAME": str(registry["username"]),
            },
            reviewers=[self.client().get_user("reviewer").id] if name == "flow-prod" else [],
        )
        run_environments.ensure(repository, name, contents)

    def _write_runner(self) -> None:
        """What a runner of this team's own would have: where Python is, whom it trusts."""
        environment = self._project.environment()
        names = ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
        content = {
            "environment": {
                **{name: environment[name] for name in names},
                "BASE_IMAGE": BASE_IMAGE,
                "FLOW_PYTHON": sys.executable,
            }
        }
        folder = self._project.directory / "github"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "runner.json").write_text(json.dumps(content, indent=2))

    def _publish_deployment(self) -> str:
        """Push this checkout with the sandbox's settings; the commit."""
        with tempfile.TemporaryDirectory(prefix="deployment-flow-") as name:
            folder = Path(name) / "deployment"
            self._git(folder.parent, "clone", "--quiet", self._address(DEPLOYMENT), str(folder))
            for path in folder.iterdir():
                if path.name != ".git":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            for file in _committed(self._project.root):
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self._project.root / file, target, follow_symlinks=False)
            self._settings(folder)
            return self._commit(folder, "The sandbox's settings", ("main",))

    def _settings(self, folder: Path) -> None:
        own = self._project.folder
        project = yaml.safe_load((own / "Pulumi.yaml").read_text())
        project.pop("main", None)
        options = (project.get("runtime") or {}).get("options") or {}
        if options.get("virtualenv"):
            options["virtualenv"] = ".venv"
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project, sort_keys=False))
        for stack in PROJECT_OF_STACK:
            shutil.copy2(own / f"Pulumi.{stack}.yaml", folder / f"Pulumi.{stack}.yaml")

    def _publish_application(self, commit: str) -> None:
        with tempfile.TemporaryDirectory(prefix="deployment-flow-") as name:
            folder = Path(name) / "application"
            self._git(folder.parent, "clone", "--quiet", self._address(APPLICATION), str(folder))
            for file in _committed(self._project.root, "example"):
                target = folder / file.relative_to("example")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self._project.root / file, target, follow_symlinks=False)
            workflow = folder / caller.FILE
            workflow.parent.mkdir(parents=True)
            workflow.write_text(caller.render(DEPLOYMENT, commit))
            self._commit(folder, "Fieldwork\n\n[skip ci]", BRANCHES)

    def _pin(self, commit: str) -> None:
        """Have every stage's branch call the flow as it is now; that deploys nothing.

        By pull requests from `main` downwards, so that no branch has what one below it lacks, and
        so that it goes through where branches take nothing else.
        """
        text = caller.render(DEPLOYMENT, commit)
        topic = f"flow-{commit[:12]}"
        with tempfile.TemporaryDirectory(prefix="deployment-flow-") as name:
            folder = Path(name) / "application"
            self._git(folder.parent, "clone", "--quiet", self._address(APPLICATION), str(folder))
            self._git(folder, "checkout", "--quiet", BRANCHES[0])
            file = folder / caller.FILE
            if file.is_file() and file.read_text() == text:
                return
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            self._commit(folder, "The flow as it is now", (topic,))
        for head, base in itertools.pairwise((topic, *BRANCHES)):
            self._move(head, base)

    def _move(self, head: str, base: str) -> None:
        repository = self.client().get_repo(APPLICATION)
        owner = APPLICATION.partition("/")[0]
        # One may be open: what a hotfix has brought comes back the same way.
        pulls = list(repository.get_pulls(state="open", base=base, head=f"{owner}:{head}"))
        title = "The flow as it is now"
        pull = pulls[0] if pulls else repository.create_pull(base=base, head=head, title=title)
        self.client("reviewer").get_repo(APPLICATION).get_pull(pull.number).create_review(
            event="APPROVE"
        )
        pull.merge(commit_title=f"{title} (#{pull.number})", commit_message="[skip ci]")

    def _commit(self, folder: Path, message: str, branches: tuple[str, ...]) -> str:
        self._git(folder, "add", "--all", "--force")
        if self._git(folder, "status", "--porcelain"):
            self._git(folder, "commit", "--quiet", "-m", message)
        for branch in branches:
            self._git(folder, "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
        return self._git(folder, "rev-parse", "HEAD")

    def _address(self, full_name: str) -> str:
        return f"{self.url}/{full_name}.git"

    def _git(self, folder: Path, *arguments: str) -> str:
        return git(folder, *arguments, token=self.token("maintainer"))


def git(folder: Path, *arguments: str, token: str, login: str = "maintainer") -> str:
    """A git command of one of the team, by nothing of the machine's own settings."""
    people = [f"GIT_{who}" for who in ("AUTHOR", "COMMITTER")]
    environment = {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"{each}_NAME": login for each in people},
        **{f"{each}_EMAIL": f"{login}@users.noreply.github.test" for each in people},
    }
    return plain_git.run(folder, *arguments, token=token, environment=environment)


def _committed(root: Path, under: str = ".") -> list[Path]:
    """Files git knows, as they are in the checkout now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", under],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=True,
    ).stdout.split("\0")
    return [Path(name) for name in listed if name and (root / name).is_file()]
