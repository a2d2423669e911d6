"""PyGithub drives every endpoint that writes, in the order a team's day has it.

Each request and each answer is compared with the API's description as it is given. An endpoint
counts as driven once it answered a request of the client with 2xx; a new one that nothing here
drives fails the test, and so does an entry of the list below for what the client has a method for.
What reads is asked one by one in test_github_every_read.py.
"""

import re
from pathlib import Path
from typing import Any

import github
from github import InputGitTreeElement
from github.EnvironmentDeploymentBranchPolicy import EnvironmentDeploymentBranchPolicyParams
from github.EnvironmentProtectionRuleReviewer import ReviewerParams

from sandbox.github import seeds, spec
from sandbox.github.actions import records
from sandbox.github.routing import collect
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, ORGANIZATION, Served, app_key
from tests.unit.github_hub import served as served

_POLICIES = "/repos/{owner}/{repo}/environments/{environment_name}/deployment-branch-policies"
_RUNS = "/repos/{owner}/{repo}/actions/runs/{run_id}"
_BY_NUMBER = "/repositories/{repository_id}/environments/{environment_name}"
# What the client has no method for goes through its `requester`; why it has none.
WITHOUT_METHOD = {
    ("POST", _POLICIES): "the client sets no patterns of an environment",
    ("PUT", _POLICIES + "/{branch_policy_id}"): "the same",
    ("DELETE", _POLICIES + "/{branch_policy_id}"): "the same",
    **dict.fromkeys(
        [
            ("POST", "/repos/{owner}/{repo}/rulesets"),
            ("PUT", "/repos/{owner}/{repo}/rulesets/{ruleset_id}"),
            ("DELETE", "/repos/{owner}/{repo}/rulesets/{ruleset_id}"),
        ],
        "the client knows no rulesets",
    ),
    **dict.fromkeys(
        [
            ("PUT", "/repos/{owner}/{repo}/actions/permissions"),
            ("PUT", "/repos/{owner}/{repo}/actions/permissions/access"),
            ("PUT", "/repos/{owner}/{repo}/actions/permissions/workflow"),
        ],
        "the client knows no permissions of Actions",
    ),
    ("POST", f"{_RUNS}/force-cancel"): "the client cancels in good order alone",
    ("POST", f"{_RUNS}/pending_deployments"): "the client agrees to nothing",
    ("POST", "/repos/{owner}/{repo}/actions/jobs/{job_id}/rerun"): "the client runs runs again",
    ("DELETE", "/repos/{owner}/{repo}/deployments/{deployment_id}"): "the client deletes none",
    (
        "POST",
        "/repos/{owner}/{repo}/pulls/{pull_number}/reviews/{review_id}/events",
    ): "the client hands a review in as it makes it",
    **dict.fromkeys(
        [
            ("PUT", f"{_BY_NUMBER}/secrets/{{secret_name}}"),
            ("DELETE", f"{_BY_NUMBER}/secrets/{{secret_name}}"),
            ("POST", f"{_BY_NUMBER}/variables"),
            ("PATCH", f"{_BY_NUMBER}/variables/{{name}}"),
            ("DELETE", f"{_BY_NUMBER}/variables/{{name}}"),
        ],
        "an older form, which Terraform's provider uses",
    ),
}


def methods() -> set[tuple[str, str]]:
    """The endpoints the client has methods for, as these say themselves."""
    files = Path(github.__file__).parent.glob("*.py")
    told = re.compile(r":calls: `(GET|POST|PUT|PATCH|DELETE) (/\S+)")
    return {
        (method, spec.nameless(path))
        for file in files
        for method, path in told.findall(file.read_text())
    }


def by_path(client: Any, method: str, template: str, body: Any = None, **names: Any) -> Any:
    """Ask for a path the client has no method for; the JSON of its answer."""
    assert (method, template) in WITHOUT_METHOD
    owner, repo = FULL_NAME.split("/")
    path = template.format(owner=owner, repo=repo, **names)
    return client.requester.requestJsonAndCheck(method, path, input=body)[1]


def drive_organization(served: Served, client: Any) -> None:
    """What an organisation keeps for its repositories, its teams, and an app's token."""
    organization = client.get_organization(ORGANIZATION)
    organization.create_secret("SECRET", "x")
    organization.get_secret("SECRET").delete()
    organization.create_variable("VARIABLE", "x")
    organization.get_variable("VARIABLE").edit("y", visibility="all")
    assert organization.get_variable("VARIABLE").value == "y"
    organization.get_variable("VARIABLE").delete()
    team = organization.create_team("mappers", privacy="closed")
    developer = client.get_user("developer")
    team.add_membership(developer, role="member")
    assert sorted(each.login for each in team.get_members()) == ["developer", "maintainer"]
    team.remove_membership(developer)
    assert [each.login for each in team.get_members()] == ["maintainer"]
    team.update_team_repository(served.repo, "push")
    team.delete()
    assert list(organization.get_teams()) == []
    key = app_key()
    auth = github.Auth.AppAuth(key["id"], key["private_key"])
    integration = github.GithubIntegration(auth=auth, base_url=f"{served.url}/api/v3")
    assert integration.get_access_token(key["installation_id"]).token.startswith("ghs_")
    integration.close()


def drive_repositories(served: Served, client: Any) -> None:
    """Repositories made, changed, copied and deleted, and who may work in one."""
    own = client.get_user().create_repo("own")
    own.edit(allow_squash_merge=False, description="mine")
    assert client.get_repo(own.full_name).allow_squash_merge is False
    own.delete()
    client.get_organization(ORGANIZATION).create_repo("second").delete()
    repo = served.repo
    repo.add_to_collaborators("outsider", "pull")
    repo.remove_from_collaborators("outsider")
    assert not repo.has_in_collaborators("outsider")
    copy = served.client("developer").get_repo(FULL_NAME).create_fork()
    assert copy.full_name == "developer/fieldwork"
    body: dict[str, Any] = {"enabled": True, "allowed_actions": "all"}
    by_path(client, "PUT", "/repos/{owner}/{repo}/actions/permissions", body)
    body = {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": True}
    by_path(client, "PUT", "/repos/{owner}/{repo}/actions/permissions/workflow", body)
    body = {"access_level": "organization"}
    by_path(client, "PUT", "/repos/{owner}/{repo}/actions/permissions/access", body)


def drive_history(repo: Any) -> str:
    """Files, and what git has: blobs, trees, commits, tags, branches. The newest commit."""
    made = repo.create_file("README.md", "first", "hello\n")
    repo.update_file("README.md", "second", "hello all\n", made["content"].sha)
    sha: str = repo.create_file("gone", "third", "x\n")["commit"].sha
    repo.delete_file("gone", "fourth", repo.get_contents("gone").sha)
    head = repo.get_git_commit(repo.get_branch("main").commit.sha)
    blob = repo.create_git_blob("x", "utf-8")
    element = InputGitTreeElement("by-hand", "100644", "blob", sha=blob.sha)
    tree = repo.create_git_tree([element], head.tree)
    commit = repo.create_git_commit("by hand", tree, [head])
    ref = repo.create_git_ref("refs/heads/by-hand", head.sha)
    ref.edit(commit.sha)
    assert repo.rename_branch("by-hand", "with-care")
    repo.merge("main", "with-care")
    repo.get_git_ref("heads/with-care").delete()
    tag = repo.create_git_tag("v0", "zero", sha, "commit")
    repo.create_git_ref("refs/tags/v0", tag.sha)
    assert "by-hand" in [each.path for each in repo.get_contents("")]
    return sha


def drive_commit(served: Served, sha: str) -> None:
    """What is said of a commit: comments, a status, a check."""
    commit = served.repo.get_commit(sha)
    comment = commit.create_comment("nice")
    comment.edit("nicer")
    assert served.repo.get_comment(comment.id).body == "nicer"
    comment.delete()
    commit.create_status("success", context="build")
    token = served.hub.tokens.mint(
        f"{seeds.APP}[bot]", "installation", permissions={"checks": "write"},
        repositories=[FULL_NAME],
    )  # fmt: skip
    app = served.client(token=token).get_repo(FULL_NAME)
    check = app.create_check_run("test", sha, status="in_progress")
    check.edit(status="completed", conclusion="success")
    assert [each.conclusion for each in commit.get_check_runs()] == ["success"]


def drive_issues(repo: Any) -> None:
    """An issue with labels, people, a milestone and a comment, and the end of each."""
    label = repo.create_label("blocker", "ff0000")
    label.edit("release-blocker", "ee0000", "holds up production")
    milestone = repo.create_milestone("one")
    milestone.edit("two")
    issue = repo.create_issue("It breaks")
    issue.edit(body="always", milestone=milestone)
    issue.add_to_labels("release-blocker")
    issue.set_labels("bug", "release-blocker")
    issue.remove_from_labels("bug")
    assert [each.name for each in repo.get_issue(issue.number).labels] == ["release-blocker"]
    issue.delete_labels()
    issue.add_to_assignees("developer")
    issue.remove_from_assignees("developer")
    comment = issue.create_comment("said")
    comment.edit("said again")
    comment.delete()
    milestone.delete()
    repo.get_label("release-blocker").delete()
    issue.edit(state="closed")
    assert repo.get_issue(issue.number).state == "closed"


def drive_pulls(served: Served, client: Any) -> None:
    """A pull request: asked, reviewed, kept up to date, merged."""
    repo = served.repo
    push(served, "side", {"b": "two\n"})
    mine = served.client("developer").get_repo(FULL_NAME)
    pull = mine.create_pull("main", "side", title="A pull", body="why")
    pull.edit(title="A better pull")
    pull = repo.get_pull(pull.number)
    pull.create_review_request(reviewers=["reviewer"])
    pull.delete_review_request(reviewers=["reviewer"])
    head = repo.get_commit(pull.head.sha)
    pull.create_review_comment("here", head, "b", line=1).delete()
    review = pull.create_review(body="hm")  # a draft, as no event is given
    review.edit("hm, yes")
    template = "/repos/{owner}/{repo}/pulls/{pull_number}/reviews/{review_id}/events"
    names = {"pull_number": pull.number, "review_id": review.id}
    assert by_path(client, "POST", template, {"event": "APPROVE"}, **names)["state"] == "APPROVED"
    pull.get_review(review.id).dismiss("changed since")
    pull.create_review(body="never mind").delete()
    repo.create_file("meanwhile", "fifth", "x\n")
    assert pull.update_branch()
    assert repo.get_pull(pull.number).merge().merged


def drive_releases(repo: Any) -> None:
    """A release's notes, and a release until it is no more."""
    assert repo.generate_release_notes("v1").name == "v1"
    release = repo.create_git_release("v1", "One", "new", target_commitish="main")
    release = release.update_release("One", "newer")
    assert repo.get_release("v1").body == "newer"
    release.delete_release()


def drive_rules(client: Any) -> None:
    """A ruleset."""
    body = {
        "name": "main", "enforcement": "active", "rules": [{"type": "deletion"}],
        "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
    }  # fmt: skip
    made = by_path(client, "POST", "/repos/{owner}/{repo}/rulesets", body)
    path, number = "/repos/{owner}/{repo}/rulesets/{ruleset_id}", made["id"]
    changed = by_path(client, "PUT", path, {**body, "enforcement": "disabled"}, ruleset_id=number)
    assert changed["enforcement"] == "disabled"
    by_path(client, "DELETE", path, ruleset_id=number)


def drive_environment(client: Any, repo: Any) -> None:
    """An environment with patterns, secrets and variables; and those of the repository."""
    custom = EnvironmentDeploymentBranchPolicyParams(False, True)
    environment = repo.create_environment("dev", deployment_branch_policy=custom)
    policy = by_path(client, "POST", _POLICIES, {"name": "main"}, environment_name="dev")
    names = {"environment_name": "dev", "branch_policy_id": policy["id"]}
    one = _POLICIES + "/{branch_policy_id}"
    assert by_path(client, "PUT", one, {"name": "dev*"}, **names)["name"] == "dev*"
    by_path(client, "DELETE", one, **names)
    for owner in (environment, repo):
        owner.create_secret("SECRET", "x")
        owner.delete_secret("SECRET")
        owner.create_variable("VARIABLE", "x")
        owner.get_variable("VARIABLE").edit("y")
        assert owner.get_variable("VARIABLE").value == "y"
        owner.delete_variable("VARIABLE")
    key = environment.get_public_key()
    sealed = {"encrypted_value": key.encrypt("x"), "key_id": key.key_id}
    names = {"repository_id": repo.id, "environment_name": "dev"}
    secret = f"{_BY_NUMBER}/secrets/{{secret_name}}"
    by_path(client, "PUT", secret, sealed, **names, secret_name="OLD")
    by_path(client, "DELETE", secret, **names, secret_name="OLD")
    variables, body = f"{_BY_NUMBER}/variables", {"name": "OLD", "value": "x"}
    by_path(client, "POST", variables, body, **names)
    by_path(client, "PATCH", variables + "/{name}", {**body, "value": "y"}, **names, name="OLD")
    by_path(client, "DELETE", variables + "/{name}", **names, name="OLD")
    deployment = repo.create_deployment("main", environment="dev", required_contexts=[])
    deployment.create_status("inactive")
    path = "/repos/{owner}/{repo}/deployments/{deployment_id}"
    by_path(client, "DELETE", path, deployment_id=deployment.id)
    repo.delete_environment("dev")
    assert list(repo.get_environments()) == []


def drive_workflows(served: Served, client: Any) -> None:
    """A workflow switched off and on and started, and its runs."""
    repo = served.repo
    path = ".github/workflows/ci.yml"
    text = "on: workflow_dispatch\njobs: {test: {runs-on: ubuntu-latest, steps: [{run: 'true'}]}}\n"
    repo.create_file(path, "CI", text)
    records.workflow(served.hub, FULL_NAME, path, "CI")
    workflow = repo.get_workflow("ci.yml")
    assert workflow.disable()
    assert workflow.enable()
    assert workflow.create_dispatch("main", throw=True)
    assert repo.create_repository_dispatch("something")
    asked = [ReviewerParams("User", client.get_user("maintainer").id)]
    environment = repo.create_environment("prod", reviewers=asked)
    run, _ = _a_run(served, workflow.id, "in_progress")
    found = repo.get_workflow_run(run)
    assert found.cancel()
    by_path(client, "POST", f"{_RUNS}/force-cancel", run_id=run)
    body = {"environment_ids": [environment.id], "state": "approved", "comment": "go"}
    by_path(client, "POST", f"{_RUNS}/pending_deployments", body, run_id=run)
    run, job = _a_run(served, workflow.id, "completed")
    found = repo.get_workflow_run(run)
    assert found.rerun()
    assert found.rerun_failed_jobs()
    by_path(client, "POST", "/repos/{owner}/{repo}/actions/jobs/{job_id}/rerun", job_id=job)
    assert found.delete()


def _a_run(served: Served, workflow: int, status: str) -> tuple[int, int]:
    """A run with one job: done, or waiting for the reviewers of `prod`; their numbers."""
    hub = served.hub
    sha = served.repo.get_branch("main").commit.sha
    done = status == records.DONE
    record = hub.store.get("workflow", workflow, FULL_NAME)
    assert record is not None
    run = records.new_run(
        hub, FULL_NAME, record, event="push", ref="refs/heads/main", sha=sha, head_sha=sha,
        head_branch="main", display_title="first", actor="developer", payload={},
        triggering_actor="developer", status=status, conclusion="failure" if done else None,
    )  # fmt: skip
    job = records.new_job(
        hub, run, key="test", name="test", status=status if done else "waiting",
        conclusion="failure" if done else None, environment="prod",
    )  # fmt: skip
    return run["id"], job["id"]


def test_the_official_client_drives_every_endpoint_that_writes(served: Served) -> None:
    client = served.client()
    drive_organization(served, client)
    drive_repositories(served, client)
    sha = drive_history(served.repo)
    drive_commit(served, sha)
    drive_issues(served.repo)
    drive_pulls(served, client)
    drive_releases(served.repo)
    drive_rules(client)
    drive_environment(client, served.repo)
    drive_workflows(served, client)
    served.repo.delete()

    writes = {(each.method, each.template) for each in collect() if each.method != "GET"}
    answered = served.app.state.violations.answered
    driven = {(method, template) for method, template, status in answered if status < 300}
    assert sorted(writes - driven) == []
    assert sorted(WITHOUT_METHOD.keys() - writes) == []
    known = methods()
    assert [each for each in WITHOUT_METHOD if (each[0], spec.nameless(each[1])) in known] == []
    assert served.app.state.violations.found == []
