"""Comments on commits: how people are told of a demo that has no pull request."""

from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served, refused
from tests.unit.github_hub import served as served


def test_a_commit_keeps_its_comments_and_no_other_has_them(served: Served) -> None:
    first = push(served, "main", {"a.txt": "one\n"}, who="maintainer")
    second = push(served, "main", {"a.txt": "two\n"}, who="maintainer")
    commit = served.client("developer").get_repo(FULL_NAME).get_commit(first)
    made = commit.create_comment("Up at https://x.example.test")
    assert (made.user.login, made.commit_id) == ("developer", first)
    assert [each.body for each in commit.get_comments()] == ["Up at https://x.example.test"]
    assert list(served.repo.get_commit(second).get_comments()) == []


def test_a_token_that_only_reads_contents_comments_on_nothing(served: Served) -> None:
    sha = push(served, "main", {"a.txt": "one\n"}, who="maintainer")
    token = served.hub.tokens.mint(
        "developer", "fine_grained", permissions={"contents": "read"}, repositories=[FULL_NAME]
    )
    commit = served.client(token=token).get_repo(FULL_NAME).get_commit(sha)
    refused(403, commit.create_comment, "hello")
