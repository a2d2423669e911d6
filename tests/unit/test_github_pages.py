"""Pages for people, and the little of GraphQL there is."""

from typing import Any

import httpx
import pytest

from sandbox.github import deployments
from tests.unit.github_hub import FULL_NAME, Served
from tests.unit.github_hub import served as served


@pytest.fixture
def repo(served: Served) -> Any:
    """With two branches, a pull request, a release and an environment that is deployed."""
    repo = served.repo
    first = repo.create_file("docs/a.md", "first <b>", "one\n")["commit"].sha
    repo.create_git_ref("refs/heads/feature-demo/x", first)
    repo.create_file("b", "second", "two\n", branch="feature-demo/x")
    repo.create_pull("main", "feature-demo/x", title="A <script>", body="why & how")
    repo.get_issue(1).create_comment("looks good")
    repo.create_git_release("v1", "One", "What is new", target_commitish="main")
    repo.create_environment("dev")
    made = repo.create_deployment("main", environment="dev", required_contexts=[])
    made.create_status("success", environment_url="https://dev.example.test")
    return repo


def read(served: Served, path: str) -> str:
    answer = httpx.get(f"{served.url}{path}", timeout=20)
    assert answer.status_code == 200, (path, answer.status_code)
    return answer.text


def test_a_repositorys_page_shows_what_a_person_looks_for(served: Served, repo: Any) -> None:
    text = read(served, f"/{FULL_NAME}")
    for wanted in ("dev", "https://dev.example.test", "feature-demo/x", "One", "#1 A &lt;script"):
        assert wanted in text
    assert "first &lt;b&gt;" in text
    assert "<script" not in text
    assert f"/{FULL_NAME}" in read(served, "/")


def test_the_addresses_that_the_api_tells_lead_somewhere(served: Served, repo: Any) -> None:
    commit = repo.get_branch("feature-demo/x").commit
    addresses = [
        repo.html_url,
        commit.html_url,
        repo.get_pull(1).html_url,
        repo.get_release("v1").html_url,
        repo.get_contents("docs/a.md").html_url,
        repo.get_contents("docs")[0].html_url,
        repo.compare("main", "feature-demo/x").html_url,
        repo.get_environment("dev").html_url,
        f"{repo.html_url}/tree/feature-demo/x",
        repo.get_branch("feature-demo/x").raw_data["_links"]["html"],
    ]
    for address in addresses:
        assert httpx.get(address, timeout=20).status_code == 200, address
    assert "+two" in httpx.get(commit.html_url, timeout=20).text
    assert "looks good" in httpx.get(repo.get_pull(1).html_url, timeout=20).text
    raw = httpx.get(repo.get_contents("docs/a.md").download_url, timeout=20)
    assert raw.text == "one\n"


def test_what_is_not_there_has_no_page(served: Served, repo: Any) -> None:
    for path in ("/example-org/nothing", f"/{FULL_NAME}/pull/9", f"/{FULL_NAME}/commit/{'0' * 40}"):
        assert httpx.get(f"{served.url}{path}", timeout=20).status_code == 404


def test_an_address_that_no_browser_should_follow_is_no_link(served: Served, repo: Any) -> None:
    made = repo.create_deployment("main", environment="dev", required_contexts=[])
    record = served.hub.store.get("deployment", made.id)
    assert record
    deployments.set_status(
        served.hub, record, "maintainer", "success", environment_url="javascript:alert(1)"
    )
    assert "href='javascript" not in read(served, f"/{FULL_NAME}")


def test_graphql_says_who_asks_and_refuses_what_it_does_not_know(served: Served) -> None:
    def ask(query: str, who: str = "developer") -> httpx.Response:
        headers = {"Authorization": f"bearer {served.tokens[who]}"} if who else {}
        body = {"query": query}
        return httpx.post(f"{served.url}/api/graphql", json=body, headers=headers, timeout=20)

    told = ask('query ($x: Int) { viewer { login } rateLimit(x: "}") { remaining } }').json()
    assert told["data"]["viewer"]["login"] == "developer"
    assert told["data"]["rateLimit"]["remaining"] > 0
    assert "'repository'" in ask("{ repository { id } }").json()["errors"][0]["message"]
    assert "errors" in ask("mutation { viewer { login } }").json()
    assert ask("{ viewer { login } }", "").status_code == 401
