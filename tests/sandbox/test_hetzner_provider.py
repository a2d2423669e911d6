"""The real engine and the real provider against the API, each answer checked.

The hosts only take notes: what is tried here is what the API says, not machines.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.hetzner.resources.actions import KINDS
from sandbox.hetzner.routing import collect
from tests.unit.hetzner_cloud import KEY, PROJECTS, Cloud, serving
from tests.unit.test_hetzner_official_client import NOT_ALLOWED, NOT_THERE

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).with_name("provider_program")
EVERYTHING = (
    "servers",
    "volumes",
    "primary_ips",
    "firewalls",
    "ssh_keys",
    "placement_groups",
    "zones",
)

# What the provider never asks for; every other endpoint it must have driven. It polls actions by
# their numbers, has no resource or property for these, and no data source for those.
NOT_THE_PROVIDERS = {
    ("GET", "/actions/{action_id}"),
    *(
        ("GET", f"/{kind}{one}/actions{action}")
        for kind in KINDS
        for one in ("", "/{id}")
        for action in ("", "/{action_id}")
    ),
    *(("POST", f"/servers/{{id}}/actions/{name}") for name in ("reboot", "reset", "rebuild")),
    ("GET", "/servers/{id}/metrics"),
    ("GET", "/floating_ips"),
    ("GET", "/isos"),
    ("GET", "/pricing"),
    ("GET", "/zones/{zone}/zonefile"),
    ("POST", "/zones/{zone}/actions/import_zonefile"),
    ("POST", "/zones/{zone}/rrsets/{name}/{type}/actions/update_records"),
}

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(1200)]


@dataclass(frozen=True)
class Stack:
    """A stack of the program in `provider_program`, and the cloud it is in."""

    folder: Path
    environment: dict[str, str]
    cloud: Cloud

    def pulumi(self, *arguments: str, fails: bool = False) -> str:
        """Run one command; its output."""
        done = subprocess.run(
            ["pulumi", "--non-interactive", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def up(self, **settings: bool) -> dict[str, int]:
        """Change settings and update; how many resources had which fate."""
        for name, value in settings.items():
            self.pulumi("config", "set", name, json.dumps(value))
        self.pulumi("up", "--yes", "--skip-preview")
        last: list[dict[str, Any]] = json.loads(self.pulumi("stack", "history", "--json"))
        changes: dict[str, int] = last[0]["resourceChanges"]
        return changes


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A new stack in an empty cloud."""
    search = [str(ROOT / ".toolchain" / "bin"), str(Path(sys.executable).parent)]
    path = os.pathsep.join([*search, os.environ["PATH"]])
    assert shutil.which("pulumi", path=path), "there is no pulumi: run make setup"
    folder = tmp_path / "program"
    shutil.copytree(PROGRAM, folder)
    (tmp_path / "state").mkdir()
    with serving() as cloud:
        environment = {
            "HOME": str(Path.home()),
            "PATH": path,
            "PULUMI_HOME": str(ROOT / ".toolchain" / "pulumi-home"),
            "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "HCLOUD_TOKEN": PROJECTS["demo"]["token"],
            "HCLOUD_ENDPOINT": f"{cloud.url}/v1",
        }
        made = Stack(folder, environment, cloud)
        made.pulumi("stack", "init", "test")
        made.pulumi("config", "set", "publicKey", KEY)
        yield made


def left(cloud: Cloud) -> dict[str, int]:
    """How many of each kind the project still owns."""
    return {kind: len(cloud.raw.get(f"/{kind}").json()[kind]) for kind in EVERYTHING}


def test_the_real_provider_makes_changes_and_removes_everything(stack: Stack) -> None:
    made = stack.up()
    assert made == {"create": made["create"]}
    outputs = json.loads(stack.pulumi("stack", "output", "--json"))
    assert outputs["address"] == "203.0.113.10"
    assert outputs["locations"] == 6

    assert stack.up() == {"same": made["create"]}
    stack.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")

    changed = stack.up(changed=True)
    assert set(changed) == {"same", "update"}
    assert stack.up() == {"same": made["create"]}
    assert set(stack.up(moved=True)) == {"same", "update"}
    # The provider leaves it to a person to switch the server off for this.
    (server,) = stack.cloud.client.servers.get_all()
    server.power_off().wait_until_finished()
    assert set(stack.up(alone=True)) == {"same", "update"}

    stack.up(alone=False, protected=True)
    assert "protected" in stack.pulumi("destroy", "--yes", "--skip-preview", fails=True)
    assert left(stack.cloud)["servers"] == 1
    stack.up(protected=False)
    stack.pulumi("destroy", "--yes", "--skip-preview")
    assert left(stack.cloud) == dict.fromkeys(EVERYTHING, 0)
    stack.cloud.settled()
    assert stack.cloud.hosts.states == {}
    assert stack.cloud.hosts.volumes == {}
    answered = stack.cloud.app.state.violations.answered
    driven = {(method, path) for method, path, status in answered if status < 300}
    served = {(each.method, each.path) for each in collect()} - NOT_THERE - NOT_ALLOWED
    assert sorted(served - driven - NOT_THE_PROVIDERS) == []


def test_an_answer_lost_on_create_makes_no_second_server(stack: Stack) -> None:
    stack.cloud.faults.add({"lose_answer": "timeout"}, method="POST", path="/servers", count=1)
    output = stack.pulumi("up", "--yes", "--skip-preview", fails=True)
    assert "uniqueness_error" in output
    assert left(stack.cloud)["servers"] == 1


@pytest.mark.parametrize("status", [500, 503])
def test_an_error_of_hetzners_makes_nothing_and_the_next_run_makes_one_server(
    stack: Stack, status: int
) -> None:
    fault = stack.cloud.faults.add(
        {"status": status, "message": "out of order"}, method="POST", path="/servers"
    )
    assert "out of order" in stack.pulumi("up", "--yes", "--skip-preview", fails=True)
    assert left(stack.cloud)["servers"] == 0
    stack.cloud.faults.remove(fault)
    stack.up()
    assert left(stack.cloud)["servers"] == 1
    assert set(stack.up()) == {"same"}


def test_a_rate_limit_is_waited_out(stack: Stack) -> None:
    stack.cloud.faults.add({"rate_limit": 3}, path="/ssh_keys")
    stack.up()
    stack.pulumi("destroy", "--yes", "--skip-preview")
    assert left(stack.cloud) == dict.fromkeys(EVERYTHING, 0)
