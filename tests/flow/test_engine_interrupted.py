"""An `up` that is stopped in the middle: nothing keeps running, nothing stays locked."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flow.team import Team

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1200)]
STACK = "feature-demo-stopped"
# `flow` as it runs an `up`, for a project that is given.
DRIVER = """
import json, sys
from pathlib import Path
from flow import app
from flow.sandbox_project import SandboxProject
app.listen()
root, directory, credentials = json.loads(sys.stdin.readline())
stacks = SandboxProject(Path(root), Path(directory), credentials).stacks
stacks.up(sys.argv[1], lambda line: print(line, flush=True))
"""


def processes_of(team: Team) -> dict[int, str]:
    """Processes that work on this team's state: command lines by their ids."""
    mark = f"PULUMI_BACKEND_URL=file://{team.project.directory}/state".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            names = (process / "environ").read_bytes().split(b"\0")
            if any(each.startswith(mark) for each in names):
                told = (process / "cmdline").read_text().replace("\0", " ")
                found[int(process.name)] = told
        except OSError:
            continue  # it has ended, or is not ours to look at
    return found


@pytest.mark.parametrize("given", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_a_stopped_up_leaves_no_process_and_no_lock_and_can_be_destroyed(
    team: Team, given: signal.Signals
) -> None:
    team.publish("1.0.0", "feature-demo/stopped")
    team.stacks.create(STACK)
    project = team.project
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, STACK],
        cwd=project.root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdin
        assert process.stdout
        process.stdin.write(
            json.dumps([str(project.root), str(project.directory), project.credentials]) + "\n"
        )
        process.stdin.close()
        said = []
        for line in process.stdout:
            said.append(line)
            if "hcloud:index:Server" in line and "creating" in line:
                assert processes_of(team)
                process.send_signal(given)
                break
        said += process.stdout.readlines()
        assert process.wait(330) != 0, "".join(said)
    finally:
        process.kill()
        if process.stdout:
            process.stdout.close()
    assert processes_of(team) == {}
    locks = project.directory / "state/.pulumi/locks"
    assert [lock for lock in locks.rglob("*") if lock.is_file()] == []
    team.stacks.destroy(STACK)
    assert team.listed() == {}
