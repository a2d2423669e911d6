"""Record sets that are never finished: scorecard row 10, where the provider waits without end.

The tests are chapters: each starts where the one before it ended.
"""

from collections.abc import Iterator

import pytest

from flow import engine
from flow.errors import FlowError
from tests.flow.team import Team
from tests.flow.typing_it import Person, check_failure, check_nothing_to_do

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1200)]
STACK = "feature-demo-names"
RECORDS = ["names A", "names AAAA"]


@pytest.fixture(scope="module")
def person(team: Team) -> Iterator[Person]:
    """Somebody with a demo without a volume, whose deadline a test can wait for."""
    team.publish("1.0.0", "development")
    team.stacks.create(STACK)
    team.configure(STACK, volumeSize=0, cloudDeadline=10)
    with Person(team) as somebody:
        yield somebody


def test_a_record_set_that_is_never_finished_is_given_up_at_our_deadline(person: Person) -> None:
    with person.faults.during({"stuck": "create_rrset"}, project=person.project):
        failed = person.up(STACK)
    check_failure(failed, cause="did not finish this in 10 s", next_command=f"pulumi up -s {STACK}")
    # All of the demo's `up` is in it; the provider alone would wait without end.
    assert failed.seconds < 150
    assert sorted(person.team.listed()["record sets"]) == RECORDS


def test_once_that_is_over_the_same_records_are_made(person: Person) -> None:
    person.converges(STACK)
    assert sorted(person.team.listed()["record sets"]) == RECORDS


def test_an_up_from_a_machine_without_the_registrys_login_changes_nothing(person: Person) -> None:
    check_nothing_to_do(person.up(STACK, without=("REGISTRY_USERNAME", "REGISTRY_PASSWORD")))


def test_the_destroy_of_what_is_never_deleted_is_given_up_by_flow(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "DESTROY_SECONDS", 10)
    monkeypatch.setattr(engine, "LEAVE_SECONDS", 5)
    with (
        person.faults.during({"stuck": "delete_rrset"}, project=person.project),
        pytest.raises(FlowError, match="not over in 10 s"),
    ):
        person.team.stacks.destroy(STACK)


def test_the_end_leaves_nothing(person: Person) -> None:
    person.destroys(STACK)
