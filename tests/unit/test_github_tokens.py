"""Tokens: what each kind may, in GitHub's words, and what GitHub tells of them."""

import time
from typing import Any

import github
import jwt
import pytest

from sandbox.github import seeds
from tests.unit.github_hub import FULL_NAME, ORGANIZATION, Served, app_key, refused
from tests.unit.github_hub import served as served


def fine(served: Served, **permissions: str) -> Any:
    token = served.hub.tokens.mint(
        "maintainer", "fine_grained", permissions=permissions, repositories=[FULL_NAME]
    )
    return served.client(token=token)


def test_a_bad_an_expired_and_a_revoked_token_are_bad_credentials(served: Served) -> None:
    mint = served.hub.tokens.mint
    expired = mint("developer", expires=time.time() - 1)
    gone = mint("developer")
    served.hub.tokens.revoke(gone)
    for token in ("ghp_no", expired, gone):
        with pytest.raises(github.BadCredentialsException):
            served.client(token=token).get_user().login  # noqa: B018
    later = served.http(token=mint("developer", expires=time.time() + 9999)).get("/user")
    assert "UTC" in later.headers["github-authentication-token-expiration"]


def test_a_refusal_names_the_permission_that_is_missing(served: Served) -> None:
    repo = fine(served, contents="write").get_repo(FULL_NAME)
    with pytest.raises(github.GithubException) as told:
        repo.create_environment("dev")
    assert told.value.data["message"] == "Resource not accessible by personal access token"
    assert (told.value.headers or {})["x-accepted-github-permissions"] == "administration=write"
    assert fine(served, administration="write").get_repo(FULL_NAME).create_environment("dev")


def test_a_token_reaches_its_repositories_alone(served: Served) -> None:
    other = served.client().get_organization(ORGANIZATION).create_repo("other", private=True)
    refused(404, fine(served, contents="write").get_repo, other.full_name)


def test_a_persons_token_says_its_scopes_and_a_runs_token_is_nobody(served: Served) -> None:
    scopes = served.http("developer").get("/user").headers["x-oauth-scopes"].split(", ")
    assert {"repo", "workflow"} <= set(scopes)
    run = served.hub.tokens.mint(
        "github-actions[bot]", "workflow", permissions={"contents": "write"},
        repositories=[FULL_NAME],
    )  # fmt: skip
    assert served.http(token=run).get("/user").status_code == 403
    assert served.http("").get("/user").status_code == 401
    listed = served.http(token=run).get("/installation/repositories").json()
    assert [r["full_name"] for r in listed["repositories"]] == [FULL_NAME]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/environments/x", {}),
        ("POST", "/rulesets", {"name": "x", "enforcement": "active"}),
        ("POST", "/actions/variables", {"name": "X", "value": "y"}),
        ("GET", "/actions/secrets/public-key", None),
        ("PATCH", "", {"description": "x"}),
    ],
)
def test_what_a_run_can_never_do(
    served: Served, method: str, path: str, body: dict[str, Any] | None
) -> None:
    everything = dict.fromkeys(seeds.APP_PERMISSIONS, "write")
    token = served.hub.tokens.mint(
        "github-actions[bot]", "workflow", permissions=everything, repositories=[FULL_NAME]
    )
    answer = served.http(token=token).request(method, f"/repos/{FULL_NAME}{path}", json=body)
    assert answer.status_code == 403
    assert answer.json()["message"] == "Resource not accessible by integration"
    assert served.http().request(method, f"/repos/{FULL_NAME}{path}", json=body).is_success


def app(served: Served) -> github.GithubIntegration:
    known = app_key()
    auth = github.Auth.AppAuth(known["id"], known["private_key"])
    made = github.GithubIntegration(auth=auth, base_url=f"{served.url}/api/v3")
    served.clients.append(made)
    return made


def test_an_app_signs_for_a_token_whose_pushes_start_workflows(served: Served) -> None:
    integration = app(served)
    assert integration.get_app().slug == seeds.APP
    found = integration.get_repo_installation(ORGANIZATION, "fieldwork")
    assert found.id == app_key()["installation_id"]
    assert [each.id for each in integration.get_installations()] == [found.id]
    token = integration.get_access_token(found.id, {"contents": "write"})
    repo = served.client(token=token.token).get_repo(FULL_NAME)
    served.told()
    repo.create_file("x", "by an app", "y")
    assert [(e.actor, e.by_workflow_token) for e in served.events] == [
        (f"{seeds.APP}[bot]", False)
    ] * 2
    assert repo.get_commits()[0].commit.author.name == f"{seeds.APP}[bot]"
    refused(403, repo.create_environment, "dev")
    everything = served.client(token=integration.get_access_token(found.id).token)
    assert everything.get_repo(FULL_NAME).create_environment("dev")


def test_an_apps_token_can_be_for_one_repository(served: Served) -> None:
    other = served.client().get_organization(ORGANIZATION).create_repo("other", private=True)
    number = app_key()["installation_id"]
    asking = served.http(token=served.signed())
    path = f"/app/installations/{number}/access_tokens"
    made = asking.post(path, json={"repositories": ["other"]}).json()
    assert made["repository_selection"] == "selected"
    limited = served.client(token=made["token"])
    assert limited.get_repo(other.full_name).name == "other"
    refused(404, limited.get_repo, FULL_NAME)
    for body in ({"repositories": ["nothing"]}, {"permissions": {"packages": "write"}}):
        assert asking.post(path, json=body).status_code == 422


@pytest.mark.parametrize("claims", [{"exp": -100}, {"exp": 5000}, {"iss": "7"}, {"sub": "x"}])
def test_a_web_token_that_is_not_quite_right_is_refused(
    served: Served, claims: dict[str, Any]
) -> None:
    now = int(time.time())
    known = app_key()
    payload = {"iat": now - 60, "exp": now + 300, "iss": str(known["id"])}
    payload |= {k: now + v if k == "exp" else v for k, v in claims.items()}
    key = known["private_key"]
    if claims == {"sub": "x"}:
        algorithm, key = "HS256", "not the key, and long enough to be one of its kind"
    else:
        algorithm = "RS256"
    signed = jwt.encode(payload, key, algorithm)
    assert served.http(token=signed).get("/app").status_code in (401, 404)


def test_an_answer_that_has_not_changed_is_not_sent_again(served: Served) -> None:
    path = f"/repos/{FULL_NAME}"
    first = served.raw.get(path)
    tag = {"If-None-Match": first.headers["etag"]}
    again = served.raw.get(path, headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    served.repo.edit(description="changed")
    assert served.raw.get(path, headers=tag).status_code == 200
    assert served.raw.head(path).status_code == 200


def test_what_is_left_of_the_limit_is_told(served: Served) -> None:
    left = served.client().get_rate_limit()
    assert left.rate.remaining > 0
    assert served.http("").get("/zen").text
    fault = {"do": {"rate_limit": 60}, "count": 1}
    served.hub.faults.add(fault)
    with pytest.raises(github.RateLimitExceededException):
        served.client().get_repo(FULL_NAME)


def test_a_team_is_let_into_a_repository_together(served: Served) -> None:
    organization = served.client().get_organization(ORGANIZATION)
    team = organization.create_team("Field Mappers", privacy="closed")
    assert team.slug == "field-mappers"
    team.add_membership(served.client().get_user("outsider"))
    assert {member.login for member in team.get_members()} == {"maintainer", "outsider"}
    assert team.update_team_repository(organization.get_repo("fieldwork"), "push")
    repo = served.client("outsider").get_repo(FULL_NAME)
    assert repo.permissions.push
    assert [t.slug for t in organization.get_teams()] == ["field-mappers"]
    team.remove_membership(served.client().get_user("outsider"))
    team.delete()
    assert list(organization.get_teams()) == []
