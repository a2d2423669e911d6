"""Environments, secrets and variables, driven by PyGithub."""

from concurrent.futures import ThreadPoolExecutor

import github
import pytest
from github.EnvironmentDeploymentBranchPolicy import EnvironmentDeploymentBranchPolicyParams
from github.EnvironmentProtectionRuleReviewer import ReviewerParams

from sandbox.github import environments
from tests.unit.github_hub import FULL_NAME, ORGANIZATION, Served, refused
from tests.unit.github_hub import served as served


def test_an_environment_has_reviewers_who_are_people(served: Served) -> None:
    reviewer = served.client().get_user("reviewer")
    made = served.repo.create_environment(
        "prod", wait_timer=5, reviewers=[ReviewerParams("User", reviewer.id)],
        prevent_self_review=True,
    )  # fmt: skip
    rules = {rule.type: rule for rule in made.protection_rules}
    assert rules["wait_timer"].wait_timer == 5
    assert rules["required_reviewers"].prevent_self_review is True
    assert [r.reviewer.login for r in rules["required_reviewers"].reviewers] == ["reviewer"]
    assert [e.name for e in served.repo.get_environments()] == ["prod"]
    nobody = [ReviewerParams("User", 1)]
    refused(422, served.repo.create_environment, "prod", reviewers=nobody)


def test_an_environment_admits_the_branches_and_tags_of_its_policies_only(served: Served) -> None:
    custom = EnvironmentDeploymentBranchPolicyParams(False, True)
    served.repo.create_environment("feature/demo", deployment_branch_policy=custom)
    path = f"/repos/{FULL_NAME}/environments/feature%2Fdemo/deployment-branch-policies"
    assert served.raw.post(path, json={"name": "feature-demo/*"}).status_code == 200
    tag = served.raw.post(path, json={"name": "v*", "type": "tag"}).json()
    assert served.raw.post(path, json={"name": "v*", "type": "tag"}).status_code == 303

    def admitted(ref: str) -> bool:
        found = environments.environment_of(served.hub, FULL_NAME, "Feature/Demo")
        assert found
        return environments.admits(found, ref)

    assert admitted("refs/heads/feature-demo/x")
    assert not admitted("refs/heads/feature-demo/x/y")
    assert not admitted("refs/heads/v1")
    assert admitted("refs/tags/v1")
    assert served.raw.delete(f"{path}/{tag['id']}").status_code == 204
    assert not admitted("refs/tags/v1")
    assert not admitted("refs/pull/3/merge")
    listed = served.raw.get(path).json()
    assert [p["name"] for p in listed["branch_policies"]] == ["feature-demo/*"]


def test_an_environment_without_a_list_of_its_own_takes_no_policy(served: Served) -> None:
    served.repo.create_environment("dev")
    path = f"/repos/{FULL_NAME}/environments/dev/deployment-branch-policies"
    assert served.raw.post(path, json={"name": "main"}).status_code == 404
    found = environments.environment_of(served.hub, FULL_NAME, "dev")
    assert found
    assert environments.admits(found, "refs/heads/anything")


def test_a_secret_is_sealed_by_its_client_and_opened_for_jobs_alone(served: Served) -> None:
    served.repo.create_secret("token", "for all", "actions")
    environment = served.repo.create_environment("prod")
    environment.create_secret("TOKEN", "for prod")
    environment.create_secret("DEPLOY_KEY", "line 1\nline 2\n")
    assert environments.secrets_of(served.hub, FULL_NAME) == {"TOKEN": "for all"}
    assert environments.secrets_of(served.hub, FULL_NAME, "prod") == {
        "TOKEN": "for prod",
        "DEPLOY_KEY": "line 1\nline 2\n",
    }
    assert sorted(s.name for s in environment.get_secrets()) == ["DEPLOY_KEY", "TOKEN"]
    told = served.raw.get(f"/repos/{FULL_NAME}/environments/prod/secrets/DEPLOY_KEY").json()
    assert set(told) == {"name", "created_at", "updated_at"}


def test_both_forms_of_an_environments_path_name_the_same_secrets(served: Served) -> None:
    environment = served.repo.create_environment("feature/demo")
    environment.create_secret("KEY", "x")
    older = f"/repositories/{served.repo.id}/environments/feature%2Fdemo/secrets"
    newer = f"/repos/{FULL_NAME}/environments/feature%2Fdemo/secrets"
    assert served.raw.get(older).json() == served.raw.get(newer).json()
    keys = {served.raw.get(f"{path}/public-key").json()["key"] for path in (older, newer)}
    assert len(keys) == 1


def test_secrets_that_are_set_at_once_are_sealed_with_one_key(served: Served) -> None:
    path = f"/repos/{FULL_NAME}/actions/secrets/public-key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: served.raw.get(path).text, range(16)))
    assert len(keys) == 1


def test_what_cannot_be_opened_is_refused_and_an_unknown_key_too(served: Served) -> None:
    path = f"/repos/{FULL_NAME}/actions/secrets"
    key_id = served.raw.get(f"{path}/public-key").json()["key_id"]
    for sealed, key in (("bm90IHNlYWxlZA==", key_id), ("%%%", key_id), ("bm90IHNlYWxlZA==", "1")):
        body = {"encrypted_value": sealed, "key_id": key}
        assert served.raw.put(f"{path}/NAME", json=body).status_code == 422
    assert environments.secrets_of(served.hub, FULL_NAME) == {}


@pytest.mark.parametrize("name", ["GITHUB_X", "1A", "A-B", "A B"])
def test_a_name_that_no_job_could_read_is_refused(served: Served, name: str) -> None:
    refused(422, served.repo.create_variable, name, "x")


def test_variables_of_the_environment_go_before_those_of_the_repository(served: Served) -> None:
    organization = served.client().get_organization(ORGANIZATION)
    organization.create_variable("REGION", "fsn1", "all")
    organization.create_variable("PLACE", "here", "all")
    served.repo.create_variable("PLACE", "repository")
    served.repo.create_environment("dev").create_variable("PLACE", "environment")
    assert environments.variables_of(served.hub, FULL_NAME) == {
        "REGION": "fsn1",
        "PLACE": "repository",
    }
    assert environments.variables_of(served.hub, FULL_NAME, "dev")["PLACE"] == "environment"
    variable = served.repo.get_variable("place")
    assert variable.edit("changed")
    assert served.repo.get_variable("PLACE").value == "changed"
    refused(409, served.repo.create_variable, "PLACE", "again")
    variable.delete()
    with pytest.raises(github.UnknownObjectException):
        served.repo.get_variable("PLACE")


def test_a_deleted_environment_takes_its_secrets_and_policies_with_it(served: Served) -> None:
    custom = EnvironmentDeploymentBranchPolicyParams(False, True)
    environment = served.repo.create_environment("demo", deployment_branch_policy=custom)
    environment.create_secret("KEY", "x")
    environment.create_variable("URL", "y")
    path = f"/repos/{FULL_NAME}/environments/demo/deployment-branch-policies"
    served.raw.post(path, json={"name": "demo"})
    served.repo.delete_environment("demo")
    again = served.repo.create_environment("demo", deployment_branch_policy=custom)
    assert list(again.get_secrets()) == []
    assert list(again.get_variables()) == []
    assert served.raw.get(path).json()["total_count"] == 0


def test_who_may_only_write_neither_makes_nor_removes_an_environment(served: Served) -> None:
    served.repo.create_environment("dev")
    developers = served.client("developer").get_repo(FULL_NAME)
    assert [e.name for e in developers.get_environments()] == ["dev"]
    refused(403, developers.create_environment, "other")
    refused(403, developers.delete_environment, "dev")
    refused(404, served.client("outsider").get_repo, FULL_NAME)


def test_a_workflows_token_reads_no_secret_and_makes_no_environment(served: Served) -> None:
    everything = {"actions": "write", "contents": "write", "secrets": "write"}
    token = served.hub.tokens.mint(
        "github-actions[bot]", "workflow", repositories=[FULL_NAME],
        permissions={**everything, "administration": "write", "environments": "write"},
    )  # fmt: skip
    repo = served.client(token=token).get_repo(FULL_NAME)
    served.repo.create_environment("dev")
    assert repo.get_environment("dev").name == "dev"
    words = "Resource not accessible by integration"
    assert refused(403, repo.create_environment, "x") == words
    assert refused(403, repo.create_variable, "X", "y") == words
    assert refused(403, repo.get_environment("dev").create_secret, "X", "y") == words
