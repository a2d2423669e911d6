"""Promotions are merged by merge commits: where a repository takes none, it is told and mended."""

from collections.abc import Iterator
from typing import Any

import pytest

from flow.onboarding import github_doctor, merges
from flow.onboarding.hub import Hub
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served, refused
from tests.unit.github_hub import served as served


@pytest.fixture
def hub(served: Served) -> Iterator[Hub]:
    with Hub(FULL_NAME, served.tokens["maintainer"], f"{served.url}/api/v3") as made:
        yield made


def rule(served: Served, branch: str, *rules: dict[str, Any]) -> int:
    """A ruleset of the team's own; its number."""
    body = {
        "name": f"ours of {branch}", "target": "branch", "enforcement": "active", "rules": rules,
        "conditions": {"ref_name": {"include": [f"refs/heads/{branch}"], "exclude": []}},
    }  # fmt: skip
    answer = served.raw.post(f"/repos/{FULL_NAME}/rulesets", json=body)
    assert answer.status_code == 201, answer.text
    number: int = answer.json()["id"]
    return number


def takes(*methods: str) -> dict[str, Any]:
    """A rule that wants pull requests, merged in these ways."""
    return {
        "type": "pull_request",
        "parameters": {
            "allowed_merge_methods": list(methods),
            "dismiss_stale_reviews_on_push": False,
            "require_code_owner_review": False,
            "require_last_push_approval": False,
            "required_approving_review_count": 0,
            "required_review_thread_resolution": False,
        },
    }


def test_a_repository_without_merge_commits_is_told_with_the_command_that_mends_it(
    served: Served, hub: Hub
) -> None:
    served.repo.edit(allow_merge_commit=False)
    (found,) = merges.look(hub)
    assert found.state == "missing"
    assert "no promotion can be merged" in found.seen
    assert f"gh api -X PATCH repos/{FULL_NAME} -F allow_merge_commit=true" in found.mend
    assert "Settings → General → Pull Requests" in found.mend


def test_what_flow_init_does_about_it_lets_a_promotion_be_merged(served: Served, hub: Hub) -> None:
    served.repo.edit(allow_merge_commit=False)
    push(served, "main")
    push(served, "staging")
    rule(served, "main", takes("merge"))
    pull = served.repo.create_pull(base="main", head="staging", title="Production", body="")
    assert "not allowed on this repository" in refused(405, pull.merge)
    assert "Repository rule violations" in refused(405, pull.merge, merge_method="squash")
    step = merges.step(hub, served.repo)
    assert step is not None
    assert f"merge commits allowed in {FULL_NAME}" in step.what
    assert served.client().get_repo(FULL_NAME).allow_merge_commit is False, "nothing is done yet"
    step.do()
    assert pull.merge().merged
    assert merges.step(hub, served.repo) is None
    assert [each.state for each in merges.look(hub)] == ["ok"]


@pytest.mark.parametrize("rules", [[takes("squash")], [{"type": "required_linear_history"}]])
def test_a_ruleset_that_refuses_merge_commits_of_main_is_named(
    served: Served, hub: Hub, rules: list[dict[str, Any]]
) -> None:
    number = rule(served, "main", *rules)
    (found,) = merges.look(hub)
    assert found.state == "missing"
    assert f"main takes no merge commits (ruleset {number})" in found.seen
    assert f"{FULL_NAME}/rules" in found.mend
    (note,) = merges.notes(hub)
    assert f"(ruleset {number})" in note


def test_rules_that_take_merge_commits_or_are_of_development_are_in_nobodys_way(
    served: Served, hub: Hub
) -> None:
    rule(served, "main", takes("merge", "squash"), {"type": "deletion"})
    rule(served, "development", takes("squash"), {"type": "required_linear_history"})
    assert [each.state for each in merges.look(hub)] == ["ok"]
    assert merges.notes(hub) == []


def test_a_token_that_is_not_told_how_merges_go_is_no_proof_of_anything(served: Served) -> None:
    token = served.hub.tokens.mint("maintainer", "fine_grained", permissions={"contents": "read"})
    with Hub(FULL_NAME, token, f"{served.url}/api/v3") as reading:
        (found,) = merges.look(reading)
    assert found.state == "warning"
    assert "Contents: read and write" in found.mend


def test_flow_doctor_looks_at_it(served: Served) -> None:
    served.repo.edit(allow_merge_commit=False)
    environment = {
        "GITHUB_TOKEN": served.tokens["maintainer"], "GITHUB_API_URL": f"{served.url}/api/v3",
    }  # fmt: skip
    (look,) = (
        look
        for name, look in github_doctor.looks(FULL_NAME, False, environment)
        if name == "GitHub: merges"
    )
    assert [each.state for each in look()] == ["missing"]
