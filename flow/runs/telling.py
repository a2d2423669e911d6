"""What a run tells on GitHub: a deployment with its address, and a comment on a demo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from github import Auth, Github, GithubException
from github.Repository import Repository

from components import naming
from flow import terminal
from flow.runs.run import Run

_SECONDS = 20
# Of every demo's deployments. GitHub makes an environment of each name it is told of, and only an
# administrator's token could remove it again, which no demo's run has.
DEMOS = "feature-demo"


def _where(stack: str) -> dict[str, str]:
    """What tells the deployments of one stack from all others."""
    if naming.stage_of_stack(stack) == "demo":
        return {"environment": DEMOS, "task": f"deploy:{stack}"}
    return {"environment": stack, "task": "deploy"}


class Telling:
    """The run's repository, through the run's own token.

    What cannot be told does not fail a deploy: a line says what was not.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._repository: Repository | None = None
        if run.token:
            client = Github(
                auth=Auth.Token(run.token),
                base_url=run.api,
                timeout=_SECONDS,
                retry=None,
                # A few calls a deploy, which somebody waits for.
                seconds_between_requests=None,
                seconds_between_writes=None,
                lazy=True,  # asks nothing that is not needed
            )
            self._repository = client.get_repo(run.repository)

    @contextmanager
    def deployment(self, stack: str) -> Iterator[dict[str, str]]:
        """A deployment of `stack` for as long as the block runs, then a success or a failure.

        The block puts `url` and, for people, `told` into what it is handed.
        """
        result: dict[str, str] = {}
        made = self._try("a deployment", lambda repository: repository.create_deployment(
            ref=self._run.sha,
            **_where(stack),
            auto_merge=False,
            required_contexts=[],
            description=f"version {self._run.version}",
            transient_environment=naming.stage_of_stack(stack) == "demo",
            production_environment=naming.stage_of_stack(stack) == "prod",
        ))  # fmt: skip
        self._state(made, "in_progress", result)
        try:
            yield result
        except BaseException:
            self._state(made, "failure", result)
            raise
        self._state(made, "success", result)

    def ended(self, stack: str) -> None:
        """The deployments of a stack that is gone are inactive."""

        def end(repository: Repository) -> None:
            for each in repository.get_deployments(**_where(stack)):
                each.create_status(state="inactive", description="the demo has ended")

        self._try("the end of its deployments", end)

    def comment(self, stack: str, branch: str, text: str) -> None:
        """Tell a demo's people: on its branch's pull request, renewed; else on its last commit.

        text  Markdown
        """
        mark = f"<!-- deployment-flow: {stack} -->"
        body = f"{mark}\n{text}"

        def write(repository: Repository) -> None:
            owner = self._run.repository.partition("/")[0]
            head = f"{owner}:{branch}"
            pulls = list(repository.get_pulls(state="open", head=head))
            if not pulls:
                repository.get_branch(branch).commit.create_comment(body)
                return
            for comment in pulls[0].as_issue().get_comments():
                # Anybody can write the mark; who renewed theirs would sign what they say later.
                if comment.body.startswith(mark) and comment.user.type == "Bot":
                    comment.edit(body)
                    return
            pulls[0].create_issue_comment(body)

        self._try("a comment", write)

    def _state(self, deployment: Any, state: str, result: dict[str, str]) -> None:
        if deployment is None:
            return
        self._try(
            f"the deployment's state {state}",
            lambda _repository: deployment.create_status(
                state=state,
                target_url=self._run.address,
                environment_url=result.get("url", "") if state == "success" else "",
                description=result.get("told", "")[:140],
            ),
        )

    def _try(self, what: str, work: Any) -> Any:
        if self._repository is None:
            return None
        try:
            return work(self._repository)
        except (GithubException, OSError) as error:
            terminal.say(f"warning: GitHub was not told of {what}: {error}")
            return None
