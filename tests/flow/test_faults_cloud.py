"""Hetzner failing while a demo is made: scorecard rows 8, 9, 11 and 16, with the real engine.

The tests are chapters: each starts where the one before it ended.
"""

from collections.abc import Iterator

import pytest

from flow.looking import look
from tests.flow.team import Team
from tests.flow.typing_it import Person, check_failure

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1200)]
STACK = "feature-demo-faults"


@pytest.fixture(scope="module")
def person(team: Team) -> Iterator[Person]:
    """Somebody with a demo without a volume; its branch has no image, so development's is used."""
    team.publish("1.0.0", "development")
    team.stacks.create(STACK)
    team.configure(STACK, volumeSize=0)
    with Person(team) as somebody:
        yield somebody


def server_state(team: Team) -> tuple[int | None, str, str]:
    """Id, type and power of the one server there is."""
    (server,) = team.client.servers.get_all()
    assert server.server_type is not None
    return server.id, str(server.server_type.name), str(server.status)


@pytest.mark.parametrize("status", [500, 503])
def test_an_answer_of_500_or_503_makes_nothing_and_says_what_to_do(
    person: Person, status: int
) -> None:
    do = {"status": status, "message": "out of order"}
    with person.faults.during(do, method="POST", path="/servers", project=person.project):
        failed = person.up(STACK)
    check_failure(failed, cause="out of order", next_command=f"pulumi up -s {STACK}")
    assert person.team.client.servers.get_all() == []
    assert person.team.listed(f"stack={STACK}")


def test_the_destroy_of_a_half_made_demo_leaves_nothing(person: Person) -> None:
    person.destroys(STACK)
    assert person.team.listed() == {}


def test_no_room_is_said_and_the_next_up_tries_another_location_where_a_lost_answer_makes_no_second(
    person: Person,
) -> None:
    sold_out = {"unavailable": {"location": "fsn1"}, "sudden": True}
    lose = {"lose_answer": "cut"}
    with person.faults.during(sold_out, project=person.project):
        failed = person.up(STACK)
        check_failure(
            failed, cause="resource_unavailable", next_command=f"pulumi up -s {STACK}, which tries"
        )
        assert person.team.client.servers.get_all() == []
        with person.faults.during(
            lose, count=1, method="POST", path="/servers", project=person.project
        ):
            person.converges(STACK)
    (server,) = person.team.client.servers.get_all()
    assert server.location is not None
    assert server.location.name == "nbg1"
    outputs = person.team.stacks.outputs(STACK)
    look(outputs["url"], "1.0.0", person.team.trust, password=outputs["password"])


def test_a_type_that_is_sold_out_leaves_the_server_as_it_is(person: Person) -> None:
    before = server_state(person.team)
    assert before[2] == "running"
    outputs = person.team.stacks.outputs(STACK)
    person.team.configure(STACK, serverType="cx33")
    for sudden, cause in ((False, "cx33 is in none of nbg1"), (True, "resource_unavailable")):
        sold_out = {"unavailable": {"server_type": "cx33"}, "sudden": sudden}
        with person.faults.during(sold_out, project=person.project):
            failed = person.up(STACK)
        check_failure(failed, cause=cause, next_command="pulumi config set serverType")
        look(outputs["url"], "1.0.0", person.team.trust, password=outputs["password"])
        assert server_state(person.team) == before
    person.team.configure(STACK, serverType=None)
    person.converges(STACK)
    person.destroys(STACK)


def test_a_request_that_is_not_answered_is_given_up_at_our_deadline(person: Person) -> None:
    person.team.configure(STACK, cloudDeadline=10)
    silence = {"delay": 60}
    with person.faults.during(silence, method="POST", path="/servers", project=person.project):
        failed = person.up(STACK)
    person.team.configure(STACK, cloudDeadline=None)
    check_failure(failed, cause="deadline exceeded", next_command=f"pulumi up -s {STACK}")
    assert failed.seconds < 60


def test_a_used_up_rate_limit_is_waited_out_and_one_server_is_made(person: Person) -> None:
    with person.faults.during({"rate_limit": 8}, project=person.project):
        made = person.up(STACK)
    assert made.code == 0, made.said
    assert 8 < made.seconds < 120
    assert len(person.team.client.servers.get_all()) == 1
    person.destroys(STACK)
