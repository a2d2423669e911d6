"""An `up` that is killed at every step in turn: the next one goes on, and nothing is made twice."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys

import pytest

from flow.looking import look
from tests.flow.team import Team
from tests.flow.test_engine_interrupted import DRIVER, processes_of

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1200)]
STACK = "staging"
# A line of the engine's: what begins, and what is done.
STEP = re.compile(
    r"^\W*(hcloud:index:\w+|command:local:Command) (\S+) (creating|created|replacing)\b"
)
MOST = 40


def up_until_a_new_step(team: Team, seen: set[str]) -> str:
    """An `up` that is killed at the first step that is not among `seen`; "" where it ended well."""
    project = team.project
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, STACK],
        cwd=project.root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdin
    given = [str(project.root), str(project.directory), project.credentials]
    process.stdin.write(json.dumps(given) + "\n")
    process.stdin.close()
    said: list[str] = []
    try:
        for line in process.stdout or ():
            said.append(line)
            found = STEP.match(line)
            if found and (step := " ".join(found.groups())) not in seen:
                return step
        assert process.wait(60) == 0, "".join(said)
        return ""
    finally:
        # All of it at once, as a machine that loses its power.
        for pid in [process.pid, *processes_of(team)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(30)
        if process.stdout:
            process.stdout.close()


def test_an_up_that_is_killed_at_every_step_in_turn_converges_with_nothing_made_twice(
    team: Team,
) -> None:
    team.publish("1.0.0", STACK)
    seen: set[str] = set()
    while len(seen) < MOST and (step := up_until_a_new_step(team, seen)):
        seen.add(step)
    kinds = {step.split()[0].rpartition(":")[2] for step in seen}
    assert kinds == {
        *("PrimaryIp", "Volume", "Firewall", "SshKey", "Server", "VolumeAttachment"),
        *("ZoneRrset", "Command"),
    }
    assert len(seen) > 12, seen
    assert team.stacks.up(STACK).changed == 0
    listed = team.listed()
    assert {kind: len(names) for kind, names in listed.items()} == {
        "servers": 1, "volumes": 1, "primary_ips": 2, "firewalls": 1, "ssh_keys": 1,
        "record sets": 2,
    }  # fmt: skip
    look(team.stacks.outputs(STACK)["url"], "1.0.0", team.trust)
    team.configure(STACK, protected=False)
    team.stacks.up(STACK)
    team.stacks.destroy(STACK)
    assert team.listed() == {}
