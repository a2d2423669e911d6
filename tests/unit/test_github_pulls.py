"""Pull requests, driven by PyGithub: opened, followed, updated, closed."""

import functools

import pytest

from sandbox.github.git import NONE
from tests.unit.github_commits import move, push
from tests.unit.github_hub import FULL_NAME, Served, refused
from tests.unit.github_hub import served as served


@pytest.fixture(autouse=True)
def main_branch(served: Served) -> None:
    """A first commit on main; nobody has been told of anything."""
    push(served, "main", {"a.txt": "one\ntwo\nthree\n"}, who="maintainer", message="First")
    served.told()


def test_a_pull_request_is_opened_and_found(served: Served) -> None:
    sha = push(served, "feature", {"b.txt": "b\n"}, message="Add b\n\nAs asked.")
    served.told()
    repo = served.client("developer").get_repo(FULL_NAME)
    opened = repo.create_pull(base="main", head="feature", title="Add b", body="Please.")
    # At GitHub, too, the first answer does not know.
    assert (opened.number, opened.state, opened.mergeable) == (1, "open", None)
    pull = repo.get_pull(1)
    assert (pull.mergeable, pull.mergeable_state, pull.merged) == (True, "clean", False)
    assert (pull.head.sha, pull.head.label) == (sha, "example-org:feature")
    assert (pull.commits, pull.additions, pull.deletions, pull.changed_files) == (1, 1, 0, 1)
    assert [c.commit.message for c in pull.get_commits()] == ["Add b\n\nAs asked."]
    assert next(iter(pull.get_commits())).author.login == "developer"
    (file,) = pull.get_files()
    assert (file.filename, file.status, file.additions) == ("b.txt", "added", 1)
    assert file.patch == "@@ -0,0 +1 @@\n+b"
    assert [p.number for p in repo.get_pulls(head="example-org:feature", base="main")] == [1]
    assert list(repo.get_pulls(head="example-org:other")) == []
    assert list(repo.get_pulls(state="closed")) == []
    of_commit = served.raw.get(f"/repos/{FULL_NAME}/commits/{sha}/pulls").json()
    assert [p["number"] for p in of_commit] == [1]
    git = served.hub.git(served.hub.repository("example-org", "fieldwork"))
    assert git.resolve("refs/pull/1/head") == sha
    merge = git.resolve("refs/pull/1/merge")
    assert merge == pull.merge_commit_sha
    (event,) = served.events
    assert (event.name, event.action, event.actor) == ("pull_request", "opened", "developer")
    assert (event.ref, event.sha) == ("refs/pull/1/merge", merge)
    assert event.payload["pull_request"]["head"]["repo"]["full_name"] == FULL_NAME


def test_what_cannot_be_a_pull_request_is_refused_in_githubs_words(served: Served) -> None:
    raw, path = served.raw, f"/repos/{FULL_NAME}/pulls"

    def answer(head: str, base: str = "main") -> tuple[int, dict[str, str]]:
        told = raw.post(path, json={"title": "t", "head": head, "base": base})
        return told.status_code, told.json()["errors"][0]

    status, error = answer("nothing")
    assert (status, error["field"], error["code"]) == (422, "head", "invalid")
    move(served, "same", _tip(served, "main"))
    assert answer("same")[1]["message"] == "No commits between main and same"
    push(served, "feature")
    assert answer("feature", "nowhere")[1]["field"] == "base"
    assert raw.post(path, json={"title": "t", "head": "feature", "base": "main"}).is_success
    assert answer("feature") == (
        422,
        {
            "resource": "PullRequest",
            "code": "custom",
            "message": "A pull request already exists for example-org:feature.",
        },
    )
    missing = raw.post(path, json={"head": "feature", "base": "main"})
    assert missing.status_code == 422
    # What is refused leaves no ref behind.
    git = served.hub.git(served.hub.repository("example-org", "fieldwork"))
    assert set(git.refs("refs/pull/")) == {"refs/pull/1/head", "refs/pull/1/merge"}


def _tip(served: Served, branch: str) -> str:
    git = served.hub.git(served.hub.repository("example-org", "fieldwork"))
    found = git.resolve(f"refs/heads/{branch}")
    assert found
    return found


def test_a_push_to_its_head_is_followed(served: Served) -> None:
    first = push(served, "feature")
    pull = served.repo.create_pull(base="main", head="feature", title="t", body="")
    served.told()
    second = push(served, "feature", message="More", who="reviewer")
    assert served.repo.get_pull(1).head.sha == second
    assert served.repo.get_pull(1).commits == 2
    push_event, event = served.events
    assert (push_event.name, event.name, event.action) == ("push", "pull_request", "synchronize")
    assert (event.payload["before"], event.payload["after"]) == (first, second)
    assert event.actor == "reviewer"
    # And one to its base: what merging it gives is tried anew.
    pull.edit(state="closed")
    served.told()
    push(served, "feature", message="Unseen")
    assert served.told() == ["push refs/heads/feature"]
    pull.edit(state="open")
    assert served.events[-1].action == "reopened"
    assert served.repo.get_pull(1).commits == 3


def test_a_conflict_is_seen_and_goes(served: Served) -> None:
    push(served, "feature", {"a.txt": "one\nTWO\nthree\n"})
    served.repo.create_pull(base="main", head="feature", title="t", body="")
    assert served.repo.get_pull(1).mergeable_state == "clean"
    push(served, "main", {"a.txt": "one\nzwei\nthree\n"}, who="maintainer")
    pull = served.repo.get_pull(1)
    assert (pull.mergeable, pull.mergeable_state) == (False, "dirty")
    git = served.hub.git(served.hub.repository("example-org", "fieldwork"))
    assert git.resolve("refs/pull/1/merge") is None
    assert refused(405, pull.merge) == "Pull Request is not mergeable"
    push(served, "main", {"a.txt": "one\ntwo\nthree\n"}, who="maintainer")
    assert served.repo.get_pull(1).mergeable is True


def test_title_body_and_base_are_changed(served: Served) -> None:
    push(served, "staging", who="maintainer", message="Only on staging")
    push(served, "feature", start="main")
    developer = served.client("developer").get_repo(FULL_NAME)
    pull = developer.create_pull(base="main", head="feature", title="t", body="")
    served.told()
    pull.edit(title="New", body="Why", base="staging")
    assert (pull.title, pull.body, pull.base.ref) == ("New", "Why", "staging")
    assert pull.base.sha == _tip(served, "staging")
    assert [e.action for e in served.events] == ["edited"]
    refused(422, pull.edit, base="nowhere")
    refused(404, served.client("outsider").get_repo, FULL_NAME)


def test_a_deleted_head_closes_it(served: Served) -> None:
    push(served, "feature")
    served.repo.create_pull(base="main", head="feature", title="t", body="")
    served.told()
    move(served, "feature", NONE)
    pull = served.repo.get_pull(1)
    assert (pull.state, pull.merged) == ("closed", False)
    assert [f"{e.name} {e.action}" for e in served.events] == ["delete ", "pull_request closed"]
    refused(422, pull.edit, state="open")


def test_a_base_that_got_the_commits_by_git_merges_it(served: Served) -> None:
    sha = push(served, "feature")
    served.repo.create_pull(base="main", head="feature", title="t", body="")
    move(served, "main", sha, who="maintainer")
    pull = served.repo.get_pull(1)
    assert (pull.state, pull.merged, pull.merged_by.login) == ("closed", True, "maintainer")
    assert pull.merge_commit_sha == sha
    assert pull.commits == 1


def test_its_branch_is_brought_up_to_date(served: Served) -> None:
    push(served, "feature")
    developer = served.client("developer").get_repo(FULL_NAME)
    pull = developer.create_pull(base="main", head="feature", title="t", body="")
    path = f"/repos/{FULL_NAME}/pulls/1/update-branch"
    answer = served.raw.put(path, json={})
    assert answer.status_code == 422
    assert answer.json()["message"] == "There are no new commits on the base branch."
    push(served, "main", message="Meanwhile", who="maintainer")
    served.told()
    assert served.raw.put(path, json={"expected_head_sha": "0" * 40}).status_code == 422
    assert pull.update_branch(pull.head.sha)
    assert served.told() == ["push refs/heads/feature", "pull_request refs/pull/1/merge"]
    commit = developer.get_pull(1).get_commits().reversed[0].commit
    assert commit.message == "Merge branch 'main' into feature"


def test_reviewers_are_asked_but_not_the_author(served: Served) -> None:
    push(served, "feature")
    pull = served.client("developer").get_repo(FULL_NAME).create_pull(
        base="main", head="feature", title="t", body=""
    )  # fmt: skip
    pull.create_review_request(reviewers=["reviewer"])
    users, _ = pull.get_review_requests()
    assert [user.login for user in users] == ["reviewer"]
    message = refused(422, pull.create_review_request, reviewers=["developer"])
    assert message == "Review cannot be requested from pull request author."
    assert "collaborators" in refused(422, pull.create_review_request, reviewers=["outsider"])
    pull.delete_review_request(reviewers=["reviewer"])
    assert list(pull.get_review_requests()[0]) == []


def test_a_workflows_token_opens_none_unless_the_repository_lets_it(served: Served) -> None:
    push(served, "feature")
    permissions = {"pull-requests": "write", "contents": "write"}
    token = served.hub.tokens.mint(
        "github-actions[bot]", "workflow", permissions=permissions, repositories=[FULL_NAME]
    )
    bot = served.client(token=token).get_repo(FULL_NAME)
    message = refused(403, bot.create_pull, base="main", head="feature", title="t", body="")
    assert message == "GitHub Actions is not permitted to create or approve pull requests."
    path = f"/repos/{FULL_NAME}/actions/permissions/workflow"
    assert served.raw.get(path).json()["can_approve_pull_request_reviews"] is False
    assert served.raw.put(path, json={"can_approve_pull_request_reviews": True}).is_success
    served.told()
    bot.create_pull(base="main", head="feature", title="t", body="")
    assert [(e.action, e.by_workflow_token) for e in served.events] == [("opened", True)]


def test_titles_and_texts_longer_than_github_takes_are_refused(served: Served) -> None:
    push(served, "feature", {"b.txt": "b\n"})
    open_ = functools.partial(served.repo.create_pull, base="main", head="feature")
    for title, body in (("t" * 257, ""), ("t", "b" * 65_537)):
        assert refused(422, open_, title=title, body=body) == "Validation Failed"
    pull = open_(title="t" * 256, body="b" * 65_536)
    assert refused(422, pull.edit, body="b" * 65_537) == "Validation Failed"
    notes = "n" * 125_001
    release = functools.partial(served.repo.create_git_release, "v1.0.0", "v1.0.0")
    assert refused(422, release, notes) == "Validation Failed"
    assert release(notes[1:]).tag_name == "v1.0.0"
