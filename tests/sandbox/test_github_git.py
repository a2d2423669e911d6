"""git itself, over HTTP: who may fetch and push, and which pushes a repository's rules refuse."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.unit.github_hub import FULL_NAME, Served
from tests.unit.github_hub import served as served
from tests.unit.pushing import Clone

MAIN = {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}}
PULL_REQUEST = {
    "type": "pull_request",
    "parameters": {
        "dismiss_stale_reviews_on_push": True, "require_code_owner_review": False,
        "require_last_push_approval": False, "required_approving_review_count": 1,
        "required_review_thread_resolution": False,
    },
}  # fmt: skip


def clone(served: Served, folder: Path, who: str = "developer", token: str = "") -> Clone:
    url = f"{served.url}/{FULL_NAME}.git"
    return Clone(folder / who, url, who, token or served.tokens.get(who, ""))


@pytest.fixture
def work(served: Served, tmp_path: Path) -> Clone:
    """A developer's clone; `main` has one commit."""
    folder = tmp_path / "work"
    folder.mkdir()
    made = clone(served, folder)
    made.commit("README.md", "hello\n")
    made.git("push", "--quiet", "origin", "HEAD:main")
    assert served.told() == ["create refs/heads/main", "push refs/heads/main"]
    return made


def ruleset(served: Served, *rules: dict[str, Any], **more: Any) -> None:
    body = {"name": "main", "enforcement": "active", "conditions": MAIN, "rules": rules, **more}
    answer = served.raw.post(f"/repos/{FULL_NAME}/rulesets", json=body)
    assert answer.status_code == 201, answer.text


def test_what_is_pushed_is_fetched_by_others(served: Served, work: Clone) -> None:
    work.commit("app.py", "print()\n")
    work.git("push", "--quiet", "origin", "HEAD:main", "HEAD:feature-demo/x")
    work.git("push", "--quiet", "origin", "HEAD:refs/tags/v1")
    assert served.told() == [
        "create refs/heads/feature-demo/x",
        "push refs/heads/feature-demo/x",
        "push refs/heads/main",
        "create refs/tags/v1",
        "push refs/tags/v1",
    ]
    other = clone(served, work.folder.parent, "reviewer")
    assert (other.folder / "app.py").read_text() == "print()\n"
    assert other.git("tag") == "v1"
    work.git("push", "--quiet", "origin", ":feature-demo/x")
    assert served.told() == ["delete refs/heads/main"]


def test_who_may_not_see_a_repository_cannot_clone_it(served: Served, tmp_path: Path) -> None:
    assert "not found" in clone(served, tmp_path, "outsider").clone.stderr
    assert "Authentication failed" in clone(served, tmp_path, "nobody", "ghp_no").clone.stderr


def test_a_token_that_only_reads_pushes_nothing(served: Served, work: Clone) -> None:
    token = served.hub.tokens.mint(
        "developer", "fine_grained", permissions={"contents": "read"}, repositories=[FULL_NAME]
    )
    reading = clone(served, work.folder.parent, "reading", token)
    reading.commit("x", "y")
    assert "403" in reading.refused("push", "origin", "HEAD:main")
    assert served.told() == []


def test_a_branch_that_takes_pull_requests_alone_refuses_a_push(
    served: Served, work: Clone
) -> None:
    ruleset(served, PULL_REQUEST)
    work.commit("x", "y")
    told = work.refused("push", "origin", "HEAD:main", "HEAD:other")
    assert "GH013: Repository rule violations found for refs/heads/main." in told
    assert "Changes must be made through a pull request." in told
    # The other ref of the same push is taken.
    assert served.told() == ["create refs/heads/other", "push refs/heads/other"]


def test_history_is_not_rewritten_where_a_rule_forbids_it(served: Served, work: Clone) -> None:
    everything = {"ref_name": {"include": ["~ALL"], "exclude": ["refs/heads/demo/*"]}}
    rules = [{"type": "non_fast_forward"}, {"type": "deletion"}]
    ruleset(served, *rules, conditions=everything)
    work.git("push", "--quiet", "origin", "HEAD:staging", "HEAD:demo/x")
    served.told()
    work.git("commit", "--quiet", "--amend", "-m", "another")
    assert "Cannot force-push to this branch" in work.refused("push", "-f", "origin", "HEAD:main")
    assert "Cannot delete this branch" in work.refused("push", "origin", ":staging")
    work.git("push", "--quiet", "origin", ":demo/x")
    work.git("reset", "--quiet", "--hard", "origin/main")
    work.commit("x", "y")
    work.git("push", "--quiet", "origin", "HEAD:main")
    assert served.told() == ["delete refs/heads/main", "push refs/heads/main"]
    # The default branch cannot go, whatever the rules.
    assert "current branch prohibited" in work.refused("push", "origin", ":main")


def test_a_branch_with_linear_history_refuses_a_merge(served: Served, work: Clone) -> None:
    ruleset(served, {"type": "required_linear_history"})
    work.git("checkout", "--quiet", "-b", "side")
    work.commit("side", "1")
    work.git("checkout", "--quiet", "-")
    work.commit("main", "1")
    work.git("merge", "--quiet", "--no-ff", "-m", "merged", "side")
    assert "must not contain merge commits" in work.refused("push", "origin", "HEAD:main")


def test_tags_are_kept_by_rules_of_their_own(served: Served, work: Clone) -> None:
    conditions = {"ref_name": {"include": ["refs/tags/v*"], "exclude": ["refs/tags/v0*"]}}
    rules = [{"type": "creation"}, {"type": "deletion"}]
    ruleset(served, *rules, target="tag", conditions=conditions)
    assert "creations being restricted" in work.refused("push", "origin", "HEAD:refs/tags/v1")
    work.git("push", "--quiet", "origin", "HEAD:refs/tags/v0.1", "HEAD:refs/tags/x")


def test_who_bypasses_a_ruleset_need_not_keep_to_it(served: Served, work: Clone) -> None:
    owners = {"actor_type": "OrganizationAdmin", "actor_id": 1, "bypass_mode": "always"}
    ruleset(served, PULL_REQUEST, {"type": "update"}, bypass_actors=[owners])
    work.commit("x", "y")
    assert "Cannot update this protected ref." in work.refused("push", "origin", "HEAD:main")
    owner = clone(served, work.folder.parent, "maintainer")
    owner.commit("x", "z")
    owner.git("push", "--quiet", "origin", "HEAD:main")


def test_a_check_has_to_be_good_before_a_branch_moves(served: Served, work: Clone) -> None:
    wanted = {
        "required_status_checks": [{"context": "build"}],
        "strict_required_status_checks_policy": False,
    }
    ruleset(served, {"type": "required_status_checks", "parameters": wanted})
    sha = work.commit("x", "y")
    assert 'check "build" is expected' in work.refused("push", "origin", "HEAD:main")
    work.git("push", "--quiet", "origin", "HEAD:try")
    answer = served.raw.post(
        f"/repos/{FULL_NAME}/statuses/{sha}", json={"state": "success", "context": "build"}
    )
    assert answer.status_code == 201
    work.git("push", "--quiet", "origin", "HEAD:main")


@pytest.mark.parametrize(
    ("kind", "permissions"),
    [
        ("fine_grained", {"contents": "write"}),
        ("workflow", {"contents": "write", "workflows": "write"}),
    ],
)
def test_a_token_without_leave_changes_no_workflow(
    served: Served, work: Clone, kind: str, permissions: dict[str, str]
) -> None:
    login = "developer" if kind == "fine_grained" else "github-actions[bot]"
    token = served.hub.tokens.mint(login, kind, permissions=permissions, repositories=[FULL_NAME])
    robot = clone(served, work.folder.parent, "robot", token)
    robot.commit("x", "y")
    robot.git("push", "--quiet", "origin", "HEAD:main")
    assert [event.by_workflow_token for event in served.events] == [kind == "workflow"]
    robot.commit(".github/workflows/ci.yml", "on: push\n")
    told = robot.refused("push", "origin", "HEAD:main")
    assert "workflow `.github/workflows/ci.yml` without `workflows` permission" in told
    # Who brings no new workflow is not stopped by one that is there.
    work.git("pull", "--quiet", "--rebase", "origin", "main")
    work.commit(".github/workflows/ci.yml", "on: push\n")
    work.git("push", "--quiet", "origin", "HEAD:main")
    robot.git("reset", "--quiet", "--hard", "origin/main")
    robot.git("pull", "--quiet", "origin", "main")
    robot.commit("x", "z")
    robot.git("push", "--quiet", "origin", "HEAD:main")


def test_a_pull_request_follows_pushes_and_can_be_fetched_by_its_number(
    served: Served, work: Clone
) -> None:
    work.commit("feature.py", "1\n")
    work.git("push", "--quiet", "origin", "HEAD:feature")
    repo = served.client("developer").get_repo(FULL_NAME)
    repo.create_pull(base="main", head="feature", title="Feature", body="")
    served.told()
    work.commit("feature.py", "2\n")
    work.git("push", "--quiet", "origin", "HEAD:feature")
    assert served.told() == ["push refs/heads/feature", "pull_request refs/pull/1/merge"]
    other = clone(served, work.folder.parent, "reviewer")
    other.git("fetch", "--quiet", "origin", "refs/pull/1/head:head", "refs/pull/1/merge:merged")
    assert other.git("show", "head:feature.py") == "2"
    assert other.git("rev-parse", "merged^2") == repo.get_pull(1).head.sha
    work.commit("feature.py", "3\n")
    assert "403" in work.refused("push", "origin", "HEAD:refs/pull/1/head")
    served.repo.get_pull(1).merge(merge_method="squash")
    work.git("fetch", "--quiet", "origin")
    assert work.git("show", "origin/main:feature.py") == "2"
    work.git("push", "--quiet", "origin", ":feature")
    assert repo.get_pull(1).merged


def test_pushes_at_the_same_time_are_told_of_once_each(served: Served, work: Clone) -> None:
    sha = work.git("rev-parse", "HEAD")
    clones = [clone(served, work.folder.parent, who) for who in ("reviewer", "maintainer")]
    names = {each.folder.name: [f"{each.folder.name}-{n}" for n in range(4)] for each in clones}
    # A slow hook keeps each push open while the other one moves its refs.
    repository = served.hub.repository(*FULL_NAME.split("/"))
    slow = served.hub.git(repository).folder / "hooks" / "post-receive"
    slow.write_text("#!/bin/sh\nsleep 0.3\n")
    slow.chmod(0o755)

    def push(each: Clone) -> None:
        each.git(
            "push", "--quiet", "origin", *(f"{sha}:refs/heads/{n}" for n in names[each.folder.name])
        )

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(push, clones))
    told = [(e.actor, e.ref) for e in served.events if e.name == "push"]
    wanted = [(who, f"refs/heads/{name}") for who, listed in names.items() for name in listed]
    assert sorted(told) == sorted(wanted)


def test_tags_of_releases_are_pushed_moved_and_deleted_by_who_may(
    served: Served, work: Clone, tmp_path: Path
) -> None:
    work.git("push", "--quiet", "origin", "HEAD:refs/tags/v1.0.0")
    roles = [{"actor_type": "RepositoryRole", "actor_id": each} for each in (2, 5)]
    ruleset(
        served,
        *({"type": each} for each in ("creation", "update", "deletion")),
        target="tag",
        conditions={"ref_name": {"include": ["refs/tags/v*"], "exclude": []}},
        bypass_actors=roles,
    )
    work.commit("app.py", "print()\n")
    for refspec, why in (
        ("HEAD:refs/tags/v2.0.0", "Cannot create ref due to creations being restricted"),
        ("+HEAD:refs/tags/v1.0.0", "Cannot update this protected ref"),
        (":refs/tags/v1.0.0", "Cannot delete this tag"),
    ):
        assert why in work.refused("push", "origin", refspec)
    work.git("push", "--quiet", "origin", "HEAD:refs/tags/other-1", "HEAD:feature-demo/x")
    (tmp_path / "theirs").mkdir()
    maintainer = clone(served, tmp_path / "theirs", "maintainer")
    maintainer.commit("app.py", "print(2)\n")
    maintainer.git("push", "--quiet", "origin", "HEAD:refs/tags/v2.0.0", "+HEAD:refs/tags/v1.0.0")
    maintainer.git("push", "--quiet", "origin", ":refs/tags/v1.0.0")
