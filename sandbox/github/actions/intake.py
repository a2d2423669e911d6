"""From an event to the runs it starts: which files count, and what is known of each run."""

import logging
from dataclasses import replace
from typing import Any

from sandbox.github import payloads
from sandbox.github.access import BOT
from sandbox.github.actions import contexts, records, triggers
from sandbox.github.actions.expressions import Evaluation, ExpressionError, Expressions
from sandbox.github.actions.uses import FileAt
from sandbox.github.actions.workflow import FOLDER, Workflow, WorkflowError, parse
from sandbox.github.git import NONE, Git, GitError
from sandbox.github.hub import Event, Hub
from sandbox.store import Record

log = logging.getLogger(__name__)

# What a fork's pull request starts with its own files: without secrets, and to read alone.
_OF_FORKS = ("pull_request", "pull_request_review", "pull_request_review_comment")


class Intake:
    """Makes the records of runs."""

    def __init__(self, hub: Hub, expressions: Expressions) -> None:
        self._hub = hub
        self._expressions = expressions

    def take(self, event: Event) -> list[Record]:
        """New runs that are to begin; of a file GitHub cannot read, a run that has failed."""
        runs = self._take(event)
        if event.name == "pull_request":
            # The same, with the rights and the files of the repository itself.
            runs += self._take(replace(event, name="pull_request_target"))
        return runs

    def _take(self, event: Event) -> list[Record]:
        repository = self._hub.repository(*event.repository.split("/"))
        # A fork's own runs begin only once its owner has switched them on.
        if not repository.get("actions_enabled", not repository.get("fork_of")):
            return []
        git = self._hub.git(repository)
        ref, sha = event.ref, event.sha
        if event.name in triggers.ON_DEFAULT_BRANCH:
            ref = f"refs/heads/{repository['default_branch']}"
            sha = git.resolve(ref) or ""
        # A pull request that conflicts has no commit to run on, a draft's tag may not be there.
        if not sha or sha == NONE:
            return []
        happening = self._happening(event, ref, sha, git)
        if not triggers.may_start(happening):
            return []
        found = (
            self._consider(repository, event, happening, FileAt(event.repository, sha, path))
            for path in git.names(sha, FOLDER.rstrip("/"))
            if path.endswith((".yml", ".yaml"))
        )
        return [run for run in found if run is not None]

    def _consider(
        self, repository: Record, event: Event, happening: triggers.Happening, file: FileAt
    ) -> Record | None:
        git = self._hub.git(repository)
        content = git.file(file.sha, file.path) or b""
        try:
            workflow = parse(content.decode("utf-8", "replace"), file.path)
        except WorkflowError as error:
            if event.name == "push":  # as GitHub shows it: a run that has failed
                known = records.workflow(self._hub, event.repository, file.path)
                run = self._new_run(repository, event, happening.ref, file.sha, known, None)
                self._hub.store.change(
                    "run", run["id"], status=records.DONE, conclusion="failure", error=str(error)
                )
            return None
        known = records.workflow(self._hub, event.repository, file.path, workflow.title)
        wanted = event.payload.get("workflow") if event.name == "workflow_dispatch" else file.path
        if wanted != file.path or known["state"] != "active":
            return None
        if event.name == "schedule" and event.payload.get("workflow") != file.path:
            return None
        if not triggers.starts(workflow, happening):
            return None
        return self._new_run(repository, event, happening.ref, file.sha, known, workflow)

    def _happening(self, event: Event, ref: str, sha: str, git: Git) -> triggers.Happening:
        pull = event.payload.get("pull_request") or {}
        head = (pull.get("head") or {}).get("sha") or sha
        message = ""
        if event.name in ("push", "pull_request"):
            try:
                message = git.commit(head).message
            except (GitError, IndexError):
                log.warning("%s of %s: there is no commit %s", event.name, event.repository, head)

        def paths() -> list[str]:
            if event.name == "push":
                before = str(event.payload.get("before", NONE))
                base = before if before != NONE else f"{sha}^"
                spec = f"{base}..{sha}"
            else:
                spec = f"{(pull.get('base') or {}).get('sha', sha)}...{head}"
            names = git.run("diff", "--name-only", "-z", spec, "--", check=False)
            return [name for name in names.split("\0") if name]

        return triggers.Happening(
            name=event.name,
            ref=ref,
            action=event.action,
            base=(pull.get("base") or {}).get("ref", ""),
            message=message,
            by_workflow_token=event.by_workflow_token,
            paths=paths,
        )

    def _new_run(
        self,
        repository: Record,
        event: Event,
        ref: str,
        sha: str,
        known: Record,
        workflow: Workflow | None,
    ) -> Record:
        pull = event.payload.get("pull_request") or {}
        head = pull.get("head") or {}
        # A fork that is gone has no name, and is trusted no more for it.
        away = bool(head) and (head.get("repo") or {}).get("full_name") != event.repository
        payload = {
            **payloads.around(self._hub, repository, event.actor or BOT),
            **({"action": event.action} if event.action else {}),
            **event.payload,
        }
        inputs: dict[str, Any] = {}
        if workflow is not None and event.name == "workflow_dispatch":
            declared = workflow.on["workflow_dispatch"]
            inputs = triggers.typed(declared, event.payload.get("inputs") or {})
            payload["workflow"] = known["path"]
        run = records.new_run(
            self._hub,
            event.repository,
            known,
            event=event.name,
            ref=ref,
            sha=sha,
            head_branch=head.get("ref") or ref.split("/", 2)[2],
            head_sha=head.get("sha") or sha,
            actor=event.actor or BOT,
            triggering_actor=event.actor or BOT,
            payload=payload,
            inputs=inputs,
            trusted=not (away and event.name in _OF_FORKS),
            display_title=self._title(repository, event, sha, known),
        )
        if workflow is not None and workflow.run_name:
            self._name(run, workflow.run_name)
        return run

    def _title(self, repository: Record, event: Event, sha: str, known: Record) -> str:
        pull, release = event.payload.get("pull_request"), event.payload.get("release")
        if pull:
            return str(pull.get("title", ""))
        if release:
            return str(release.get("name") or release.get("tag_name", ""))
        if event.name == "push":
            return self._hub.git(repository).commit(sha).message.split("\n")[0]
        return str(known["name"])

    def _name(self, run: Record, template: str) -> None:
        repository = self._hub.repository(*run["project"].split("/"))
        context = {
            "github": contexts.github(self._hub, repository, run),
            "inputs": run["inputs"],
        }
        try:
            title = Evaluation(self._expressions, context).text(template)
        except ExpressionError as error:
            log.warning("run-name of %s: %s", run["path"], error)
            return
        if title.strip():
            self._hub.store.change("run", run["id"], display_title=title.strip())
