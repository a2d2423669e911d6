"""Secrets and variables in each place that has them, by both forms of an environment's path."""

import base64

import pytest
from nacl.public import PublicKey, SealedBox

from sandbox.github import environments
from tests.unit.github_hub import FULL_NAME, ORGANIZATION, Served
from tests.unit.github_hub import served as served

PLACES = {
    "repository": f"/repos/{FULL_NAME}/actions",
    "environment": f"/repos/{FULL_NAME}/environments/demo%2Fx",
    "environment by number": "/repositories/{id}/environments/demo%2Fx",
    "organisation": f"/orgs/{ORGANIZATION}/actions",
}


@pytest.fixture
def under(served: Served, request: pytest.FixtureRequest) -> str:
    served.repo.create_environment("demo/x")
    return PLACES[request.param].format(id=served.repo.id)


@pytest.mark.parametrize("under", PLACES, indirect=True)
def test_a_secret_is_set_changed_and_removed(served: Served, under: str) -> None:
    key = served.raw.get(f"{under}/secrets/public-key").json()
    box = SealedBox(PublicKey(base64.b64decode(key["key"])))

    def put(value: str) -> int:
        sealed = base64.b64encode(box.encrypt(value.encode())).decode()
        body = {"encrypted_value": sealed, "key_id": key["key_id"]}
        if under.startswith("/orgs/"):
            body["visibility"] = "all"
        return served.raw.put(f"{under}/secrets/TOKEN", json=body).status_code

    def seen() -> str | None:
        return environments.secrets_of(served.hub, FULL_NAME, "demo/x").get("TOKEN")

    assert (put("one"), seen()) == (201, "one")
    assert (put("two"), seen()) == (204, "two")
    assert served.raw.delete(f"{under}/secrets/token").status_code == 204
    assert seen() is None
    assert served.raw.delete(f"{under}/secrets/token").status_code == 404


@pytest.mark.parametrize("under", PLACES, indirect=True)
def test_a_variable_is_made_changed_and_removed(served: Served, under: str) -> None:
    def seen() -> dict[str, str]:
        return environments.variables_of(served.hub, FULL_NAME, "demo/x")

    body = {"name": "place", "value": "here"}
    if under.startswith("/orgs/"):
        body["visibility"] = "all"
    assert served.raw.post(f"{under}/variables", json=body).status_code == 201
    assert seen() == {"PLACE": "here"}
    changed = served.raw.patch(f"{under}/variables/PLACE", json={"value": "there"})
    assert (changed.status_code, seen()) == (204, {"PLACE": "there"})
    assert served.raw.delete(f"{under}/variables/PLACE").status_code == 204
    assert seen() == {}


def test_what_an_organisation_keeps_is_for_its_owners_and_for_whom_they_say(served: Served) -> None:
    under = f"/orgs/{ORGANIZATION}/actions/variables"
    other = served.client().get_organization(ORGANIZATION).create_repo("other", private=True)
    body = {"name": "A", "value": "1", "visibility": "selected"}
    chosen = {**body, "selected_repository_ids": [other.id]}
    assert served.raw.post(under, json=chosen).status_code == 201
    assert environments.variables_of(served.hub, FULL_NAME) == {}
    assert environments.variables_of(served.hub, other.full_name) == {"A": "1"}
    for who in ("developer", "outsider"):
        assert served.http(who).post(under, json={**body, "name": "B"}).status_code == 403


def test_a_policys_pattern_is_exchanged(served: Served) -> None:
    path = f"/repos/{FULL_NAME}/environments/dev"
    rule = {"protected_branches": False, "custom_branch_policies": True}
    served.raw.put(path, json={"deployment_branch_policy": rule})
    policies = f"{path}/deployment-branch-policies"
    made = served.raw.post(policies, json={"name": "main"}).json()
    changed = served.raw.put(f"{policies}/{made['id']}", json={"name": "release/*"}).json()
    assert changed == {**made, "name": "release/*"}
    found = environments.environment_of(served.hub, FULL_NAME, "dev")
    assert found
    assert environments.admits(found, "refs/heads/release/1")
    assert not environments.admits(found, "refs/heads/main")


def test_a_person_makes_a_repository_of_their_own(served: Served) -> None:
    made = served.client("developer").get_user().create_repo("mine", private=True)
    assert made.full_name == "developer/mine"
    assert made.permissions.admin
    assert served.raw.get("/repos/developer/mine").status_code == 404
