"""Promotions, releases and hotfixes against a GitHub: what is opened, once, and what it says."""

import datetime

import pytest
from github import GithubException

from flow.errors import FlowError
from flow.promotion import steps, team
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served
from tests.unit.github_hub import served as served
from tests.unit.promoting import begin, merge, merged

DAY = datetime.date(2030, 6, 3)


@pytest.fixture(autouse=True)
def branches(served: Served) -> None:
    """The three branches, at one commit."""
    begin(served)


def heads(served: Served) -> set[str]:
    return {branch.name for branch in served.repo.get_branches()}


def open_pulls(served: Served, base: str) -> list[str]:
    return [pull.head.ref for pull in served.repo.get_pulls(state="open", base=base)]


def to_staging(served: Served) -> None:
    """Promote what development has, and merge it."""
    merge(served, steps.promote_staging(served.repo, DAY).url)


def to_main(served: Served) -> None:
    """Promote what staging has, and merge it."""
    merge(served, steps.promote_prod(served.repo).url)


def test_a_promotion_to_staging_freezes_development_and_is_opened_once(served: Served) -> None:
    pull = merged(served, "topic/map", "feat: a map")
    frozen_at = served.repo.get_branch("development").commit.sha
    done = steps.promote_staging(served.repo, DAY)
    assert (done.done, done.branch) == ("opened", "freeze/2030-06-03")
    assert f"- A map (#{pull.number} by @maintainer)" in done.text
    assert served.repo.get_branch(done.branch).commit.sha == frozen_at
    opened = served.repo.get_pull(int(done.url.rpartition("/")[2]))
    assert (opened.base.ref, opened.head.ref, opened.body) == ("staging", done.branch, done.text)
    # What comes later waits for the next one.
    merged(served, "topic/list", "feat: a list")
    again = steps.promote_staging(served.repo, DAY + datetime.timedelta(days=14))
    assert (again.done, again.url, again.branch) == ("open", done.url, done.branch)
    assert open_pulls(served, "staging") == [done.branch]


def test_without_a_change_there_is_nothing_to_promote(served: Served) -> None:
    assert steps.promote_staging(served.repo, DAY).done == "nothing"
    assert steps.promote_prod(served.repo).done == "nothing"
    merged(served, "topic/map", "feat: a map")
    to_staging(served)
    assert steps.promote_staging(served.repo, DAY).done == "nothing"
    to_main(served)
    assert steps.promote_prod(served.repo).done == "nothing"


def test_a_dry_run_says_what_it_would_open_and_makes_nothing(served: Served) -> None:
    merged(served, "topic/map", "feat: a map")
    before = heads(served)
    planned = steps.promote_staging(served.repo, DAY, dry_run=True)
    assert (planned.done, planned.url, planned.branch) == ("planned", "", "freeze/2030-06-03")
    assert "A map" in planned.text
    assert (heads(served), open_pulls(served, "staging")) == (before, [])
    to_staging(served)
    assert steps.promote_prod(served.repo, dry_run=True).done == "planned"
    assert open_pulls(served, "main") == []


def test_a_second_freeze_of_a_day_has_a_number(served: Served) -> None:
    merged(served, "topic/map", "feat: a map")
    to_staging(served)
    merged(served, "topic/list", "feat: a list")
    second = steps.promote_staging(served.repo, DAY)
    assert second.branch == "freeze/2030-06-03-2"
    # What staging has is not told again.
    assert "A list" in second.text
    assert "A map" not in second.text


def test_a_freeze_whose_pull_request_is_refused_leaves_no_branch(served: Served) -> None:
    merged(served, "topic/map", "feat: a map")
    fault = {
        "match": {"method": "POST", "path": f"/repos/{FULL_NAME}/pulls"},
        "count": 1,
        "do": {"status": 422},
    }
    served.hub.faults.add(fault)
    with pytest.raises(GithubException):
        steps.promote_staging(served.repo, DAY)
    assert not any(name.startswith("freeze/") for name in heads(served))
    assert steps.promote_staging(served.repo, DAY).branch == "freeze/2030-06-03"


def test_a_patch_of_a_freeze_is_told_and_comes_back_to_development(served: Served) -> None:
    merged(served, "topic/map", "feat: a map")
    done = steps.promote_staging(served.repo, DAY)
    push(served, done.branch, message="fix: a scale on the map")
    merge(served, done.url)
    told = steps.promote_prod(served.repo, dry_run=True).text
    assert "- A map (#" in told
    assert "- A scale on the map (" in told
    assert [each.what for each in steps.back_merge(served.repo)] == [
        "back-merge of staging into development"
    ]


def test_every_pull_request_between_stages_says_that_it_takes_a_merge_commit(
    served: Served,
) -> None:
    merged(served, "topic/map", "feat: a map")
    planned = [steps.promote_staging(served.repo, DAY, dry_run=True)]
    to_staging(served)
    planned.append(steps.promote_prod(served.repo, dry_run=True))
    merged(served, "hotfix/login", "fix: the login loop", base="staging")
    planned += steps.back_merge(served.repo, dry_run=True)
    assert [steps.MERGE in each.text for each in planned] == [True] * 3


def test_the_same_branch_of_a_fork_is_no_promotion(served: Served) -> None:
    merged(served, "topic/map", "feat: a map")
    to_staging(served)
    owner = served.client("developer")
    fork = owner.get_repo(FULL_NAME).create_fork()
    push(served, "staging", who="developer", message="mine", full_name=fork.full_name)
    owner.get_repo(FULL_NAME).create_pull(base="main", head="developer:staging", title="Mine")
    done = steps.promote_prod(served.repo)
    assert done.done == "opened"
    assert served.repo.get_pull(int(done.url.rpartition("/")[2])).user.login == "maintainer"


def test_production_is_refused_while_a_release_blocker_is_open(served: Served) -> None:
    merged(served, "topic/map", "feat: a map")
    to_staging(served)
    # A pull request with the label is work on it, and no blocker.
    push(served, "topic/mend", start="development")
    pull = served.repo.create_pull(base="development", head="topic/mend", title="Mend", body="")
    pull.add_to_labels(steps.BLOCKER)
    blocker = served.repo.create_issue("Cannot print", labels=[steps.BLOCKER])
    with pytest.raises(FlowError, match=f"1 open issue.*: #{blocker.number} Cannot print") as told:
        steps.promote_prod(served.repo)
    assert "take the label off" in (told.value.remedy or "")
    assert open_pulls(served, "main") == []
    blocker.edit(state="closed")
    done = steps.promote_prod(served.repo)
    assert (done.done, open_pulls(served, "main")) == ("opened", ["staging"])
    assert steps.promote_prod(served.repo).url == done.url


def test_the_first_release_is_of_main_and_the_next_says_what_is_new(served: Served) -> None:
    merged(served, "topic/map", "feat: a map")
    to_staging(served)
    to_main(served)
    first = steps.release(served.repo)
    assert (first.done, first.title) == ("released", "v1.0.0")
    assert "A map" in first.text
    head = served.repo.get_branch("main").commit.sha
    assert served.repo.get_git_ref("tags/v1.0.0").object.sha == head
    assert steps.release(served.repo).done == "nothing"

    merged(served, "topic/list", "Lists are sorted", "bug")
    merged(served, "topic/pins", "chore: pins")
    to_staging(served)
    to_main(served)
    assert steps.release(served.repo, dry_run=True).title == "v1.0.1"
    merged(served, "topic/new", "Print", "feature", body="## For users\n\nMaps can be printed.\n")
    to_staging(served)
    to_main(served)
    planned = steps.release(served.repo, dry_run=True)
    assert (planned.done, planned.title) == ("planned", "v1.1.0")
    assert steps.release(served.repo, bump="major", dry_run=True).title == "v2.0.0"
    assert [each.tag_name for each in served.repo.get_releases()] == ["v1.0.0"]
    parts = [
        planned.text.index(each)
        for each in ("## New", "Maps can be printed.", "## Fixed", "Lists are sorted", "Pins")
    ]
    assert parts == sorted(parts)
    assert "A map" not in planned.text
    assert "/compare/v1.0.0...v1.1.0" in planned.text


def test_a_version_that_cannot_be_a_releases_is_refused(served: Served) -> None:
    with pytest.raises(FlowError, match=r"'1\.0' is no version") as told:
        steps.release(served.repo, version="1.0")
    assert told.value.code == 2
    served.repo.create_git_ref("refs/tags/v1.0.0", served.repo.get_branch("main").commit.sha)
    with pytest.raises(FlowError, match=r"there is a tag v1\.0\.0 already"):
        steps.release(served.repo)


def test_a_prerelease_is_marked_as_one_and_the_next_version_ignores_it(served: Served) -> None:
    done = steps.release(served.repo, version="v1.0.0-rc.1")
    assert done.done == "released"
    assert served.repo.get_release("v1.0.0-rc.1").prerelease
    assert steps.release(served.repo, dry_run=True).title == "v1.0.0"


def test_a_last_release_without_a_version_asks_for_one(served: Served) -> None:
    served.repo.create_git_release("summer", "Summer", "…", target_commitish="main")
    push(served, "main", who="maintainer", message="fix: more")
    with pytest.raises(FlowError, match="summer is no version") as told:
        steps.release(served.repo)
    assert "--version" in (told.value.remedy or "")
    assert steps.release(served.repo, version="v2.0.0").done == "released"


def test_a_hotfix_has_a_branch_then_a_pull_request_and_neither_twice(served: Served) -> None:
    assert steps.start_hotfix(served.repo, "login", "staging", dry_run=True).done == "planned"
    assert "hotfix/login" not in heads(served)
    started = steps.start_hotfix(served.repo, "login", "staging")
    assert (started.done, started.branch) == ("opened", "hotfix/login")
    assert steps.start_hotfix(served.repo, "login", "staging").done == "open"
    with pytest.raises(FlowError, match="hotfix/login has no commit that staging lacks"):
        steps.finish_hotfix(served.repo, "login", "staging")
    push(served, "hotfix/login", message="fix: the login loop")
    assert steps.finish_hotfix(served.repo, "login", "staging", dry_run=True).done == "planned"
    done = steps.finish_hotfix(served.repo, "login", "staging")
    assert (done.done, done.title) == ("opened", "Hotfix: The login loop")
    pull = served.repo.get_pull(int(done.url.rpartition("/")[2]))
    assert (pull.base.ref, [each.name for each in pull.labels]) == ("staging", ["hotfix"])
    again = steps.finish_hotfix(served.repo, "hotfix/login", "staging")
    assert (again.done, again.url) == ("open", done.url)


def test_a_hotfix_without_a_branch_says_how_to_start_one(served: Served) -> None:
    with pytest.raises(FlowError, match="there is no branch hotfix/login") as told:
        steps.finish_hotfix(served.repo, "login", "main")
    assert told.value.remedy == "flow hotfix start login --base main"
    with pytest.raises(FlowError, match="cannot name a branch"):
        steps.start_hotfix(served.repo, "../x", "main")


def test_a_hotfix_goes_to_no_other_branch_than_it_was_begun_off(served: Served) -> None:
    merged(served, "topic/map", "feat: a map")
    to_staging(served)
    started = steps.start_hotfix(served.repo, "login", "staging")
    push(served, started.branch, message="fix: the login loop")
    with pytest.raises(FlowError, match="hotfix/login was begun off staging, not off main") as told:
        steps.finish_hotfix(served.repo, "login", "main")
    assert told.value.remedy == "flow hotfix finish login --base staging"
    assert open_pulls(served, "main") == []
    to_main(served)
    begun = steps.start_hotfix(served.repo, "print", "main")
    push(served, begun.branch, message="fix: printing")
    with pytest.raises(FlowError, match="was begun off main, not off staging"):
        steps.finish_hotfix(served.repo, "print", "staging")
    assert steps.finish_hotfix(served.repo, "print", "main").done == "opened"


def test_plain_promotions_leave_nothing_to_bring_back(served: Served) -> None:
    merged(served, "topic/map", "feat: a map")
    to_staging(served)
    to_main(served)
    assert steps.missing_below(served.repo) == {}
    assert steps.back_merge(served.repo) == []


def test_a_hotfix_of_main_comes_back_branch_by_branch(served: Served) -> None:
    started = steps.start_hotfix(served.repo, "login", "main")
    fix = push(served, started.branch, message="fix: the login loop")
    merge(served, steps.finish_hotfix(served.repo, "login", "main").url)
    assert steps.missing_below(served.repo) == {"main → staging": [fix]}
    planned = steps.back_merge(served.repo, dry_run=True)
    assert [(each.done, each.branch) for each in planned] == [("planned", "main")]
    assert open_pulls(served, "staging") == []

    (first,) = steps.back_merge(served.repo)
    assert (first.done, first.title) == ("opened", "Back from main: Hotfix: The login loop")
    assert [(each.done, each.url) for each in steps.back_merge(served.repo)] == [
        ("open", first.url)
    ]
    merge(served, first.url)
    assert steps.missing_below(served.repo) == {"staging → development": [fix]}
    (second,) = steps.back_merge(served.repo)
    assert (second.what, second.done) == ("back-merge of staging into development", "opened")
    merge(served, second.url)
    assert steps.missing_below(served.repo) == {}
    assert steps.back_merge(served.repo) == []


def test_what_was_told_to_users_at_length_still_fits_a_pull_requests_title(
    served: Served,
) -> None:
    body = f"## For users\n\n{'The list opens again. ' * 20}"
    merged(served, "hotfix/list", "fix: list", base="staging", body=body)
    (done,) = steps.back_merge(served.repo)
    assert done.done == "opened"
    assert done.title.startswith("Back from staging: The list opens again.")


def test_a_run_that_may_not_freeze_workflow_files_is_told_who_may() -> None:
    refusal = GithubException(
        403,
        {"message": "Resource not accessible by integration"},
        {"x-accepted-github-permissions": "contents=write; contents=write,workflows=write"},
    )
    told = team.explained(refusal)
    assert "workflow files are not those of the default branch" in told.remedy
    assert "flow promote staging" in told.remedy
