"""A demo on a machine that exists already: nothing is made for it but its names."""

from pathlib import Path

import pytest

from flow.looking import look
from tests.flow import by_hand
from tests.flow.by_hand import Machine
from tests.flow.team import Team
from tests.flow.typing_it import Person, check_failure

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1200)]
STACK = "feature-demo-given"


@pytest.fixture(scope="module")
def machine(team: Team, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A server somebody made by hand."""
    return by_hand.make(team.client, tmp_path_factory.mktemp("keys"))


def test_a_given_machine_serves_a_demo_and_stays_when_the_demo_goes(
    team: Team, machine: Machine
) -> None:
    team.publish("1.0.0", "feature-demo/given")
    team.stacks.create(STACK)
    team.configure(STACK, host=machine.address, hostKey=machine.host_key)
    team.stacks.set_secret(STACK, "hostSshKey", machine.key)
    before = team.listed()
    team.stacks.up(STACK)
    outputs = team.stacks.outputs(STACK)
    look(outputs["url"], "1.0.0", team.trust, password=outputs["password"])
    made = {kind: names for kind, names in team.listed().items() if before.get(kind) != names}
    assert set(made) == {"record sets"}
    assert team.stacks.up(STACK).changed == 0
    team.stacks.destroy(STACK)
    assert team.listed() == before


def test_a_machine_with_another_host_key_is_not_trusted(
    team: Team, machine: Machine, tmp_path: Path
) -> None:
    _, stranger = by_hand.key_pair(tmp_path, "stranger")
    team.configure(STACK, hostKey=stranger)
    with Person(team) as person:
        refused = person.up(STACK)
        check_failure(refused, cause="another host key", next_command="console")
        assert "nothing was sent" in refused.said
        assert machine.key.splitlines()[2] not in refused.said
        team.configure(STACK, hostKey=machine.host_key)
        person.converges(STACK)
        outputs = team.stacks.outputs(STACK)
        look(outputs["url"], "1.0.0", team.trust, password=outputs["password"])
        person.destroys(STACK)


def test_a_machine_that_the_environment_names_without_its_key_is_refused_before_anything(
    team: Team, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With its key, and by real pushes: test_flow_pushed.py.
    stack, branch = "feature-demo-pushed", "feature-demo/pushed"
    line = f"{branch} root@{machine.address} {machine.host_key}"
    monkeypatch.setenv("DEMO_HOSTS", f"# by hand\n{line}\n")
    team.stacks.create(stack)
    before = team.listed()
    with Person(team) as person:
        refused = person.up(stack)
    check_failure(refused, cause="DEMO_SSH_KEY is not set", next_command="flow-demo")
    assert team.listed() == before
