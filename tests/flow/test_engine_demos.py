"""Demos with the real engine: made without settings, side by side, gone without a trace."""

import gzip
import json
import os
import secrets
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from components import naming
from flow.looking import look
from tests.flow.canaries import CommandLines, Server, found_in
from tests.flow.commands import Flow
from tests.flow.team import Team

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1200)]
BRANCHES = ("feature-demo/roads", "feature-demo/Kaart_België;$(reboot)")
STACKS = tuple(naming.stack_of_branch(branch) for branch in BRANCHES)
DAY = 86400


@dataclass(frozen=True)
class Up:
    """What was secret in the `up`s of the demos, and what they said."""

    secrets: dict[str, str]
    said: str
    command_lines: CommandLines


@pytest.fixture(scope="module", autouse=True)
def demos(team: Team) -> Up:
    """Two demos, brought up at the same time; the second branch's name is as odd as they get.

    The first one's database has a password of its own, which passes on standard input.
    """
    environment = team.project.environment()
    canary = f"canary-{secrets.token_hex(12)}"
    known = {
        "the application's secret": canary,
        "the registry's password": environment["REGISTRY_PASSWORD"],
        "Hetzner's token": environment["HCLOUD_TOKEN"],
        "GitHub's token": environment["GITHUB_TOKEN"],
        "the passphrase": environment["PULUMI_CONFIG_PASSPHRASE"],
    }
    for branch, stack in zip(BRANCHES, STACKS, strict=True):
        team.publish("1.0.0", branch)
        team.stacks.create(stack)
    # A stack's name does not say which odd branch it is of; the plain one needs no setting.
    team.configure(STACKS[1], branch=BRANCHES[1])
    pulumi = str(team.project.root / ".toolchain/bin/pulumi")
    key = ("--path", "deployment-flow:secrets.POSTGRES_PASSWORD", "--stack", STACKS[0])
    subprocess.run(
        [pulumi, "config", "set", "--secret", *key],
        cwd=team.project.folder,
        env=environment,
        input=canary,
        text=True,
        check=True,
    )
    said: list[str] = []
    with CommandLines(known) as lines, ThreadPoolExecutor(len(STACKS)) as pool:
        done = list(pool.map(lambda stack: team.stacks.up(stack, said.append), STACKS))
    return Up(known, "\n".join([*said, *(each.output for each in done)]), lines)


@pytest.mark.parametrize("stack", STACKS)
def test_a_demo_is_behind_a_password_and_hidden_from_search_engines(team: Team, stack: str) -> None:
    outputs = team.stacks.outputs(stack)
    assert len(outputs["password"]) >= 16
    sight = look(outputs["url"], "1.0.0", team.trust, password=outputs["password"])
    assert "noindex" in sight.robots
    # A browser would refuse the name for a year, long after the demo is gone.
    with httpx.Client(verify=_trusted(team), trust_env=False) as client:
        answer = client.get(outputs["url"])
    assert "strict-transport-security" not in answer.headers


def test_each_demo_has_an_address_and_a_server_of_its_own(team: Team) -> None:
    hosts = [team.stacks.outputs(stack)["ipv4"] for stack in STACKS]
    assert len(set(hosts)) == len(team.client.servers.get_all()) == 2
    assert team.stacks.outputs(STACKS[0])["url"] == f"https://roads.{team.zone}"


def test_a_demo_carries_its_branch_and_its_end_as_labels(team: Team) -> None:
    server = team.client.servers.get_all(label_selector=f"stack={STACKS[0]}")[0]
    assert server.labels is not None
    assert server.labels["branch"] == naming.branch_slug(BRANCHES[0])
    assert 13 * DAY < int(server.labels["expires"]) - time.time() <= 14 * DAY


def test_no_secret_is_in_what_an_up_says_or_on_a_command_line(team: Team, demos: Up) -> None:
    assert len(demos.said) > 1000
    assert found_in(demos.said.encode(), demos.secrets) == []
    seen = b"".join(demos.command_lines.seen)
    # Both ends were watched: the engine here, and Compose on the server.
    assert b"pulumi-language-python" in seen
    assert b"compose" in seen
    assert demos.command_lines.shown == set()


def test_no_secret_is_readable_in_the_state_nor_in_its_history(team: Team, demos: Up) -> None:
    private = str(team.stacks.outputs(STACKS[0])["deploy_key"])
    password = str(team.stacks.outputs(STACKS[0])["password"])
    known = {**demos.secrets, "deploy key": private[60:120], "a demo's password": password}
    files = [each for each in (team.project.directory / "state").rglob("*") if each.is_file()]
    assert any(STACKS[0] in str(each) for each in files)
    shown = {str(each): found for each in files if (found := found_in(_opened(each), known))}
    assert shown == {}


def test_no_secret_is_in_user_data_in_a_servers_logs_or_in_an_image(team: Team, demos: Up) -> None:
    (server,) = team.client.servers.get_all(label_selector=f"stack={STACKS[0]}")
    inside = Server(int(str(server.id)))
    # The password is there, where it has to be: what is not found below could have been.
    kept = inside.files_with(demos.secrets, "/var/lib/deployment-flow")
    assert {Path(each).name for each in kept.pop("the application's secret")} == {
        "environment.json"
    }
    assert kept == {}
    metadata = "http://169.254.169.254/hetzner/v1"
    user_data = inside.output("curl", "-s", f"{metadata}/userdata")
    assert b"cloud-config" in user_data
    told = {
        "user data": user_data,
        "metadata": inside.output("curl", "-s", f"{metadata}/metadata"),
        "the API": json.dumps(server.data_model.__dict__, default=str).encode(),
        "the journal": inside.output("journalctl", "--no-pager", "--output=cat"),
        "images": inside.output("sh", "-c", "docker image inspect $(docker image ls -q)"),
        "their history": inside.output(
            "sh", "-c", "for id in $(docker image ls -q); do docker history --no-trunc $id; done"
        ),
    }
    assert all(told.values())
    assert {
        name: found for name, text in told.items() if (found := found_in(text, demos.secrets))
    } == {}
    logs = ("/var/log", "/run/log", "/tmp", "/etc", "/var/lib/cloud", "/home")
    layers = ("/var/lib/docker/overlay2", "/var/lib/docker/image")
    assert inside.files_with(demos.secrets, *logs, *layers) == {}


def test_no_secret_is_in_what_flow_says(team: Team, demos: Up, tmp_path: Path) -> None:
    flow = Flow(team, tmp_path)
    one = [("deploy",), ("logs",), ("destroy", "--dry-run")]
    running = [flow.start(verb, STACKS[0], *more) for verb, *more in one]
    running.append(flow.start("status"))
    ended = [(*each.communicate(timeout=120), each.returncode) for each in running]
    assert [code for _, _, code in ended] == [0, 0, 0, 0], ended
    for out, err, _ in ended:
        assert out + err
        assert found_in((out + err).encode(), demos.secrets) == []


def _trusted(team: Team) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(team.trust))


def _opened(file: Path) -> bytes:
    content = file.read_bytes()
    return gzip.decompress(content) if file.suffix == ".gz" else content


def test_a_second_up_changes_nothing(team: Team) -> None:
    assert team.stacks.up(STACKS[0]).changed == 0


def test_one_demos_end_leaves_nothing_of_it_and_the_other_alone(team: Team) -> None:
    assert team.listed(f"stack={STACKS[0]}")
    team.stacks.destroy(STACKS[0])
    assert team.listed(f"stack={STACKS[0]}") == {}
    other = team.stacks.outputs(STACKS[1])
    look(other["url"], "1.0.0", team.trust, password=other["password"])


def test_a_demo_whose_state_is_lost_is_swept_and_its_data_only_on_demand(
    team: Team, tmp_path: Path
) -> None:
    flow, stack = Flow(team, tmp_path), STACKS[1]
    other = team.stacks.outputs(stack)
    (cost,) = _costs(flow, stack)
    assert _costs(flow, "no stack") == []
    _lose_state(team, stack)
    assert _costs(flow, "no stack") == [cost]
    before = team.listed()
    # It was made a minute ago: somebody's `up` may still be at it, whose state is elsewhere.
    code, out, _ = flow.run("sweep", "--yes", "--json")
    assert code == 0
    assert {each["action"] for each in json.loads(out)["things"]} == {"keep"}
    assert team.listed() == before
    code, out, err = flow.run("sweep", "--stack", stack, "--yes", "--json")
    assert code == 1, err
    actions = {each["kind"]: each["action"] for each in json.loads(out)["things"]}
    assert actions.pop("volume") == "keep"
    assert set(actions) == {"server", "primary IP", "firewall", "SSH key", "record set"}
    assert set(actions.values()) == {"removed"}
    assert team.listed() == {"volumes": before["volumes"]}
    code, _, err = flow.run("sweep", "--stack", stack, "--volumes", "--yes")
    assert code == 0, err
    assert team.listed() == {}
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://{other['ipv4']}/", timeout=3, trust_env=False)


def _costs(flow: Flow, line: str) -> list[float]:
    """What the lines of that name cost a day."""
    found = flow.json("cost")["environments"]
    return [each["a_day"] for each in found if each["environment"] == line]


def _lose_state(team: Team, stack: str) -> None:
    """Forget a stack that holds things, as a lost bucket does."""
    pulumi = str(team.project.root / ".toolchain/bin/pulumi")
    subprocess.run(
        [pulumi, "--non-interactive", "stack", "rm", "--force", "--yes", "-s", stack],
        cwd=team.project.folder,
        env={**os.environ, **team.project.environment()},
        check=True,
        capture_output=True,
        timeout=60,
    )
