"""An `up` that is killed at every step in turn: the next one goes on, and nothing is made twice."""

import contextlib
import os
import re
import signal
import subprocess

import pytest

from flow.engine import _members
from flow.looking import look
from tests.flow.team import Team

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(900)]
STACK = "staging"
# A line of the engine's: what begins, and what is done.
STEP = re.compile(
    r"^\W*(hcloud:index:\w+|command:local:Command) (\S+) (creating|created|replacing)\b"
)
MOST = 40


def _up_until_a_new_step(team: Team, seen: set[str]) -> str:
    """An `up` that is killed at the first step that is not among `seen`; "" where it ended."""
    process = subprocess.Popen(
        [
            str(team.project.root / ".toolchain/bin/pulumi"),
            *("--non-interactive", "up", "--yes", "--skip-preview", "--color", "never"),
            *("--stack", STACK),
        ],
        cwd=team.project.folder,
        env={**os.environ, **team.project.environment()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    said: list[str] = []
    try:
        for line in process.stdout or ():
            said.append(line)
            found = STEP.match(line)
            if found and (step := " ".join(found.groups())) not in seen:
                process.kill()
                return step
        assert process.wait(60) == 0, "".join(said)
        return ""
    finally:
        # All of it at once, as a machine that loses its power.
        for pid in _members(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(30)
        if process.stdout:
            process.stdout.close()


def test_an_up_that_is_killed_at_every_step_in_turn_converges_with_nothing_made_twice(
    team: Team,
) -> None:
    team.publish("1.0.0", STACK)
    locks = team.project.directory / "state/.pulumi/locks"
    seen: set[str] = set()
    while len(seen) < MOST and (step := _up_until_a_new_step(team, seen)):
        seen.add(step)
        # Its holder is dead: what `flow` finds out by itself, plain Pulumi has to be told.
        for lock in [each for each in locks.rglob("*") if each.is_file()]:
            lock.unlink()
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
