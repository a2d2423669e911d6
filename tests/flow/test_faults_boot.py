"""A server that does not come up, or is not reached: scorecard rows 1, 10 and 17.

The tests are chapters: each starts where the one before it ended.
"""

from collections.abc import Iterator

import pytest

from tests.flow.team import Team
from tests.flow.typing_it import Person, check_failure

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1200)]
STACK = "feature-demo-boot"
DEADLINES = {"cloudDeadline": 10, "bootDeadline": 20}


@pytest.fixture(scope="module")
def person(team: Team) -> Iterator[Person]:
    """Somebody with a demo on its volume, whose deadlines a test can wait for."""
    team.publish("1.0.0", "development")
    team.stacks.create(STACK)
    team.configure(STACK, **DEADLINES)
    with Person(team) as somebody:
        yield somebody


def test_an_action_that_never_ends_is_given_up_at_our_deadline(person: Person) -> None:
    with person.faults.during({"stuck": "create_server"}, project=person.project):
        failed = person.up(STACK)
    check_failure(failed, cause="did not finish this in 10 s", next_command=f"pulumi up -s {STACK}")
    assert "deadline exceeded" in failed.said
    assert failed.seconds < 30
    assert len(person.team.client.servers.get_all()) == 1


def test_a_server_that_does_not_boot_then_is_given_up_at_our_deadline(person: Person) -> None:
    (server,) = person.team.client.servers.get_all()
    with person.faults.during({"cut_network": str(server.name)}, project=person.project):
        failed = person.up(STACK)
    check_failure(failed, cause="does not answer on SSH", next_command="pulumi up")
    assert failed.seconds < 60


def test_once_both_faults_are_over_the_same_server_is_brought_up(person: Person) -> None:
    (server,) = person.team.client.servers.get_all()
    person.converges(STACK)
    assert [each.id for each in person.team.client.servers.get_all()] == [server.id]


def test_a_demo_that_cannot_be_reached_is_destroyed_within_a_minute(person: Person) -> None:
    (server,) = person.team.client.servers.get_all()
    with person.faults.during({"cut_network": str(server.name)}, project=person.project):
        assert person.destroys(STACK).seconds < 60
    assert person.team.listed() == {}


def test_a_stage_with_data_that_never_booted_is_removed_on_demand_within_a_minute(
    person: Person,
) -> None:
    person.team.configure("dev", protected=False, **DEADLINES)
    with person.faults.during({"cut_network": "*"}, project=person.project):
        failed = person.up("dev")
        check_failure(failed, cause="does not answer on SSH", next_command="pulumi up")
        assert set(person.team.listed("stack=dev")) >= {"servers", "volumes", "primary_ips"}
        assert person.destroys("dev").seconds < 60
    assert person.team.listed() == {}
