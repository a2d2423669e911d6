"""Production with the real engine: what it refuses, and the two steps that allow it.

The tests are chapters of one life: each starts where the one before it ended.
"""

import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from components.keys import new_key_pair
from flow.errors import FlowError
from flow.looking import look
from tests.flow.team import Team

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(600)]
STACK = "prod"


@pytest.fixture(scope="module", autouse=True)
def first_up(team: Team) -> None:
    """The stack, made by its first `up` from the newest image of `main`."""
    team.publish("1.0.0", "main")
    team.stacks.up(STACK)


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


def test_who_may_log_in_changes_without_a_new_server(team: Team, tmp_path: Path) -> None:
    before = server_id(team)
    pair = new_key_pair("ada@example.org")
    key, hosts = tmp_path / "key", tmp_path / "known_hosts"
    key.touch(mode=0o600)
    key.write_text(pair["private"])
    hosts.write_text(team.stacks.outputs(STACK)["known_hosts"])
    team.configure(STACK, adminKeys=[pair["public"]])
    team.stacks.up(STACK)
    assert log_in(team, key, hosts).stdout == "root\n"
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
    with application(team) as client:
        task = client.get("/api/tasks").json()[0]["id"]
        client.put(f"/api/tasks/{task}", json={"status": "validated"}).raise_for_status()
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
