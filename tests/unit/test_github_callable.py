"""A private deployment repository: whose runs may call its workflow, and what the doctor says."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from flow import caller
from flow.onboarding import github_doctor
from flow.onboarding.checking import Check
from flow.onboarding.hub import Hub
from sandbox.github.actions import uses
from sandbox.github.actions.uses import FileAt, UsesError
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, ORGANIZATION, Served
from tests.unit.github_hub import served as served

DEPLOYMENT = f"{ORGANIZATION}/deployment"
ACCESS = f"/repos/{DEPLOYMENT}/actions/permissions/access"
WORKFLOW = ".github/workflows/flow.yml"
ACTION = {"action/action.yml": "{name: a, runs: {using: composite, steps: []}}"}


@pytest.fixture
def commit(served: Served) -> str:
    """Two private repositories; the newest commit of the one that is called."""
    served.client().get_organization(ORGANIZATION).create_repo("deployment", private=True)
    served.repo.edit(private=True)
    push(served, "main", who="maintainer")
    files = {WORKFLOW: "on: workflow_call", **ACTION}
    return push(served, "main", files, who="maintainer", full_name=DEPLOYMENT)


@pytest.fixture
def hubs(served: Served) -> Iterator[tuple[Hub, Hub]]:
    """The application's repository and the deployment's, as the doctor asks."""
    with ExitStack() as stack:
        made = [
            stack.enter_context(Hub(each, served.tokens["maintainer"], f"{served.url}/api/v3"))
            for each in (FULL_NAME, DEPLOYMENT)
        ]
        yield made[0], made[1]


def called(served: Served, commit: str, folder: Path) -> Any:
    """What a run of the application finds where it calls the workflow and the action."""
    around = FileAt(FULL_NAME, "0" * 40, caller.FILE)
    named = f"{DEPLOYMENT}/action@{commit}"
    uses.actions(served.hub, [named], folder, FULL_NAME)
    return uses.workflow_at(served.hub, f"{DEPLOYMENT}/{WORKFLOW}@{commit}", around)


def looked(hubs: tuple[Hub, Hub]) -> Check:
    (found,) = github_doctor._callable(*hubs)
    return found


def test_nobody_calls_what_is_private_before_somebody_lets_them(
    served: Served, commit: str, hubs: tuple[Hub, Hub], tmp_path: Path
) -> None:
    assert served.raw.get(ACCESS).json() == {"access_level": "none"}
    with pytest.raises(UsesError, match="repository not found"):
        called(served, commit, tmp_path)
    around = FileAt(FULL_NAME, "0" * 40, caller.FILE)
    with pytest.raises(UsesError, match="workflow was not found"):
        uses.workflow_at(served.hub, f"{DEPLOYMENT}/{WORKFLOW}@{commit}", around)
    found = looked(hubs)
    assert found.state == "missing"
    assert f"gh api -X PUT repos/{DEPLOYMENT}/actions/permissions/access" in found.mend
    # The command, done.
    assert "access_level=organization" in found.mend
    done = served.raw.put(ACCESS, json={"access_level": "organization"})
    assert done.status_code == 204
    assert called(served, commit, tmp_path).repository == DEPLOYMENT
    assert looked(hubs).state == "ok"


def test_a_public_repository_calls_no_private_one(
    served: Served, commit: str, hubs: tuple[Hub, Hub], tmp_path: Path
) -> None:
    served.raw.put(ACCESS, json={"access_level": "organization"})
    served.repo.edit(private=False)
    with pytest.raises(UsesError):
        called(served, commit, tmp_path)
    assert looked(hubs).state == "missing"
    served.client().get_repo(DEPLOYMENT).edit(private=False)
    assert called(served, commit, tmp_path).repository == DEPLOYMENT
    assert github_doctor._callable(*hubs) == []
    assert served.raw.get(ACCESS).status_code == 422


def test_a_token_that_may_not_look_is_no_reason_to_call_it_shut(
    served: Served, commit: str, hubs: tuple[Hub, Hub]
) -> None:
    limited = served.hub.tokens.mint(
        "maintainer",
        "fine_grained",
        permissions={"metadata": "read", "contents": "read"},
        repositories=[FULL_NAME, DEPLOYMENT],
    )
    with Hub(DEPLOYMENT, limited, f"{served.url}/api/v3") as asked:
        assert looked((hubs[0], asked)).state == "warning"
