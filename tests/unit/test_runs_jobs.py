"""What a job of a workflow tells GitHub, and what it makes of what GitHub refuses."""

from pathlib import Path
from typing import Any

import pytest

from flow import demos, reaping, webhook
from flow.errors import FlowError
from flow.runs import jobs
from flow.runs.run import Run
from flow.runs.telling import DEMOS, Telling, _where
from sandbox.github.access import BOT
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served
from tests.unit.github_hub import served as served
from tests.unit.promoting import begin, merged

DEMO = "feature-demo/x"
STACK = "feature-demo-x"
URL = "https://x.demo.test"


def a_run(served: Served, sha: str, branch: str = DEMO, **changed: Any) -> Run:
    known: dict[str, Any] = {
        "name": "push",
        "ref": f"refs/heads/{branch}",
        "sha": sha,
        "repository": FULL_NAME,
        "actor": "developer",
        "event": {},
        "address": f"{served.url}/{FULL_NAME}/actions/runs/7",
        "api": f"{served.url}/api/v3",
        "token": served.tokens["maintainer"],
    }
    return Run(**{**known, **changed})


def a_runs_token(served: Served) -> str:
    """A GITHUB_TOKEN, as the demo's job has it."""
    return served.hub.tokens.mint(
        BOT,
        "workflow",
        permissions={"contents": "write", "deployments": "write", "pull-requests": "write"},
        repositories=[FULL_NAME],
    )


@pytest.fixture
def pushed(served: Served) -> str:
    """A commit on a demo's branch."""
    begin(served)
    return push(served, DEMO, start="development")


def states(served: Served, stack: str = STACK) -> list[str]:
    """The states of a stack's newest deployment, oldest first."""
    newest = served.repo.get_deployments(**_where(stack))[0]
    return [each.state for each in newest.get_statuses()][::-1]


def test_a_deploy_is_a_deployment_with_its_address(served: Served, pushed: str) -> None:
    with Telling(a_run(served, pushed)).deployment(STACK) as told:
        assert states(served) == ["in_progress"]
        told.update(url=URL, told="1.2.0 in 9 s")
    assert states(served) == ["in_progress", "success"]
    made = served.repo.get_deployments(**_where(STACK))[0]
    status = made.get_statuses()[0]
    assert (status.environment_url, status.description) == (URL, "1.2.0 in 9 s")
    assert (made.sha, made.transient_environment, made.production_environment) == (
        pushed,
        True,
        False,
    )


def test_a_deploy_that_fails_is_marked_so_and_still_fails(served: Served, pushed: str) -> None:
    telling = Telling(a_run(served, pushed))
    with pytest.raises(FlowError, match="no disk"), telling.deployment(STACK):
        raise FlowError("no disk")
    assert states(served) == ["in_progress", "failure"]
    assert not served.repo.get_deployments(**_where(STACK))[0].get_statuses()[0].environment_url


def test_an_interrupted_deploy_is_marked_failed_too(served: Served, pushed: str) -> None:
    with pytest.raises(KeyboardInterrupt), Telling(a_run(served, pushed)).deployment(STACK):
        raise KeyboardInterrupt
    assert states(served) == ["in_progress", "failure"]


def test_a_demos_end_makes_its_deployments_inactive(served: Served, pushed: str) -> None:
    telling = Telling(a_run(served, pushed))
    for stack in (STACK, "feature-demo-other", "dev"):
        with telling.deployment(stack):
            pass
    telling.ended(STACK)
    assert states(served)[-1] == "inactive"
    assert states(served, "feature-demo-other")[-1] == "success"
    assert states(served, "dev")[-1] == "success"


def test_demos_leave_no_environment_of_their_own_which_no_run_could_remove(
    served: Served, pushed: str
) -> None:
    telling = Telling(a_run(served, pushed, token=a_runs_token(served)))
    for stack in (STACK, "feature-demo-other"):
        with telling.deployment(stack):
            pass
        telling.ended(stack)
    assert [each.name for each in served.repo.get_environments()] == [DEMOS]


def test_a_demos_comment_is_on_its_pull_request_and_renewed(served: Served, pushed: str) -> None:
    pull = served.repo.create_pull(base="development", head=DEMO, title="x", body="")
    mark = pull.create_issue_comment(f"<!-- deployment-flow: {STACK} --> somebody's own")
    telling = Telling(a_run(served, pushed, token=a_runs_token(served)))
    telling.comment(STACK, DEMO, "first")
    telling.comment(STACK, DEMO, "second")
    theirs, comment = pull.get_issue_comments()
    assert (theirs.id, theirs.body) == (mark.id, mark.body)
    assert comment.body.endswith("\nsecond")
    assert list(served.repo.get_commit(pushed).get_comments()) == []


def test_without_a_pull_request_a_demos_comment_is_on_its_last_commit(
    served: Served, pushed: str
) -> None:
    Telling(a_run(served, pushed)).comment(STACK, DEMO, "it is up")
    (comment,) = served.repo.get_commit(pushed).get_comments()
    assert comment.body.endswith("\nit is up")


@pytest.mark.parametrize("token", ["", "ghp_wrong"])
def test_what_github_refuses_to_hear_fails_no_deploy(
    served: Served, pushed: str, token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    telling = Telling(a_run(served, pushed, token=token))
    with telling.deployment(STACK) as told:
        told["url"] = URL
    telling.comment(STACK, DEMO, "it is up")
    telling.ended(STACK)
    said = capsys.readouterr().err
    assert ("GitHub was not told of a deployment" in said) is bool(token)


def test_a_github_that_is_not_there_fails_no_deploy(served: Served, pushed: str) -> None:
    telling = Telling(a_run(served, pushed, api="http://127.0.0.1:9/api/v3"))
    with telling.deployment(STACK) as told:
        told["url"] = URL
    assert told["url"] == URL


def verdict(environment: str, action: reaping.Action, **more: Any) -> reaping.Verdict:
    branch = environment.replace("feature-demo-", "feature-demo/")
    why = f"{action} for a reason"
    return reaping.Verdict(environment, action, why, url=URL, branch=branch, **more)


def test_the_nightly_run_tells_of_every_demo_before_it_fails_for_one(
    served: Served, pushed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(served, pushed, "development", summary=tmp_path / "summary")
    with Telling(run).deployment("feature-demo-old"):
        pass
    found = [verdict("feature-demo-y", "failed"), verdict(STACK, "announced")]
    found.append(verdict("feature-demo-old", "ended", dump="registry.test/dumps:1"))
    monkeypatch.setattr(reaping, "reap", lambda *_: found)
    with pytest.raises(FlowError, match="not ended: feature-demo-y"):
        jobs.reap(run)
    (comment,) = served.repo.get_commit(pushed).get_comments()
    assert "ends soon" in comment.body
    assert "flow demo extend feature-demo/x" in comment.body
    assert states(served, "feature-demo-old")[-1] == "inactive"
    summary = (tmp_path / "summary").read_text()
    assert "| feature-demo-old | ended |" in summary
    assert "registry.test/dumps:1" in summary


def test_the_nightly_run_and_a_deleted_branch_tell_the_webhook(
    served: Served, pushed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str | None]] = []

    def tell(verdicts: list[reaping.Verdict], _: Any) -> str:
        told.extend((each.action, each.dump) for each in verdicts)
        return ""

    monkeypatch.setattr(webhook, "tell", tell)
    monkeypatch.setattr(reaping, "reap", lambda *_: [verdict(STACK, "announced")])
    jobs.reap(a_run(served, pushed, "development"))
    ended = {"gone": False, "dump": "registry.test/dumps:1"}
    monkeypatch.setattr(demos, "end", lambda *_: ended)
    deletion = a_run(served, pushed, "development", name="delete", event={"ref": DEMO})
    jobs.end(deletion)
    assert told == [("announced", None), ("ended", "registry.test/dumps:1")]
    monkeypatch.setattr(demos, "end", lambda *_: {"gone": True, "dump": None})
    jobs.end(deletion)
    assert len(told) == 2


def test_the_back_merge_job_opens_what_is_missing_below(
    served: Served, pushed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_API_URL", f"{served.url}/api/v3")
    monkeypatch.setenv("GITHUB_TOKEN", served.tokens["maintainer"])
    merged(served, "hotfix/login", "fix: the login loop", base="staging")
    jobs.back_merge(a_run(served, pushed, "staging", summary=tmp_path / "summary"))
    (pull,) = served.repo.get_pulls(state="open", base="development")
    assert pull.html_url in (tmp_path / "summary").read_text()
