"""What the rules of a branch ask of a pull request, one by one."""

from typing import Any

import pytest

from tests.unit.github_commits import move, push
from tests.unit.github_hub import FULL_NAME, Served, refused
from tests.unit.github_hub import served as served


@pytest.fixture(autouse=True)
def pull(served: Served) -> None:
    """A pull request by the developer; main has gone on since."""
    push(served, "main", {"a.txt": "one\n"}, who="maintainer")
    push(served, "feature")
    push(served, "main", message="Meanwhile", who="maintainer")
    repo = served.client("developer").get_repo(FULL_NAME)
    repo.create_pull(base="main", head="feature", title="t", body="")


def ruleset(
    served: Served, kind: str, parameters: dict[str, Any] | None = None, **more: Any
) -> None:
    """A rule for main."""
    rule = {"type": kind, **({"parameters": parameters} if parameters else {})}
    body = {
        "name": kind,
        "enforcement": "active",
        "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
        "rules": [rule],
        **more,
    }
    answer = served.raw.post(f"/repos/{FULL_NAME}/rulesets", json=body)
    assert answer.status_code == 201, answer.text


def reviews_asked(count: int, **more: bool) -> dict[str, Any]:
    """Parameters of a rule that wants pull requests."""
    return {
        "required_approving_review_count": count,
        "dismiss_stale_reviews_on_push": False,
        "require_code_owner_review": False,
        "require_last_push_approval": False,
        "required_review_thread_resolution": False,
        **more,
    }


def approve(served: Served, who: str = "reviewer") -> None:
    served.client(who).get_repo(FULL_NAME).get_pull(1).create_review(event="APPROVE")


def state(served: Served) -> str:
    return str(served.repo.get_pull(1).mergeable_state)


def test_a_branch_that_must_be_up_to_date_is_behind_until_it_is(served: Served) -> None:
    checks = {"required_status_checks": [], "strict_required_status_checks_policy": True}
    ruleset(served, "required_status_checks", checks)
    assert state(served) == "behind"
    assert "out of date" in refused(405, served.repo.get_pull(1).merge)
    assert served.repo.get_pull(1).update_branch()
    assert state(served) == "clean"
    assert served.repo.get_pull(1).merge().merged


def test_two_approvals_are_of_two_people(served: Served) -> None:
    ruleset(served, "pull_request", reviews_asked(2))
    approve(served)
    approve(served)
    message = refused(405, served.repo.get_pull(1).merge)
    assert "At least 2 approving reviews are required" in message
    approve(served, "maintainer")
    assert state(served) == "clean"


def test_who_wants_changes_holds_it_though_others_agree(served: Served) -> None:
    ruleset(served, "pull_request", reviews_asked(1))
    approve(served, "maintainer")
    reviewer = served.client("reviewer").get_repo(FULL_NAME).get_pull(1)
    review = reviewer.create_review(event="REQUEST_CHANGES", body="Not yet")
    assert "Changes have been requested." in refused(405, served.repo.get_pull(1).merge)
    review.dismiss("They are on holiday")
    assert served.repo.get_pull(1).merge().merged


def test_who_pushed_last_does_not_agree_to_their_own(served: Served) -> None:
    ruleset(served, "pull_request", reviews_asked(1, require_last_push_approval=True))
    push(served, "feature", message="By the reviewer", who="reviewer")
    approve(served)
    assert "last pusher" in refused(405, served.repo.get_pull(1).merge)
    approve(served, "maintainer")
    assert state(served) == "clean"


def test_who_may_bypass_the_rules_merges_and_others_do_not(served: Served) -> None:
    actor = {"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "pull_request"}
    ruleset(served, "pull_request", reviews_asked(1), bypass_actors=[actor])
    developer = served.client("developer").get_repo(FULL_NAME)
    assert "approving review" in refused(405, developer.get_pull(1).merge)
    assert state(served) == "blocked"
    assert served.repo.get_pull(1).merge().merged


def test_a_linear_history_takes_no_merge_commit(served: Served) -> None:
    ruleset(served, "required_linear_history")
    assert "not allowed by the rules" in refused(405, served.repo.get_pull(1).merge)
    assert served.repo.get_pull(1).merge(merge_method="squash").merged


@pytest.mark.parametrize("method", ["squash", "rebase"])
def test_a_branch_that_takes_merge_commits_alone_takes_nothing_else(
    served: Served, method: str
) -> None:
    ruleset(served, "pull_request", {**reviews_asked(0), "allowed_merge_methods": ["merge"]})
    refusal = refused(405, served.repo.get_pull(1).merge, merge_method=method)
    assert f"Merge method {method} is not allowed by the rules of main" in refusal
    assert served.repo.get_pull(1).merge(merge_method="merge").merged


def test_a_branch_that_may_not_be_deleted_stays_after_its_merge(served: Served) -> None:
    named = {"ref_name": {"include": ["refs/heads/feature"], "exclude": []}}
    ruleset(served, "deletion", conditions=named)
    served.repo.edit(delete_branch_on_merge=True)
    served.repo.get_pull(1).merge()
    assert served.repo.get_branch("feature").name == "feature"


def test_a_failing_check_that_nobody_asks_for_only_makes_it_unstable(served: Served) -> None:
    pull = served.repo.get_pull(1)
    served.raw.post(
        f"/repos/{FULL_NAME}/statuses/{pull.head.sha}", json={"state": "failure", "context": "x"}
    )
    assert state(served) == "unstable"
    assert pull.merge().merged


def test_histories_without_a_common_commit_are_not_for_a_pull_request(served: Served) -> None:
    git = served.hub.git(served.hub.repository("example-org", "fieldwork"))
    tree = git.commit("main").tree
    alone = git.write_commit(tree, [], "Alone", git.commit("main").author, served.hub.store.now())
    move(served, "alone", alone)
    body = {"title": "t", "head": "alone", "base": "main"}
    answer = served.raw.post(f"/repos/{FULL_NAME}/pulls", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["message"] == (
        "The alone branch has no history in common with main"
    )
