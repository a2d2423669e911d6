"""Issues, labels, milestones and comments, driven by PyGithub."""

import pytest

from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served, refused
from tests.unit.github_hub import served as served


@pytest.fixture(autouse=True)
def main_branch(served: Served) -> None:
    """A first commit; everybody may read."""
    served.repo.edit(private=False)
    push(served, "main", {"a.txt": "one\n"}, who="maintainer")
    served.told()


def test_anybody_who_may_read_opens_issues_but_sets_no_labels(served: Served) -> None:
    outsider = served.client("outsider").get_repo(FULL_NAME)
    issue = outsider.create_issue("Broken", body="On staging.", labels=["bug"])
    assert (issue.number, issue.state, issue.user.login) == (1, "open", "outsider")
    assert issue.labels == []
    assert [(e.name, e.action, e.ref) for e in served.events] == [
        ("issues", "opened", "refs/heads/main")
    ]
    served.repo.edit(private=True)
    assert refused(404, served.client("outsider").get_repo, FULL_NAME)


def test_issues_are_found_by_label_and_state(served: Served) -> None:
    served.repo.create_label("release-blocker", "b60205", "Holds production back")
    first = served.repo.create_issue("One", labels=["release-blocker", "bug"])
    served.repo.create_issue("Two", labels=["Release-Blocker"])
    served.repo.create_issue("Three", labels=["new one"])
    found = served.repo.get_issues(labels=["release-blocker"])
    assert [issue.title for issue in found] == ["Two", "One"]
    assert [i.title for i in served.repo.get_issues(labels=["release-blocker", "bug"])] == ["One"]
    assert served.repo.get_label("new one").color == "ededed"
    first.edit(state="closed", state_reason="not_planned")
    assert (first.state_reason, first.closed_by.login) == ("not_planned", "maintainer")
    assert [i.title for i in served.repo.get_issues(labels=["release-blocker"])] == ["Two"]
    assert [i.title for i in served.repo.get_issues(state="closed")] == ["One"]
    assert [i.title for i in served.repo.get_issues(sort="created", direction="asc")] == [
        "Two",
        "Three",
    ]
    first.edit(state="open")
    assert first.state_reason == "reopened"
    assert served.repo.get_issues(state="all").totalCount == 3


def test_a_repository_begins_with_githubs_labels(served: Served) -> None:
    names = [label.name for label in served.repo.get_labels()]
    assert len(names) == 9
    assert {"bug", "good first issue"} <= set(names)
    label = served.repo.get_label("good first issue")
    assert label.url.endswith("/labels/good%20first%20issue")
    label.edit("start here", "ffffff", "New")
    assert served.repo.get_label("Start Here").description == "New"
    refused(422, served.repo.create_label, "Bug", "ffffff")
    refused(422, served.repo.create_label, "other", "red")
    label.delete()
    refused(404, served.repo.get_label, "start here")


def test_labels_come_and_go_one_event_each(served: Served) -> None:
    issue = served.repo.create_issue("One")
    served.told()
    issue.add_to_labels("bug", "question")
    issue.add_to_labels("bug")
    issue.remove_from_labels("bug")
    issue.set_labels("wontfix")
    told = [(e.action, e.payload["label"]["name"]) for e in served.events]
    assert told == [
        ("labeled", "bug"),
        ("labeled", "question"),
        ("unlabeled", "bug"),
        ("labeled", "wontfix"),
        ("unlabeled", "question"),
    ]
    refused(404, issue.remove_from_labels, "bug")
    assert [event.event for event in issue.get_events()][:2] == ["labeled", "labeled"]
    issue.delete_labels()
    assert list(issue.get_labels()) == []
    outsider = served.client("outsider").get_repo(FULL_NAME)
    refused(403, outsider.get_issue(1).add_to_labels, "bug")


def test_a_label_on_a_pull_request_is_told_as_such(served: Served) -> None:
    push(served, "feature")
    pull = served.repo.create_pull(base="main", head="feature", title="t", body="")
    served.told()
    pull.add_to_labels("bug")
    (event,) = served.events
    assert (event.name, event.action) == ("pull_request", "labeled")
    assert event.payload["label"]["name"] == "bug"
    assert [label.name for label in served.repo.get_pull(1).labels] == ["bug"]
    assert served.repo.get_issue(1).pull_request is not None
    assert served.repo.create_issue("Next").number == 2


def test_comments_are_written_changed_and_dropped(served: Served) -> None:
    outsider = served.client("outsider").get_repo(FULL_NAME)
    issue = outsider.create_issue("One")
    served.told()
    comment = outsider.get_issue(1).create_comment("Me too.")
    comment.edit("Me, too.")
    assert [c.body for c in issue.get_comments()] == ["Me, too."]
    assert served.repo.get_issue(1).comments == 1
    other = served.repo.get_issue(1).create_comment("Thanks.")
    assert [c.id for c in served.repo.get_issues_comments()] == [comment.id, other.id]
    refused(403, outsider.get_issue(1).get_comment(other.id).edit, "Mine")
    served.repo.get_issue(1).get_comment(comment.id).delete()
    assert [c.body for c in issue.get_comments()] == ["Thanks."]
    told = [(e.name, e.action) for e in served.events]
    assert told == [
        ("issue_comment", action) for action in ("created", "edited", "created", "deleted")
    ]
    refused(422, issue.create_comment, "x" * 65537)
    refused(422, issue.create_comment, "")


def test_people_are_given_issues_if_they_work_here(served: Served) -> None:
    issue = served.repo.create_issue("One", assignees=["developer"])
    assert [user.login for user in issue.assignees] == ["developer"]
    issue.add_to_assignees("reviewer", "outsider")
    assert [user.login for user in issue.assignees] == ["developer", "reviewer"]
    issue.remove_from_assignees("developer")
    assert [i.number for i in served.repo.get_issues(assignee="reviewer")] == [1]
    assert list(served.repo.get_issues(assignee="developer")) == []
    assert served.repo.has_in_assignees("developer")
    assert not served.repo.has_in_assignees("outsider")
    people = {user.login for user in served.repo.get_assignees()}
    assert people == {"maintainer", "developer", "reviewer"}


def test_milestones_count_their_issues(served: Served) -> None:
    milestone = served.repo.create_milestone("1.0", description="First")
    issue = served.repo.create_issue("One", milestone=milestone)
    served.repo.create_issue("Two", milestone=milestone)
    issue.edit(state="closed")
    found = served.repo.get_milestone(1)
    assert (found.open_issues, found.closed_issues) == (1, 1)
    milestone.edit("1.0", state="closed")
    assert list(served.repo.get_milestones()) == []
    refused(422, served.repo.create_milestone, "1.0")
    milestone.delete()
    assert served.repo.get_issue(1).milestone is None


def test_only_its_author_or_who_may_triage_changes_an_issue(served: Served) -> None:
    issue = served.repo.create_issue("One")
    outsider = served.client("outsider").get_repo(FULL_NAME)
    refused(403, outsider.get_issue(1).edit, title="Mine")
    own = outsider.create_issue("Two")
    own.edit(title="Three", state="closed")
    assert (own.title, own.state) == ("Three", "closed")
    issue.edit(title="Four", body="b")
    assert served.repo.get_issue(1).title == "Four"
    refused(422, issue.edit, state="lost")
    served.repo.edit(has_issues=False)
    answer = served.raw.post(f"/repos/{FULL_NAME}/issues", json={"title": "x"})
    assert answer.status_code == 410


def test_a_token_for_pull_requests_comments_on_them_and_on_no_other_issue(served: Served) -> None:
    served.repo.edit(private=True)
    push(served, "feature")
    served.repo.create_pull(base="main", head="feature", title="t", body="")
    other = served.repo.create_issue("Two").create_comment("x")

    def token(**permissions: str) -> str:
        return str(
            served.hub.tokens.mint(
                "github-actions[bot]",
                "workflow",
                permissions=permissions,
                repositories=[FULL_NAME],
            )
        )

    under = f"/repos/{FULL_NAME}/issues"
    bot = served.http(token=token(pull_requests="write"))
    made = bot.post(f"{under}/1/comments", json={"body": "Up."})
    assert made.status_code == 201
    assert bot.patch(f"{under}/comments/{made.json()['id']}", json={"body": "Down."}).is_success
    assert bot.post(f"{under}/1/labels", json={"labels": ["bug"]}).status_code == 200
    refusal = bot.post(f"{under}/2/comments", json={"body": "Up."})
    assert refusal.status_code == 403
    assert refusal.headers["x-accepted-github-permissions"] == "issues=write"
    assert bot.patch(f"{under}/comments/{other.id}", json={"body": "No."}).status_code == 403
    assert bot.get(f"{under}/2").status_code == 403
    refusal = served.http(token=token(contents="write")).post(
        f"{under}/1/comments", json={"body": "Up."}
    )
    accepted = refusal.headers["x-accepted-github-permissions"]
    assert accepted == "issues=write; pull_requests=write"
    bot = served.http(token=token(issues="write"))
    assert bot.post(f"{under}/1/comments", json={"body": "Up."}).status_code == 201


def test_commits_are_commented_on_where_there_is_no_pull_request(served: Served) -> None:
    sha = push(served, "feature-demo/x")
    served.told()
    branch = served.client("developer").get_repo(FULL_NAME).get_branch("feature-demo/x")
    comment = branch.commit.create_comment("It is at http://x.example.")
    assert (comment.commit_id, comment.user.login) == (sha, "developer")
    assert [(e.name, e.action) for e in served.events] == [("commit_comment", "created")]
    comment.edit("It is gone.")
    assert [c.body for c in served.repo.get_commit(sha).get_comments()] == ["It is gone."]
    assert [c.id for c in served.repo.get_comments()] == [comment.id]
    outsider = served.client("outsider").get_repo(FULL_NAME)
    refused(403, outsider.get_comment(comment.id).delete)
    comment.delete()
    refused(404, served.repo.get_comment, comment.id)
