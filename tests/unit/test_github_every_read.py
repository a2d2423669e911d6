"""Every GET endpoint answers as GitHub describes it, on a repository where something of each is.

A new endpoint is among them by itself; the test fails for a variable of a path nobody filled.
"""

import re
from pathlib import Path
from typing import Any

from github.EnvironmentDeploymentBranchPolicy import EnvironmentDeploymentBranchPolicyParams

from sandbox.github import seeds
from sandbox.github.actions import jobs, records
from sandbox.github.routing import collect
from tests.unit.github_hub import FULL_NAME, ORGANIZATION, Served, app_key, serving

# Endpoints whose answer here is not 200, or that an app's or a run's token asks.
OTHER = {
    "/repos/{}/{}/branches/{}/protection": 404,
    "/repos/{}/{}/pulls/{}/merge": 404,
    "/repos/{}/{}/assignees/{}": 204,
    "/repos/{}/{}/collaborators/{}": 204,
    "/repos/{}/{}/tarball/{}": 302,
    "/repos/{}/{}/zipball/{}": 302,
    "/repos/{}/{}/actions/jobs/{}/logs": 302,
    "/repos/{}/{}/actions/runs/{}/logs": 302,
    "/repos/{}/{}/actions/runs/{}/attempts/{}/logs": 302,
    "/installation/repositories": 403,
}
APPS = ("/app", "/repos/{owner}/{repo}/installation", "/orgs/{org}/installation")


def history(served: Served) -> dict[str, Any]:
    """Commits, tags, a pull request with all that hangs on it, a release."""
    repo = served.repo
    sha = repo.create_file("README.md", "first", "hello\n")["commit"].sha
    repo.create_git_ref("refs/heads/side", sha)
    repo.create_file("b", "second", "two\n", branch="side")
    blob = repo.create_git_blob("x", "utf-8")
    tag = repo.create_git_tag("v0", "zero", sha, "commit")
    repo.create_git_ref("refs/tags/v0", tag.sha)
    pull = repo.create_pull("main", "side", title="A pull", body="why")
    review = pull.create_review(event="COMMENT", body="hm")
    beside = pull.create_review_comment("here", repo.get_commit(pull.head.sha), "b", line=1)
    milestone = repo.create_milestone("one")
    comment = repo.get_issue(pull.number).create_comment("said")
    pull.add_to_labels("bug")
    release = repo.create_git_release("v1", "One", "new", target_commitish="main")
    repo.get_commit(sha).create_status("success", context="build")
    under = repo.get_commit(sha).create_comment("nice")
    token = served.hub.tokens.mint(
        f"{seeds.APP}[bot]", "installation", permissions={"checks": "write"},
        repositories=[FULL_NAME],
    )  # fmt: skip
    app = served.client(token=token).get_repo(FULL_NAME)
    check = app.create_check_run("test", sha, status="completed", conclusion="success")
    return {
        "commit_sha": sha, "file_sha": blob.sha, "tag_sha": tag.sha, "tree_sha": "main",
        "ref": "heads/main", "branch": "main", "basehead": "main...side", "path": "README.md",
        "pull_number": pull.number, "issue_number": pull.number, "review_id": review.id,
        "milestone_number": milestone.number, "comment_id": comment.id, "tag": "v1",
        "release_id": release.id, "check_run_id": check.id, "check_suite_id": check.check_suite.id,
        "name": "bug", "/pulls/comments": beside.id, "}/comments": under.id,
    }  # fmt: skip


def settings(served: Served) -> dict[str, Any]:
    """An environment with all it can have, rules, a team, what the organisation keeps."""
    repo, organization = served.repo, served.client().get_organization(ORGANIZATION)
    custom = EnvironmentDeploymentBranchPolicyParams(False, True)
    environment = repo.create_environment("dev/x", deployment_branch_policy=custom)
    path = f"/repos/{FULL_NAME}/environments/dev%2Fx/deployment-branch-policies"
    policy = served.raw.post(path, json={"name": "main"}).json()
    for owner in (environment, repo, organization):
        owner.create_secret("SECRET", "x")
        owner.create_variable("SECRET", "y")
    deployment = repo.create_deployment("main", environment="dev/x", required_contexts=[])
    status = deployment.create_status("success", environment_url="https://dev.example.test")
    body = {"name": "main", "enforcement": "active", "rules": [{"type": "deletion"}]}
    conditions = {"conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}}}
    ruleset = served.raw.post(f"/repos/{FULL_NAME}/rulesets", json={**body, **conditions}).json()
    team = organization.create_team("mappers", privacy="closed")
    return {
        "environment_name": "dev%2Fx", "branch_policy_id": policy["id"], "secret_name": "SECRET",
        "deployment_id": deployment.id, "status_id": status.id, "ruleset_id": ruleset["id"],
        "team_slug": team.slug, "username": "maintainer", "assignee": "developer",
        "repository_id": repo.id, "installation_id": app_key()["installation_id"],
    }  # fmt: skip


def a_run(served: Served, sha: str) -> dict[str, Any]:
    """A workflow's run with a job that has printed something."""
    hub = served.hub
    workflow = records.workflow(hub, FULL_NAME, ".github/workflows/ci.yml", "CI")
    run = records.new_run(
        hub, FULL_NAME, workflow, event="push", ref="refs/heads/main", sha=sha, head_sha=sha,
        head_branch="main", display_title="first", actor="developer", payload={},
        triggering_actor="developer", status="completed", conclusion="success",
    )  # fmt: skip
    job = records.new_job(
        hub, run, key="test", name="test", status="completed", conclusion="success",
        started_at=hub.now(), completed_at=hub.now(),
    )  # fmt: skip
    log = jobs.log_of(hub, job)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("done\n")
    return {
        "run_id": run["id"], "job_id": job["id"], "workflow_id": workflow["id"],
        "attempt_number": 1,
    }  # fmt: skip


def filled(template: str, values: dict[str, Any]) -> str:
    names = {**values, "owner": ORGANIZATION, "repo": "fieldwork", "org": ORGANIZATION}
    # Secrets and variables have one name here, labels another; commits no `heads/` before them.
    if "/variables/" in template:
        names["name"] = "SECRET"
    if "/git/ref" not in template and "/git/matching" not in template:
        names["ref"] = "main"
    # Comments are of three kinds.
    for place in ("/pulls/comments", "}/comments"):
        if f"{place}/{{comment_id}}" in template:
            names["comment_id"] = names[place]
    return re.sub(r"\{(\w+)\}", lambda found: str(names[found[1]]), template)


def test_every_read_answers_as_it_is_described(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        organization = served.client().get_organization(ORGANIZATION)
        repo = organization.create_repo("fieldwork", private=True)
        repo.add_to_collaborators("developer", "push")
        values = {**history(served), **settings(served)}
        values |= a_run(served, values["commit_sha"])
        signed = served.http(token=served.signed())
        wrong = []
        for endpoint in collect():
            if endpoint.method != "GET":
                continue
            asking = signed if endpoint.template.startswith(APPS) else served.raw
            path = filled(endpoint.template, values)
            answer = asking.get(path)
            wanted = OTHER.get(re.sub(r"\{\w+\}", "{}", endpoint.template), 200)
            if answer.status_code != wanted:
                wrong.append(f"{path}: {answer.status_code} and not {wanted}: {answer.text[:200]}")
        assert wrong == []
