"""Production with the real engine: what it refuses, and the two steps that allow it.

The tests are chapters of one life: each starts where the one before it ended.
"""

import os
import socket
import ssl
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from components.keys import new_key_pair
from flow.errors import FlowError
from flow.looking import look
from tests.flow.commands import Flow
from tests.flow.team import Team
from tests.flow.typing_it import Person

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1200)]
STACK = "prod"


@pytest.fixture(scope="module", autouse=True)
def first_up(team: Team) -> None:
    """The stack, made by its first `up` from the newest image of `main`."""
    team.publish("1.0.0", "main")
    team.stacks.up(STACK)


@pytest.fixture(scope="module")
def flow(team: Team, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """`flow` for this module's team."""
    return Flow(team, tmp_path_factory.mktemp("flow"))


def server_id(team: Team) -> int:
    (server,) = team.client.servers.get_all()
    assert server.id is not None
    return server.id


def kept(team: Team) -> list[int | None]:
    """Ids of what outlives a server."""
    volumes = [each.id for each in team.client.volumes.get_all()]
    return volumes + [each.id for each in team.client.primary_ips.get_all()]


@contextmanager
def application(team: Team) -> Iterator[httpx.Client]:
    """The example, as a browser reaches it."""
    trusted = ssl.create_default_context(cafile=str(team.trust))
    url = team.stacks.outputs(STACK)["url"]
    with httpx.Client(base_url=url, verify=trusted, timeout=20, trust_env=False) as client:
        yield client


def tasks(team: Team) -> str:
    """What the example's database holds."""
    with application(team) as client:
        return client.get("/api/tasks").raise_for_status().text


def log_in(team: Team, key: Path, hosts: Path) -> subprocess.CompletedProcess[str]:
    address = team.stacks.outputs(STACK)["ipv4"]
    options = [f"-i{key}", "-oIdentitiesOnly=yes", "-oBatchMode=yes", "-F/dev/null"]
    options += [f"-oUserKnownHostsFile={hosts}", "-oStrictHostKeyChecking=yes"]
    return subprocess.run(
        ["ssh", *options, f"root@{address}", "id -un"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@contextmanager
def edited_first_boot(team: Team, folder: Path) -> Iterator[Path]:
    """The same program but for a line more in its user data; the file is there once it rendered."""
    called = folder / "called"
    root = str(team.project.root)
    (folder / "__main__.py").write_text(
        f"import pathlib, runpy, sys\n"
        f"sys.path.insert(0, {root!r})\n"
        f"from components import cloud_init\n"
        f"render = cloud_init.render\n"
        f"def edited(**keys):\n"
        f"    pathlib.Path({str(called)!r}).touch()\n"
        f"    return render(**keys) + '# edited by a test\\n'\n"
        f"cloud_init.render = edited\n"
        f"runpy.run_path({root + '/__main__.py'!r}, run_name='__main__')\n"
    )
    file = team.project.folder / "Pulumi.yaml"
    text = file.read_text()
    main = os.path.relpath(folder, team.project.folder)
    file.write_text(yaml.safe_dump({**yaml.safe_load(text), "main": main}))
    try:
        yield called
    finally:
        file.write_text(text)


def test_hetzner_and_the_engine_protect_it(team: Team) -> None:
    (server,) = team.client.servers.get_all()
    assert server.protection == {"delete": True, "rebuild": True}
    assert all(each.protection["delete"] for each in team.client.volumes.get_all())  # type: ignore[index]
    with pytest.raises(FlowError, match="protected"):
        team.stacks.destroy(STACK)
    assert server_id(team) == server.id
    look(team.stacks.outputs(STACK)["url"], "1.0.0", team.trust)


def _handshake(
    team: Team, newest: ssl.TLSVersion, oldest: ssl.TLSVersion | None = None, ciphers: str = ""
) -> tuple[str, str]:
    """TLS version and cipher that production agrees to; raises ssl.SSLError where it refuses."""
    host = team.stacks.outputs(STACK)["hostname"]
    context = ssl.create_default_context(cafile=str(team.trust))
    # This end offers whatever it is told to: what is refused, the server has refused.
    context.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = oldest or newest, newest
    with (
        socket.create_connection((host, 443), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        cipher = secure.cipher()
        return str(secure.version()), cipher[0] if cipher else ""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_it_refuses_old_tls(team: Team, version: ssl.TLSVersion) -> None:
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        _handshake(team, version)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_it_speaks_tls_of_today_with_ciphers_that_authenticate(
    team: Team, version: ssl.TLSVersion
) -> None:
    spoken, cipher = _handshake(team, version)
    assert spoken == version.name.replace("_", ".")
    assert "GCM" in cipher or "CHACHA20" in cipher
    assert cipher.startswith(("ECDHE-", "TLS_"))


@pytest.mark.parametrize("ciphers", ["kRSA", "CBC", "eNULL:aNULL", "ALL:eNULL:!AESGCM:!CHACHA20"])
def test_it_refuses_weak_ciphers(team: Team, ciphers: str) -> None:
    with pytest.raises(ssl.SSLError, match="ALERT_HANDSHAKE_FAILURE"):
        _handshake(team, ssl.TLSVersion.TLSv1_2, ciphers=f"{ciphers}:@SECLEVEL=0")


def test_browsers_are_told_to_come_by_https_alone(team: Team) -> None:
    with application(team) as client:
        assert client.get("/").headers["strict-transport-security"] == "max-age=31536000"


@contextmanager
def agent_with(key: Path) -> Iterator[str]:
    """An SSH agent that holds one key; its socket."""
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/agent"  # a socket's path may not be long
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", address], stdout=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 10
            while not Path(address).exists():
                assert time.monotonic() < until, "no agent"
                time.sleep(0.05)
            own = {**os.environ, "SSH_AUTH_SOCK": address}
            subprocess.run(["ssh-add", "-q", str(key)], env=own, check=True, timeout=20)
            yield address
        finally:
            agent.terminate()
            agent.wait(10)


def test_who_may_log_in_changes_without_a_new_server(
    team: Team, flow: Flow, tmp_path: Path
) -> None:
    before = server_id(team)
    pair = new_key_pair("ada@example.org")
    key, hosts = tmp_path / "key", tmp_path / "known_hosts"
    key.touch(mode=0o600)
    key.write_text(pair["private"])
    hosts.write_text(team.stacks.outputs(STACK)["known_hosts"])
    team.configure(STACK, adminKeys=[pair["public"]])
    team.stacks.up(STACK)
    assert log_in(team, key, hosts).stdout == "root\n"
    with agent_with(key) as agent:
        flow.environment |= {"SSH_AUTH_SOCK": agent, "XDG_CACHE_HOME": str(tmp_path)}
        code, out, err = flow.run("ssh", STACK, "--", "id -un; exit 7")
        assert (code, out) == (7, "root\n"), err
    team.configure(STACK, adminKeys=None)
    team.stacks.up(STACK)
    refused = log_in(team, key, hosts)
    assert "Permission denied" in refused.stderr
    assert server_id(team) == before


def test_an_edited_first_boot_changes_nothing_of_a_server_that_runs(
    team: Team, tmp_path: Path
) -> None:
    before = server_id(team)
    with edited_first_boot(team, tmp_path) as called:
        result = team.stacks.up(STACK)
    assert called.exists(), "nothing was tried"
    assert result.changed == 0
    assert server_id(team) == before
    look(team.stacks.outputs(STACK)["url"], "1.0.0", team.trust)


def kept_whole(team: Team) -> dict[str, Any]:
    """What must be the same before and after a rebuild: ids, addresses, release, database."""
    outputs = team.stacks.outputs(STACK)
    rows = tasks(team)
    assert "validated" in rows
    return {
        "ids": kept(team),
        "outputs": {name: outputs[name] for name in ("url", "ipv4", "ipv6", "version")},
        # Its second half is a hash with a key of the server's own.
        "release": outputs["release"].partition("-")[0],
        "rows": rows,
    }


def protections(team: Team) -> set[bool]:
    things: list[Any] = [
        *team.client.servers.get_all(),
        *team.client.volumes.get_all(),
        *team.client.primary_ips.get_all(),
    ]
    return {bool(each.protection["delete"]) for each in things}


def test_a_rebuild_needs_the_servers_own_word_and_room_or_changes_nothing(
    team: Team, flow: Flow
) -> None:
    before = server_id(team)
    told = flow.json("rebuild", STACK, "--dry-run")
    assert told["confirm"] == f"replace-server-{before}"
    assert [each.split()[0] for each in told["steps"]] == ["lift", "shut", "delete", "protect"]
    code, _, err = flow.run("rebuild", STACK, "--yes")
    assert code == 2, err
    assert f"--confirm {told['confirm']}" in err
    with Person(team) as person:
        full = {"unavailable": {"location": "fsn1"}}
        with person.faults.during(full, project=person.project):
            code, _, err = flow.run("rebuild", STACK, "--yes", "--confirm", told["confirm"])
    assert code == 1, err
    assert "has no room for a" in err
    (server,) = team.client.servers.get_all()
    assert (server.id, server.status) == (before, "running")
    assert protections(team) == {True}


def test_a_dead_server_is_replaced_with_all_it_had_and_protected_again(
    team: Team, flow: Flow
) -> None:
    with application(team) as client:
        task = client.get("/api/tasks").json()[0]["id"]
        client.put(f"/api/tasks/{task}", json={"status": "validated"}).raise_for_status()
    team.publish("1.1.0", "main")  # newer than what runs, and not to be deployed
    state, (server,) = kept_whole(team), team.client.servers.get_all()
    server.power_off().wait_until_finished()
    done = flow.json("rebuild", STACK, "--yes", "--confirm", f"replace-server-{server.id}")
    assert done["server"] == {"before": str(server.id), "after": str(server_id(team))}
    assert server.id != server_id(team)
    assert done["protected"] is True
    assert kept_whole(team) == state
    assert protections(team) == {True}
    look(done["url"], "1.0.0", team.trust)
    assert team.stacks.up(STACK).changed == 0


def test_one_that_was_deleted_by_hand_is_made_anew_and_a_fault_half_way_is_gone_on_from(
    team: Team, flow: Flow
) -> None:
    state, (server,) = kept_whole(team), team.client.servers.get_all()
    server.change_protection(delete=False, rebuild=False).wait_until_finished()
    server.delete().wait_until_finished()
    with Person(team) as person:
        # As it is when the last server of its type was sold a moment ago.
        sudden = {"unavailable": {"location": "fsn1"}, "sudden": True}
        with person.faults.during(sudden, project=person.project):
            code, _, err = flow.run("rebuild", STACK, "--yes")
    assert code == 1, err
    assert "resource_unavailable" in err
    done = flow.json("rebuild", STACK, "--yes")
    assert done["server"] == {"before": None, "after": str(server_id(team))}
    assert kept_whole(team) == state
    assert protections(team) == {True}


def test_another_image_is_refused_and_a_word_alone_is_not_enough(team: Team) -> None:
    before = server_id(team)
    word = f"replace-server-{before}"
    team.configure(STACK, image="debian-12")
    with pytest.raises(FlowError) as refused:
        team.stacks.up(STACK)
    assert "image: debian-13 → debian-12" in str(refused.value)
    assert word in str(refused.value)
    team.configure(STACK, confirm=word)
    with pytest.raises(FlowError, match="protected false"):
        team.stacks.up(STACK)
    assert server_id(team) == before


def test_in_two_steps_the_server_is_replaced_and_its_data_and_addresses_stay(team: Team) -> None:
    before, outlives, rows = server_id(team), kept(team), tasks(team)
    assert "validated" in rows
    team.configure(STACK, image=None, protected=False)
    team.stacks.up(STACK)
    assert server_id(team) == before
    team.configure(STACK, image="debian-12")
    team.stacks.up(STACK)
    assert server_id(team) != before
    assert kept(team) == outlives
    assert tasks(team) == rows
    look(team.stacks.outputs(STACK)["url"], "1.0.0", team.trust)


def test_the_word_was_good_for_one_time(team: Team) -> None:
    team.configure(STACK, image="debian-13")
    with pytest.raises(FlowError, match=f"replace-server-{server_id(team)}"):
        team.stacks.up(STACK)
    team.configure(STACK, image="debian-12")


def test_without_protection_it_goes_whole(team: Team) -> None:
    team.stacks.destroy(STACK)
    assert team.listed() == {}
