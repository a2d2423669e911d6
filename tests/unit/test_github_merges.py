"""Merges of pull requests: what is on the base afterwards, who did it, and what forbids them."""

import pytest

from sandbox.github.git import Git
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served, refused
from tests.unit.github_hub import served as served


@pytest.fixture(autouse=True)
def feature(served: Served) -> None:
    """Two commits on a branch that main has gone past."""
    push(served, "main", {"a.txt": "one\n"}, who="maintainer", message="First")
    push(served, "feature", {"b.txt": "b\n"}, message="Add b\n\nBecause.")
    push(served, "feature", {"c.txt": "c\n"}, message="Add c", who="reviewer")
    push(served, "main", {"d.txt": "d\n"}, who="maintainer", message="Meanwhile")
    repo = served.client("developer").get_repo(FULL_NAME)
    repo.create_pull(base="main", head="feature", title="Two files", body="Closes #2, fixes #3.")
    served.told()


def git(served: Served) -> Git:
    """The bare repository."""
    return served.hub.git(served.hub.repository("example-org", "fieldwork"))


def test_a_merge_commit_has_both_parents_and_githubs_words(served: Served) -> None:
    pull = served.repo.get_pull(1)
    done = pull.merge()
    assert (done.merged, done.message) == (True, "Pull Request successfully merged")
    commit = git(served).commit("main")
    assert commit.sha == done.sha
    assert commit.message == "Merge pull request #1 from example-org/feature\n\nTwo files"
    assert commit.parents == (pull.base.sha, pull.head.sha)
    assert (commit.author.name, commit.committer.name) == ("Maintainer", "GitHub")
    assert set(git(served).names("main")) == {"a.txt", "b.txt", "c.txt", "d.txt"}
    after = served.repo.get_pull(1)
    assert (after.state, after.merged, after.merged_by.login) == ("closed", True, "maintainer")
    assert (after.merge_commit_sha, after.commits, after.mergeable) == (done.sha, 2, None)
    assert served.repo.get_issue(1).state == "closed"
    told = [(event.name, event.ref, event.actor) for event in served.events]
    assert told == [
        ("push", "refs/heads/main", "maintainer"),
        ("pull_request", "refs/heads/main", "maintainer"),
    ]
    assert served.events[1].payload["pull_request"]["merged"] is True
    assert served.events[1].sha == done.sha
    assert pull.is_merged()
    assert refused(405, pull.merge) == "Pull Request is not mergeable"


def test_squashed_it_is_one_commit_of_its_author(served: Served) -> None:
    base = git(served).resolve("main")
    served.repo.get_pull(1).merge(merge_method="squash")
    commit = git(served).commit("main")
    assert commit.parents == (base,)
    assert commit.message == "Two files (#1)\n\n* Add b\n\nBecause.\n\n* Add c"
    assert commit.author.name == "Developer"
    assert set(git(served).names("main")) == {"a.txt", "b.txt", "c.txt", "d.txt"}


def test_rebased_each_commit_is_made_again_by_its_author(served: Served) -> None:
    base = git(served).resolve("main")
    head = served.repo.get_pull(1).head.sha
    done = served.repo.get_pull(1).merge(merge_method="rebase")
    newest, older = git(served).log(f"{base}..main")
    assert newest.sha == done.sha != head
    assert (older.message, older.author.name) == ("Add b\n\nBecause.", "Developer")
    assert (newest.message, newest.author.name) == ("Add c", "Reviewer")
    assert newest.committer.name == "Maintainer"
    assert older.parents == (base,)
    assert set(git(served).names("main")) == {"a.txt", "b.txt", "c.txt", "d.txt"}


def test_ones_own_words_replace_githubs(served: Served) -> None:
    served.repo.get_pull(1).merge(commit_title="Release 1", commit_message="All of it.")
    assert git(served).commit("main").message == "Release 1\n\nAll of it."


def test_a_head_that_moved_meanwhile_is_not_merged(served: Served) -> None:
    pull = served.repo.get_pull(1)
    push(served, "feature", message="Later")
    message = refused(409, pull.merge, sha=pull.head.sha)
    assert message == "Head branch was modified. Review and try the merge again."
    assert pull.merge(sha=served.repo.get_pull(1).head.sha).merged


@pytest.mark.parametrize(
    ("method", "switch", "words"),
    [
        ("merge", "allow_merge_commit", "Merge commits"),
        ("squash", "allow_squash_merge", "Squash merges"),
        ("rebase", "allow_rebase_merge", "Rebase merges"),
    ],
)
def test_a_way_that_the_repository_does_not_allow_is_refused(
    served: Served, method: str, switch: str, words: str
) -> None:
    served.repo.edit(**{switch: False})
    pull = served.repo.get_pull(1)
    message = refused(405, pull.merge, merge_method=method)
    assert message == f"{words} are not allowed on this repository."
    refused(422, pull.merge, merge_method="octopus")
    served.repo.edit(**{switch: True})
    assert pull.merge(merge_method=method).merged


def test_a_draft_is_not_merged(served: Served) -> None:
    push(served, "other")
    pull = served.repo.create_pull(base="main", head="other", title="t", body="", draft=True)
    assert served.repo.get_pull(2).mergeable_state == "draft"
    assert refused(405, pull.merge) == "Pull Request is still a draft"


def test_only_who_may_write_merges(served: Served) -> None:
    served.repo.edit(private=False)
    outsider = served.client("outsider").get_repo(FULL_NAME)
    assert "write access" in refused(403, outsider.get_pull(1).merge)
    token = served.hub.tokens.mint("developer", "fine_grained", permissions={"contents": "read"})
    answer = served.http(token=token).put(f"/repos/{FULL_NAME}/pulls/1/merge")
    assert answer.status_code == 403
    assert answer.json()["message"] == "Resource not accessible by personal access token"
    assert answer.headers["x-accepted-github-permissions"] == "contents=write"


def test_the_merged_branch_is_deleted_where_the_repository_says_so(served: Served) -> None:
    served.repo.edit(delete_branch_on_merge=True)
    served.repo.get_pull(1).merge()
    assert "refs/heads/feature" not in git(served).refs()
    assert [event.name for event in served.events] == ["push", "pull_request", "delete"]
    # Its head is kept under its number.
    assert git(served).resolve("refs/pull/1/head") == served.repo.get_pull(1).head.sha


def test_a_merge_closes_the_issues_it_says_it_fixes(served: Served) -> None:
    for title in ("Second", "Third", "Fourth"):
        served.repo.create_issue(title)
    served.told()
    served.repo.get_pull(1).merge()
    states = {issue.number: issue.state for issue in served.repo.get_issues(state="all")}
    assert states == {1: "closed", 2: "closed", 3: "closed", 4: "open"}


def test_one_branch_is_merged_into_another_without_a_pull_request(served: Served) -> None:
    done = served.repo.merge("feature", "main", "Bring it up to date")
    assert done.commit.message == "Bring it up to date"
    assert git(served).resolve("feature") == done.sha
    assert served.told() == ["push refs/heads/feature", "pull_request refs/pull/1/merge"]
    assert served.repo.merge("feature", "main") is None
    refused(404, served.repo.merge, "feature", "nowhere")
    push(served, "feature", {"d.txt": "mine\n"})
    push(served, "main", {"d.txt": "theirs\n"}, who="maintainer")
    assert refused(409, served.repo.merge, "main", "feature") == "Merge conflict"


def test_rules_forbid_a_merge_until_they_are_met(served: Served) -> None:
    rules = [
        {
            "type": "pull_request",
            "parameters": {
                "required_approving_review_count": 1,
                "dismiss_stale_reviews_on_push": True,
                "require_code_owner_review": False,
                "require_last_push_approval": False,
                "required_review_thread_resolution": False,
                "allowed_merge_methods": ["merge"],
            },
        },
        {
            "type": "required_status_checks",
            "parameters": {
                "required_status_checks": [{"context": "ci"}],
                "strict_required_status_checks_policy": False,
            },
        },
    ]
    ruleset = {
        "name": "main",
        "target": "branch",
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["refs/heads/main"], "exclude": []}},
        "rules": rules,
    }
    assert served.raw.post(f"/repos/{FULL_NAME}/rulesets", json=ruleset).status_code == 201
    pull = served.repo.get_pull(1)
    assert pull.mergeable_state == "blocked"
    message = refused(405, pull.merge)
    assert "At least 1 approving review is required by reviewers with write access." in message
    assert 'Required status check "ci" is expected.' in message
    reviewer = served.client("reviewer").get_repo(FULL_NAME)
    reviewer.get_pull(1).create_review(event="APPROVE")
    path = f"/repos/{FULL_NAME}/statuses/{pull.head.sha}"
    served.raw.post(path, json={"state": "failure", "context": "ci"})
    assert 'Required status check "ci" is failing.' in refused(405, pull.merge)
    served.raw.post(path, json={"state": "success", "context": "ci"})
    assert served.repo.get_pull(1).mergeable_state == "clean"
    assert "Merge method squash" in refused(405, pull.merge, merge_method="squash")
    # A push takes the approval away again, and the new commit has no status.
    sha = push(served, "feature", message="After the review")
    assert [r.state for r in pull.get_reviews()] == ["DISMISSED"]
    message = refused(405, served.repo.get_pull(1).merge)
    assert "approving review" in message
    assert "expected" in message
    reviewer.get_pull(1).create_review(event="APPROVE")
    path = f"/repos/{FULL_NAME}/statuses/{sha}"
    served.raw.post(path, json={"state": "success", "context": "ci"})
    assert served.repo.get_pull(1).merge().merged
