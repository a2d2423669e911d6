"""Nightly backups as `flow doctor` sees them: what nights lack, and who reaches production."""

from typing import Any

import pytest

from flow.onboarding import github_doctor, nightly
from flow.onboarding.checking import Check
from tests.unit.test_cli_doctor import hub

TICKET = "flow backup ticket prod | gh secret set BACKUP_TICKET --env flow-backup --repo a/b"
KEY = ("BACKUP_ACCESS_KEY_ID", "BACKUP_SECRET_ACCESS_KEY")


class Found:
    """What GitHub has of the environments that nights use; all of it, until a test takes some."""

    def __init__(self) -> None:
        self.default = "development"
        self.names: dict[str, dict[str, list[str]]] = {
            "flow-nonprod": {
                "secrets": [*KEY],
                "variables": ["BACKUP_BUCKET"],
                "policies": ["development", "staging"],
            },
            "flow-backup": {
                "secrets": [*KEY, "BACKUP_TICKET"],
                "variables": ["BACKUP_BUCKET", "FLOW_DUMP_RECIPIENT"],
                "policies": ["development"],
            },
        }
        self.rule: Any = {"protected_branches": False, "custom_branch_policies": True}
        self.protection: list[Any] = []

    def checks(self) -> list[Check]:
        """What the doctor says of both."""
        answers: dict[str, Any] = {"": {"default_branch": self.default}}
        for name, had in self.names.items():
            path = f"/environments/{name}"
            answers[path] = {
                "deployment_branch_policy": self.rule,
                "protection_rules": self.protection,
            }
            for key, listed, under in (
                ("secrets", "secrets", "secrets"),
                ("variables", "variables", "variables"),
                ("policies", "branch_policies", "deployment-branch-policies"),
            ):
                each = [{"name": name, "value": "saved"} for name in had[key]]
                answers[f"{path}/{under}"] = {listed: each}
        with hub(answers) as asked:
            return [*nightly.of_staging(asked), *nightly.of_prod(asked)]

    def wrong(self) -> list[Check]:
        """What is not well of it."""
        return [each for each in self.checks() if each.state != "ok"]


@pytest.fixture
def found() -> Found:
    return Found()


def test_the_doctor_looks_at_the_backups_of_both() -> None:
    names = [name for name, _ in github_doctor.looks("a/b", False, {"GITHUB_TOKEN": "x"})]
    assert {"GitHub: backups of staging", "GitHub: backups of prod"} <= set(names)


def test_backups_that_are_set_up_are_well(found: Found) -> None:
    assert [(each.name, each.state) for each in found.checks()] == [
        ("GitHub: backups of staging", "ok"),
        ("GitHub: backups of prod", "ok"),
    ]


def test_a_team_without_backups_is_warned_with_what_brings_them(found: Found) -> None:
    del found.names["flow-backup"]
    found.names["flow-nonprod"] |= {"secrets": [], "variables": []}
    staging, prod = found.checks()
    # A warning: who chose to have none is still told that all else is well.
    assert (staging.state, prod.state) == ("warning", "warning")
    for each in (staging, prod):
        assert "there are none" in each.seen
        assert each.mend.endswith("flow init")
    assert "FLOW_DUMP_RECIPIENT" in prod.mend


@pytest.mark.parametrize(
    ("environment", "kind", "name", "mend"),
    [
        ("flow-nonprod", "secret", "BACKUP_SECRET_ACCESS_KEY", "then flow init"),
        ("flow-backup", "secret", "BACKUP_ACCESS_KEY_ID", "then flow init"),
        ("flow-backup", "secret", "BACKUP_TICKET", TICKET),
        ("flow-backup", "variable", "BACKUP_BUCKET", "then flow init"),
        ("flow-backup", "variable", "FLOW_DUMP_RECIPIENT", "then flow init"),
    ],
)
def test_what_nights_lack_is_a_warning_with_the_command_that_brings_it(
    found: Found, environment: str, kind: str, name: str, mend: str
) -> None:
    found.names[environment][f"{kind}s"].remove(name)
    (wrong,) = found.wrong()
    assert wrong.state == "warning"
    assert f"{environment} lacks the {kind} {name}" in wrong.seen
    assert mend in wrong.mend


def test_a_public_key_that_somebody_gave_staging_needs_its_private_one_there(
    found: Found,
) -> None:
    found.names["flow-nonprod"]["variables"].append("FLOW_DUMP_RECIPIENT")
    (wrong,) = found.wrong()
    assert wrong.state == "warning"
    assert "flow-nonprod lacks the secret FLOW_DUMP_IDENTITY" in wrong.seen
    assert "gh secret set FLOW_DUMP_IDENTITY --env flow-nonprod --repo a/b" in wrong.mend
    found.names["flow-nonprod"]["secrets"].append("FLOW_DUMP_IDENTITY")
    assert found.wrong() == []


@pytest.mark.parametrize(
    "rule", [None, {"protected_branches": True, "custom_branch_policies": False}]
)
def test_a_rule_that_lets_more_than_named_branches_to_production_is_told(
    found: Found, rule: Any
) -> None:
    found.rule = rule
    (wrong,) = found.wrong()
    assert "admits more than development" in wrong.seen


def test_another_branch_that_reaches_production_is_told(found: Found) -> None:
    found.names["flow-backup"]["policies"].append("feature-demo/**/*")
    (wrong,) = found.wrong()
    assert "admits feature-demo/**/*, too" in wrong.seen


def test_reviewers_whom_a_night_would_wait_for_are_told(found: Found) -> None:
    asks = {"type": "required_reviewers", "reviewers": [{"reviewer": {"login": "ada"}}]}
    found.protection = [asks]
    (wrong,) = found.wrong()
    assert "asks ada before every run" in wrong.seen


def test_a_default_branch_whose_nightly_run_is_not_let_in_is_told(found: Found) -> None:
    found.default = "main"
    assert ["does not admit main" in each.seen for each in found.wrong()] == [True, True]
    assert {each.mend for each in found.wrong()} == {
        "flow init, which makes development the default branch"
    }
