"""Tags of releases, which start production's deploy: who may make, move and delete them."""

from collections.abc import Iterator
from typing import Any

import pytest
from github import GithubException

from flow.onboarding import application, github_doctor, release_tags
from flow.onboarding.hub import Hub
from flow.promotion import team
from sandbox.github.access import BOT
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served, refused
from tests.unit.github_hub import served as served

TAG = "refs/tags/v1.0.0"


@pytest.fixture
def commits(served: Served) -> list[str]:
    """Two commits of main, and a tag on the first."""
    found = [push(served, "main", message=each, who="maintainer") for each in ("one", "two")]
    served.repo.create_git_ref(TAG, found[0])
    return found


def as_(served: Served, who: str, token: str = "") -> Any:
    return served.client(who, token).get_repo(FULL_NAME)


@pytest.fixture
def hub(served: Served) -> Iterator[Hub]:
    with Hub(FULL_NAME, served.tokens["maintainer"], f"{served.url}/api/v3") as made:
        yield made


def test_without_a_ruleset_whoever_writes_tags_a_release(
    served: Served, commits: list[str]
) -> None:
    developer = as_(served, "developer")
    developer.create_git_ref("refs/tags/v2.0.0", commits[1])
    developer.get_git_ref("tags/v1.0.0").edit(commits[1], force=True)
    developer.get_git_ref("tags/v1.0.0").delete()


def test_who_may_only_write_makes_moves_and_deletes_none(
    served: Served, commits: list[str]
) -> None:
    release_tags.ensure(served.repo)
    run = served.hub.tokens.mint(
        BOT, "workflow", permissions={"contents": "write"}, repositories=[FULL_NAME]
    )
    for writer in (as_(served, "developer"), as_(served, "", run)):
        there = writer.get_git_ref("tags/v1.0.0")
        assert "creations being restricted" in refused(
            422, lambda w=writer: w.create_git_ref("refs/tags/v2.0.0", commits[1])
        )
        assert "update this protected ref" in refused(
            422, lambda t=there: t.edit(commits[1], force=True)
        )
        assert "Cannot delete this tag" in refused(422, there.delete)
        # Nor by a release, which would make its tag.
        refused(422, lambda w=writer: w.create_git_release("v2.0.0", "v2.0.0", "", prerelease=True))
        writer.create_git_ref(f"refs/tags/other-{writer.get_commits().totalCount}", commits[1])
        writer.get_git_ref(f"tags/other-{writer.get_commits().totalCount}").delete()
    assert [each.tag_name for each in served.repo.get_releases()] == []
    assert served.repo.get_git_ref("tags/v1.0.0").object.sha == commits[0]
    released = served.repo.create_git_release("v2.0.0", "v2.0.0", "")
    assert released.tag_name == "v2.0.0"


def test_who_maintains_publishes(served: Served, commits: list[str]) -> None:
    release_tags.ensure(served.repo)
    served.repo.add_to_collaborators("developer", "maintain")
    as_(served, "developer").create_git_release("v2.0.0", "v2.0.0", "")


def test_a_refused_release_says_whom_to_ask(served: Served, commits: list[str]) -> None:
    release_tags.ensure(served.repo)
    with pytest.raises(GithubException) as raised:
        as_(served, "developer").create_git_release("v2.0.0", "v2.0.0", "")
    assert "maintain and admin" in team.explained(raised.value).remedy


def test_it_is_made_once_and_put_right_where_somebody_changed_it(
    served: Served, hub: Hub, commits: list[str]
) -> None:
    (step,), notes = application.tag_steps(hub, served.repo)
    assert "roles maintain and admin" in step.what
    assert notes == []
    step.do()
    assert application.tag_steps(hub, served.repo) == ([], [])
    (made,) = served.raw.get(f"/repos/{FULL_NAME}/rulesets").json()
    weaker = {**release_tags.body(), "enforcement": "disabled"}
    served.raw.put(f"/repos/{FULL_NAME}/rulesets/{made['id']}", json=weaker).raise_for_status()
    (step,), _ = application.tag_steps(hub, served.repo)
    step.do()
    assert len(served.raw.get(f"/repos/{FULL_NAME}/rulesets").json()) == 1
    assert application.tag_steps(hub, served.repo) == ([], [])


def test_the_doctor_looks_for_it_and_names_the_command(
    served: Served, hub: Hub, commits: list[str]
) -> None:
    (found,) = github_doctor.tags(hub)
    assert (found.state, found.mend) == ("missing", "flow init")
    assert "creation, update, deletion" in found.seen
    release_tags.ensure(served.repo)
    (found,) = github_doctor.tags(hub)
    assert found.state == "ok"


def ruleset(**changed: Any) -> dict[str, Any]:
    return {**release_tags.body(), **changed}


@pytest.mark.parametrize(
    ("found", "left"),
    [
        (ruleset(), []),
        (ruleset(rules=[{"type": "creation"}]), ["update", "deletion"]),
        (ruleset(target="branch"), list(release_tags.TYPES)),
        (ruleset(enforcement="evaluate"), list(release_tags.TYPES)),
        (
            ruleset(conditions={"ref_name": {"include": ["refs/tags/v1*"], "exclude": []}}),
            list(release_tags.TYPES),
        ),
        (
            ruleset(conditions={"ref_name": {"include": ["~ALL"], "exclude": ["refs/tags/v1*"]}}),
            list(release_tags.TYPES),
        ),
        (ruleset(conditions={"ref_name": {"include": ["~ALL"], "exclude": []}}), []),
        # The write role goes round it, or every run's token.
        (
            ruleset(bypass_actors=[{"actor_type": "RepositoryRole", "actor_id": 4}]),
            list(release_tags.TYPES),
        ),
        (
            ruleset(bypass_actors=[{"actor_type": "Integration", "actor_id": 15368}]),
            list(release_tags.TYPES),
        ),
        (ruleset(bypass_actors=[{"actor_type": "Team", "actor_id": 7}]), []),
    ],
)
def test_what_a_ruleset_leaves_open_is_seen(found: dict[str, Any], left: list[str]) -> None:
    assert release_tags.open_to([found]) == left
