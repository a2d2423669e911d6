"""A demo on a machine that exists already: nothing is made for it but its names."""

import subprocess
from pathlib import Path

import pytest
from hcloud.images import Image
from hcloud.server_types import ServerType

from flow.looking import look
from tests.flow.team import Team
from tests.flow.typing_it import Person, check_failure

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(600)]
STACK = "feature-demo-given"


def _key(folder: Path, name: str) -> tuple[str, str]:
    """A new key pair: private and public text."""
    file = folder / name
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(file)], check=True
    )
    return file.read_text(), file.with_suffix(".pub").read_text().strip()


@pytest.fixture(scope="module")
def machine(team: Team, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A server somebody made by hand, with a host key that is known beforehand."""
    folder = tmp_path_factory.mktemp("keys")
    private, public = _key(folder, "login")
    host_private, host_public = _key(folder, "host")
    indented = "\n".join(f"    {line}" for line in host_private.splitlines())
    user_data = (
        f"#cloud-config\nssh_keys:\n  ed25519_private: |\n{indented}\n"
        f"  ed25519_public: {host_public}\nssh_authorized_keys: [{public}]\ndisable_root: false\n"
    )
    made = team.client.servers.create(
        name="by-hand",
        server_type=ServerType(name="cx23"),
        image=Image(name="debian-13"),
        ssh_keys=[team.client.ssh_keys.create(name="by-hand", public_key=public)],
        user_data=user_data,
    )
    made.action.wait_until_finished()
    server = team.client.servers.get_by_name("by-hand")
    assert server is not None
    assert server.public_net is not None
    assert server.public_net.ipv4 is not None
    return {"address": str(server.public_net.ipv4.ip), "key": private, "host_key": host_public}


def test_a_given_machine_serves_a_demo_and_stays_when_the_demo_goes(
    team: Team, machine: dict[str, str]
) -> None:
    team.publish("1.0.0", "feature-demo/given")
    team.stacks.create(STACK)
    team.configure(STACK, host=machine["address"], hostKey=machine["host_key"])
    team.stacks.set_secret(STACK, "hostSshKey", machine["key"])
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
    team: Team, machine: dict[str, str], tmp_path: Path
) -> None:
    _, stranger = _key(tmp_path, "stranger")
    team.configure(STACK, hostKey=stranger)
    with Person(team) as person:
        refused = person.up(STACK)
        check_failure(refused, cause="another host key", next_command="console")
        assert "nothing was sent" in refused.said
        assert machine["key"].splitlines()[2] not in refused.said
        team.configure(STACK, hostKey=machine["host_key"])
        person.converges(STACK)
        outputs = team.stacks.outputs(STACK)
        look(outputs["url"], "1.0.0", team.trust, password=outputs["password"])
        person.destroys(STACK)


def test_a_push_takes_its_machine_from_the_environment(
    team: Team, machine: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, branch = "feature-demo-pushed", "feature-demo/pushed"
    line = f"{branch} root@{machine['address']} {machine['host_key']}"
    monkeypatch.setenv("DEMO_HOSTS", f"# by hand\n{line}\n")
    team.publish("2.0.0", branch)
    team.stacks.create(stack)
    before = team.listed()
    with Person(team) as person:
        refused = person.up(stack)
        check_failure(refused, cause="DEMO_SSH_KEY is not set", next_command="flow-demo")
        monkeypatch.setenv("DEMO_SSH_KEY", machine["key"])
        person.converges(stack)
    outputs = team.stacks.outputs(stack)
    look(outputs["url"], "2.0.0", team.trust, password=outputs["password"])
    made = {kind: names for kind, names in team.listed().items() if before.get(kind) != names}
    assert set(made) == {"record sets"}
    team.stacks.destroy(stack)
    assert team.listed() == before
