"""`flow promote`, `release`, `hotfix` and `back-merge`, as a person or a script calls them."""

import json
import shlex
from collections.abc import Callable
from typing import Any

import pytest

from flow import app
from flow.errors import FlowError
from flow.promotion import team
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served
from tests.unit.github_hub import served as served
from tests.unit.promoting import begin, merge, merged

Flow = Callable[[str], int]


@pytest.fixture
def flow(served: Served, monkeypatch: pytest.MonkeyPatch) -> Flow:
    """`flow`'s command line with the maintainer's token, for a repository of three branches."""
    begin(served)
    monkeypatch.setenv("GITHUB_API_URL", f"{served.url}/api/v3")
    monkeypatch.setenv("GITHUB_TOKEN", served.tokens["maintainer"])
    monkeypatch.delenv("FLOW_GITHUB_TOKEN", raising=False)
    return lambda line: app.run([*shlex.split(line), "--repository", FULL_NAME])


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_promote_opens_a_pull_request_and_says_where(
    served: Served, flow: Flow, capsys: pytest.CaptureFixture[str]
) -> None:
    assert flow("promote staging") == 0
    assert "nothing to do" in capsys.readouterr().err
    merged(served, "topic/map", "feat: a map")
    assert flow("promote staging --dry-run") == 0
    said = capsys.readouterr()
    assert "planned" in said.err
    assert "- A map (#" in said.out
    assert flow("promote staging") == 0
    (pull,) = served.repo.get_pulls(state="open", base="staging")
    assert f"promotion to staging: opened {pull.title} {pull.html_url}" in capsys.readouterr().err
    assert flow("promote staging --json") == 0
    (told,) = printed(capsys)
    assert (told["done"], told["url"], told["branch"]) == ("open", pull.html_url, pull.head.ref)


def test_promote_prod_fails_while_a_blocker_is_open(
    served: Served, flow: Flow, capsys: pytest.CaptureFixture[str]
) -> None:
    merged(served, "hotfix/login", "fix: the login loop", base="staging")
    served.repo.create_issue("Cannot print", labels=["release-blocker"])
    assert flow("promote prod --json") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "Cannot print" in said.err
    assert "next: close them" in said.err


def test_a_release_is_not_published_unless_somebody_agrees(
    served: Served, flow: Flow, capsys: pytest.CaptureFixture[str]
) -> None:
    assert flow("release --dry-run --json") == 0
    (told,) = printed(capsys)
    assert (told["done"], told["title"]) == ("planned", "v1.0.0")
    assert flow("release") == 2
    assert "add --yes" in capsys.readouterr().err
    assert list(served.repo.get_releases()) == []
    assert flow("release --yes --json") == 0
    (told,) = printed(capsys)
    assert (told["done"], told["url"]) == ("released", served.repo.get_latest_release().html_url)
    assert flow("release --yes") == 0
    assert "nothing to do" in capsys.readouterr().err
    assert flow("release --version latest --yes") == 0  # nothing new: no version is looked at
    push(served, "main", who="maintainer", message="fix: more")
    assert flow("release --version latest --yes") == 2
    assert flow("release --bump minor --dry-run --json") == 0
    assert capsys.readouterr().out.count("v1.1.0") > 0


def test_a_hotfix_goes_from_its_branch_to_the_branches_below(
    served: Served, flow: Flow, capsys: pytest.CaptureFixture[str]
) -> None:
    assert flow("hotfix finish login") == 1
    assert "flow hotfix start login --base staging" in capsys.readouterr().err
    assert flow("hotfix start login --json") == 0
    (told,) = printed(capsys)
    push(served, told["branch"], message="fix: the login loop")
    assert flow("hotfix finish login --title 'No login loop' --json") == 0
    (told,) = printed(capsys)
    assert (told["done"], told["title"]) == ("opened", "No login loop")
    merge(served, told["url"])
    assert flow("back-merge --dry-run --json") == 0
    assert [each["done"] for each in printed(capsys)] == ["planned"]
    assert flow("back-merge --json") == 0
    (told,) = printed(capsys)
    merge(served, told["url"])
    assert flow("back-merge --json") == 0
    assert printed(capsys) == []


@pytest.mark.parametrize(
    "line", ["promote production", "hotfix start x --base development", "release --bump huge"]
)
def test_what_is_none_of_the_words_is_wrong_usage(flow: Flow, line: str) -> None:
    assert flow(line) == 2


def test_githubs_refusal_is_told_with_the_permission_that_is_missing(
    served: Served,
    flow: Flow,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    merged(served, "topic/map", "feat: a map")
    monkeypatch.setenv("GITHUB_TOKEN", _reading(served))
    assert flow("promote staging") == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "error: GitHub refuses: Resource not accessible" in said
    assert "next: give the token the permission contents=write" in said
    assert served.repo.get_pulls(state="open").totalCount == 0


def _reading(served: Served) -> str:
    """A token of the app that may read code and pull requests."""
    app_client = served.http(token=served.signed())
    installation = app_client.get(f"/repos/{FULL_NAME}/installation").json()["id"]
    wanted = {"permissions": {"contents": "read", "pull_requests": "read"}}
    made = app_client.post(f"/app/installations/{installation}/access_tokens", json=wanted)
    return str(made.json()["token"])


def asked(served: Served, **environment: str) -> FlowError:
    """What asking for the repository is refused with."""
    with pytest.raises(FlowError) as told:
        team.repository(FULL_NAME, {"GITHUB_API_URL": f"{served.url}/api/v3", **environment})
    return told.value


def test_a_token_that_is_missing_unknown_or_reaches_nothing_is_told(served: Served) -> None:
    assert asked(served).problem == "there is no GitHub token"
    assert "does not know the token" in asked(served, GITHUB_TOKEN="ghp_wrong").problem
    outsider = asked(served, GITHUB_TOKEN=served.tokens["outsider"])
    assert "there is no repository" in outsider.problem


def test_without_a_repository_the_setting_that_names_one_is_told() -> None:
    with pytest.raises(FlowError, match="which repository") as told:
        team.repository("", {"GITHUB_TOKEN": "x"})
    assert "githubRepository" in (told.value.remedy or "")


def test_a_persons_token_goes_before_the_one_for_runs(served: Served) -> None:
    environment = {
        "GITHUB_API_URL": f"{served.url}/api/v3",
        "GITHUB_REPOSITORY": FULL_NAME,
        "GITHUB_TOKEN": served.tokens["maintainer"],
        "FLOW_GITHUB_TOKEN": "ghp_wrong",
    }
    assert team.repository("", environment).full_name == FULL_NAME
