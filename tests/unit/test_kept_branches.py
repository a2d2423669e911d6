"""A promotion's branch outlives its merge where GitHub deletes what was merged."""

from collections.abc import Iterator
from typing import Any

import pytest

from flow.onboarding import github_doctor, kept_branches
from flow.onboarding.hub import Hub
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served
from tests.unit.github_hub import served as served
from tests.unit.promoting import begin


@pytest.fixture(autouse=True)
def deleting(served: Served) -> None:
    """The three branches, in a repository that deletes what was merged."""
    begin(served)
    served.repo.edit(delete_branch_on_merge=True)


@pytest.fixture
def hub(served: Served) -> Iterator[Hub]:
    with Hub(FULL_NAME, served.tokens["maintainer"], f"{served.url}/api/v3") as made:
        yield made


def branches_after_a_promotion(served: Served) -> set[str]:
    """Merge staging into main."""
    push(served, "staging", {"b.txt": "b\n"}, who="maintainer")
    served.repo.create_pull(base="main", head="staging", title="Production", body="").merge()
    return {each.name for each in served.repo.get_branches()}


def ruleset(served: Served, *types: str) -> None:
    """Rules of the team's own for staging and main."""
    rules: list[dict[str, Any]] = [{"type": each} for each in types]
    refs = ["refs/heads/staging", "refs/heads/main"]
    body = {**kept_branches.body(), "name": "ours", "rules": rules}
    body["conditions"] = {"ref_name": {"include": refs, "exclude": []}}
    assert served.raw.post(f"/repos/{FULL_NAME}/rulesets", json=body).status_code == 201


def test_without_a_rule_the_promotion_takes_staging_with_it(served: Served) -> None:
    assert branches_after_a_promotion(served) == {"main", "development"}


def test_what_flow_init_does_about_it_lets_staging_stay(served: Served, hub: Hub) -> None:
    step = kept_branches.step(hub, served.repo)
    assert step is not None
    assert "staging and main stay" in step.what
    assert hub.get("/rulesets") == [], "nothing is done yet"
    step.do()
    assert kept_branches.step(hub, served.repo) is None
    assert branches_after_a_promotion(served) == {"main", "staging", "development"}


def test_flow_doctor_names_the_branches_and_what_keeps_them(served: Served) -> None:
    environment = {
        "GITHUB_TOKEN": served.tokens["maintainer"], "GITHUB_API_URL": f"{served.url}/api/v3",
    }  # fmt: skip
    looks = dict(github_doctor.looks(FULL_NAME, False, environment))
    (found,) = looks["GitHub: branches that stay"]()
    assert found.state == "missing"
    assert "GitHub deletes staging and main once" in found.seen
    assert found.mend.startswith("flow init")
    assert "delete_branch_on_merge=false" in found.mend


def test_rules_that_forbid_their_deletion_are_enough(served: Served, hub: Hub) -> None:
    ruleset(served, "non_fast_forward", "deletion")
    assert [each.state for each in kept_branches.look(hub)] == ["ok"]


def test_rules_that_forbid_something_else_keep_nothing(served: Served, hub: Hub) -> None:
    ruleset(served, "non_fast_forward")
    assert [each.state for each in kept_branches.look(hub)] == ["missing"]


def test_a_repository_that_deletes_nothing_is_in_order(served: Served, hub: Hub) -> None:
    served.repo.edit(delete_branch_on_merge=False)
    assert [each.state for each in kept_branches.look(hub)] == ["ok"]
    assert kept_branches.step(hub, served.repo) is None
