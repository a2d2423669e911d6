"""What a GitHub token may not do is named before anything is made, with where to give it."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from components.github_address import rest_url
from planning import github
from settings_model import Github

REPOSITORY = "/api/v3/repos/example-org/fieldwork"
PROBE = f"{REPOSITORY}/environments/deployment-flow-may-i"
ADMIN = {"id": 1, "private": True, "permissions": {"admin": True}}


class Hub(httpx.MockTransport):
    """A GitHub that answers 404 but for what a test gives it: (method, path) → response."""

    def __init__(self) -> None:
        super().__init__(self.answer)
        self.asked: list[tuple[str, str]] = []
        self.answers: dict[tuple[str, str], tuple[int, Any, dict[str, str]]] = {}
        self.give("GET", REPOSITORY, 200, ADMIN)

    def give(self, method: str, path: str, status: int, body: Any = None, **headers: str) -> None:
        """Answer so from now on; `a_b` is the header A-B."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[method, path] = (status, {} if body is None else body, named)

    def refuse(self, method: str, path: str, accepted: str) -> None:
        """Answer as GitHub does to a token without the permission."""
        message = {"message": "Resource not accessible by personal access token"}
        self.give(method, path, 403, message, X_Accepted_GitHub_Permissions=accepted)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What httpx calls."""
        asked = (request.method, request.url.path)
        self.asked.append(asked)
        assert request.headers["authorization"] == "Bearer " + self.token
        status, body, headers = self.answers.get(asked, (404, {"message": "Not Found"}, {}))
        return httpx.Response(status, json=body, headers=headers)

    token = "github_pat_hush"


@pytest.fixture
def hub() -> Hub:
    return Hub()


def settings(hub: Hub, *reviewers: str, configured: bool = False) -> Github:
    return Github(
        owner="example-org",
        repository="fieldwork",
        reviewers=reviewers,
        reviews=1,
        checks=(),
        url="http://127.0.0.1:7090",
        token=SecretStr(hub.token),
        configured_token=configured,
    )


def ask(hub: Hub, *reviewers: str, configured: bool = False) -> github.Reviewers:
    return github.ask(settings(hub, *reviewers, configured=configured), hub)


Refused = Callable[..., str]


@pytest.fixture
def refused(hub: Hub) -> Refused:
    """Asks, and returns the refusal's text."""

    def _refused(*reviewers: str, configured: bool = False) -> str:
        with pytest.raises(github.GithubError) as caught:
            ask(hub, *reviewers, configured=configured)
        text = str(caught.value)
        assert "Nothing was changed" in text
        assert "Next: " in text
        assert hub.token not in text
        return text

    return _refused


def test_a_token_that_may_everything_is_let_through(hub: Hub) -> None:
    assert ask(hub) == github.Reviewers()
    # Nothing was written but deletions of what no repository has.
    written = [asked for asked in hub.asked if asked[0] != "GET"]
    assert written == [("DELETE", PROBE), ("DELETE", f"{PROBE}/secrets/NOTHING")]


def test_an_expired_token_is_named_and_where_a_new_one_goes(hub: Hub, refused: Refused) -> None:
    hub.give("GET", REPOSITORY, 401, {"message": "Bad credentials"})
    assert "has expired, was revoked" in refused()
    assert "GITHUB_TOKEN" in refused()
    assert "pulumi config set --secret github:token" in refused(configured=True)


def test_a_repository_out_of_reach_is_named(hub: Hub, refused: Refused) -> None:
    hub.give("GET", REPOSITORY, 404)
    assert "no repository example-org/fieldwork, or the GitHub token does not reach it" in refused()


def test_somebody_who_is_no_admin_is_told_so_and_nothing_else_is_tried(
    hub: Hub, refused: Refused
) -> None:
    hub.give("GET", REPOSITORY, 200, {**ADMIN, "permissions": {"admin": False, "push": True}})
    assert "no admin role in the repository" in refused()
    assert all(method == "GET" for method, _ in hub.asked)


def test_each_missing_permission_is_named_with_its_level_and_all_at_once(
    hub: Hub, refused: Refused
) -> None:
    hub.refuse("GET", PROBE, "actions=read")
    hub.refuse("DELETE", PROBE, "administration=write")
    hub.refuse("DELETE", f"{PROBE}/secrets/NOTHING", "environments=write")
    text = refused()
    assert "the permission Actions: read (GitHub asks for actions=read)" in text
    assert "the permission Administration: read and write" in text
    assert "the permission Environments: read and write" in text
    assert "http://127.0.0.1:7090/settings/personal-access-tokens" in text


def test_a_classic_token_is_judged_by_its_scopes(hub: Hub, refused: Refused) -> None:
    hub.token = "ghp_hush"
    hub.give("GET", REPOSITORY, 200, ADMIN, X_OAuth_Scopes="read:org, public_repo")
    assert "no scope `repo`" in refused()
    hub.give("GET", REPOSITORY, 200, {**ADMIN, "private": False}, X_OAuth_Scopes="public_repo")
    assert ask(hub) == github.Reviewers()
    assert all(method == "GET" for method, _ in hub.asked)


def test_an_app_has_no_role_and_is_judged_by_its_permissions(hub: Hub, refused: Refused) -> None:
    hub.token = "ghs_hush"
    hub.give("GET", REPOSITORY, 200, {**ADMIN, "permissions": {"admin": False}})
    assert ask(hub) == github.Reviewers()
    hub.refuse("DELETE", PROBE, "administration=write")
    assert "Administration" in refused()


def test_reviewers_become_the_ids_of_people_and_teams(hub: Hub) -> None:
    for login, id_ in (("zoe", 3), ("ada", 9)):
        hub.give("GET", f"/api/v3/users/{login}", 200, {"id": id_})
        hub.give("GET", f"{REPOSITORY}/collaborators/{login}/permission", 200, {})
    hub.give("GET", "/api/v3/orgs/example-org/teams/release", 200, {"id": 5})
    found = ask(hub, "ada", "example-org/release", "zoe")
    assert found == github.Reviewers(users=(3, 9), teams=(5,))


def test_reviewers_github_would_not_ask_are_named_together(hub: Hub, refused: Refused) -> None:
    hub.give("GET", "/api/v3/users/ada", 200, {"id": 9})
    none = {"permission": "none"}
    hub.give("GET", f"{REPOSITORY}/collaborators/ada/permission", 200, none)
    hub.refuse("GET", "/api/v3/orgs/hidden/teams/release", "members=read")
    text = refused("ada", "nobody", "example-org/gone", "hidden/release")
    assert "ada may not read the repository" in text
    assert "GitHub knows nobody called nobody" in text
    assert "there is no team example-org/gone" in text
    assert "may not see the teams of hidden" in text


def test_a_plan_without_rules_for_a_private_repository_is_named(hub: Hub, refused: Refused) -> None:
    message = "Upgrade to GitHub Pro or make this repository public to enable this feature."
    hub.give("GET", f"{REPOSITORY}/rulesets", 403, {"message": message})
    assert f"(GitHub says: {message})" in refused()


def test_an_archived_repository_is_named(hub: Hub, refused: Refused) -> None:
    hub.give("GET", REPOSITORY, 200, {**ADMIN, "archived": True})
    assert "archived" in refused()


def test_a_github_that_does_not_answer_is_no_traceback() -> None:
    class Silent(Hub):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused", request=request)

    with pytest.raises(github.GithubError, match="does not answer"):
        ask(Silent())


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://api.github.com", "https://api.github.com"),
        ("https://github.com/", "https://api.github.com"),
        ("https://octo.ghe.com", "https://api.octo.ghe.com"),
        ("https://github.example.org/", "https://github.example.org/api/v3"),
        ("http://127.0.0.1:7090/api/v3", "http://127.0.0.1:7090/api/v3"),
    ],
)
def test_the_api_is_where_the_provider_looks_for_it(url: str, api: str) -> None:
    assert rest_url(url) == api


def test_what_no_state_knows_is_deleted_by_its_name_and_nothing_else(hub: Hub) -> None:
    inside = f"{REPOSITORY}/environments/feature-demo-x"
    policies = [{"id": 1, "name": "staging"}, {"id": 2, "name": "feature-demo/x"}]
    listed = {"branch_policies": policies}
    hub.give("GET", f"{inside}/deployment-branch-policies", 200, listed)
    hub.give("GET", f"{REPOSITORY}/rulesets", 200, [{"id": 3, "name": "p"}, {"id": 4, "name": "q"}])
    github.clear(
        settings(hub),
        "feature-demo-x",
        variables=["URL"],
        policy="feature-demo/x",
        ruleset="q",
        transport=hub,
    )
    assert [path for method, path in hub.asked if method == "DELETE"] == [
        f"{inside}/variables/URL",
        f"{inside}/deployment-branch-policies/2",
        f"{REPOSITORY}/rulesets/4",
    ]


def test_with_nothing_to_find_nothing_is_deleted(hub: Hub) -> None:
    github.clear(settings(hub), "dev", policy="development", ruleset="q", transport=hub)
    assert all(method == "GET" for method, _ in hub.asked)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_github_does_not_let_be_cleared_away_is_named(hub: Hub, method: str) -> None:
    one = f"{REPOSITORY}/rulesets/4"
    hub.give("GET", f"{REPOSITORY}/rulesets", 200, [{"id": 4, "name": "q"}])
    hub.give("DELETE", one, 204)
    github.clear(settings(hub), "dev", ruleset="q", transport=hub)
    hub.refuse(method, f"{REPOSITORY}/rulesets" if method == "GET" else one, "administration=write")
    with pytest.raises(github.GithubError) as raised:
        github.clear(settings(hub), "dev", ruleset="q", transport=hub)
    told = str(raised.value)
    assert "rulesets" in told
    assert "it asks for administration=write" in told
    assert "Nothing was changed by this one" in told
    assert Hub.token not in told
