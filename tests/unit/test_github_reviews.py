"""Reviews: by whom, of what, and which of them count."""

import httpx
import pytest

from sandbox.github import reviews
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served, refused
from tests.unit.github_hub import served as served

PATH = f"/repos/{FULL_NAME}/pulls/1/reviews"


@pytest.fixture(autouse=True)
def pull(served: Served) -> None:
    """A pull request by the developer, in a public repository."""
    served.repo.edit(private=False)
    push(served, "main", {"a.txt": "one\n"}, who="maintainer")
    push(served, "feature")
    repo = served.client("developer").get_repo(FULL_NAME)
    repo.create_pull(base="main", head="feature", title="t", body="")
    served.told()


def approvals(served: Served) -> int:
    """How many count."""
    hub = served.hub
    (record,) = hub.store.all("pull")
    return reviews.approvals(hub, hub.repository("example-org", "fieldwork"), record)


def test_a_review_is_told_of_and_takes_its_author_off_the_list(served: Served) -> None:
    served.repo.get_pull(1).create_review_request(reviewers=["reviewer"])
    served.told()
    made = served.client("reviewer").get_repo(FULL_NAME).get_pull(1).create_review(event="APPROVE")
    assert (made.state, made.user.login) == ("APPROVED", "reviewer")
    assert [(e.name, e.action) for e in served.events] == [("pull_request_review", "submitted")]
    assert served.events[0].payload["review"]["state"] == "approved"
    assert list(served.repo.get_pull(1).get_review_requests()[0]) == []
    assert approvals(served) == 1


def test_an_author_neither_approves_nor_refuses_their_own(served: Served) -> None:
    own = served.http("developer")
    told = own.post(PATH, json={"event": "APPROVE"})
    assert (told.status_code, told.json()["errors"]) == (
        422,
        ["Can not approve your own pull request"],
    )
    assert own.post(PATH, json={"event": "REQUEST_CHANGES", "body": "x"}).status_code == 422
    assert own.post(PATH, json={"event": "COMMENT", "body": "Please look."}).status_code == 200
    assert own.post(PATH, json={"event": "COMMENT"}).status_code == 422
    assert own.post(PATH, json={"event": "PRAISE"}).status_code == 422
    assert approvals(served) == 0


def test_only_the_last_word_of_who_may_write_counts(served: Served) -> None:
    served.client("outsider").get_repo(FULL_NAME).get_pull(1).create_review(event="APPROVE")
    assert approvals(served) == 0
    reviewed = served.client("reviewer").get_repo(FULL_NAME).get_pull(1)
    reviewed.create_review(event="APPROVE")
    reviewed.create_review(event="COMMENT", body="By the way")
    assert approvals(served) == 1
    reviewed.create_review(event="REQUEST_CHANGES", body="Wait")
    assert approvals(served) == 0
    reviewed.create_review(event="APPROVE")
    served.repo.get_pull(1).create_review(event="APPROVE")
    assert approvals(served) == 2


def test_a_dismissed_review_does_not_count(served: Served) -> None:
    reviewer = served.client("reviewer").get_repo(FULL_NAME).get_pull(1)
    made = reviewer.create_review(event="APPROVE")
    served.told()
    made.dismiss("Not any more")
    assert reviewer.get_review(made.id).state == "DISMISSED"
    assert [e.action for e in served.events] == ["dismissed"]
    assert approvals(served) == 0
    refused(422, made.dismiss, "again")
    outsider = served.client("outsider").get_repo(FULL_NAME).get_pull(1)
    refused(403, outsider.get_review(made.id).dismiss, "no")


def test_a_review_can_wait_to_be_submitted(served: Served) -> None:
    mine = served.http("reviewer")
    waiting = mine.post(PATH, json={"body": "Later"}).json()
    assert waiting["state"] == "PENDING"
    assert "submitted_at" not in waiting
    assert served.raw.get(PATH).json() == []
    dropped = mine.post(PATH, json={"body": "No"}).json()
    assert mine.delete(f"{PATH}/{dropped['id']}").status_code == 200
    assert served.raw.get(f"{PATH}/{dropped['id']}").status_code == 404
    done = mine.post(f"{PATH}/{waiting['id']}/events", json={"event": "APPROVE"}).json()
    assert (done["state"], done["body"]) == ("APPROVED", "Later")
    assert mine.delete(f"{PATH}/{waiting['id']}").status_code == 422
    changed = mine.put(f"{PATH}/{waiting['id']}", json={"body": "Well done"}).json()
    assert (changed["state"], changed["body"]) == ("APPROVED", "Well done")


def test_lines_are_commented_with_a_review_or_alone(served: Served) -> None:
    comments = [{"path": "a.txt", "position": 1, "body": "Why?"}]
    asked = {"event": "COMMENT", "body": "See below", "comments": comments}
    review = served.http("reviewer").post(PATH, json=asked).json()
    found = served.repo.get_pull(1)
    (comment,) = found.get_single_review_comments(review["id"])
    assert (comment.body, comment.path, comment.user.login) == ("Why?", "a.txt", "reviewer")
    alone = found.create_review_comment("Here", found.get_commits()[0], "a.txt", line=1)
    assert found.review_comments == 1
    assert served.repo.get_pull(1).review_comments == 2
    assert [c.body for c in found.get_review_comments()] == ["Why?", "Here"]
    assert served.raw.delete(f"/repos/{FULL_NAME}/pulls/comments/{alone.id}").status_code == 204


def test_a_workflows_token_approves_only_where_the_repository_lets_it(served: Served) -> None:
    token = served.hub.tokens.mint(
        "github-actions[bot]",
        "workflow",
        permissions={"pull_requests": "write"},
        repositories=[FULL_NAME],
    )
    bot = served.http(token=token)
    assert bot.post(PATH, json={"event": "APPROVE"}).status_code == 403
    assert bot.post(PATH, json={"event": "COMMENT", "body": "x"}).status_code == 200


def test_the_pages_of_a_pull_request_show_who_said_what(served: Served) -> None:
    served.client("reviewer").get_repo(FULL_NAME).get_pull(1).create_review(event="APPROVE")
    head = served.repo.get_pull(1).head.sha
    path = f"/repos/{FULL_NAME}/statuses/{head}"
    served.raw.post(path, json={"state": "failure", "context": "<lint>"})
    page = httpx.get(served.repo.get_pull(1).html_url).text
    assert "<td>reviewer</td><td>APPROVED</td>" in page
    assert "<td>&lt;lint&gt;</td><td>failure</td>" in page
    assert "feature/a change.txt" in page
