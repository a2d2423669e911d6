"""A lock names its holder, and is only broken when that one is shown to be dead."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flow import locks
from flow.errors import FlowError
from flow.stacks import BUSY, Stacks

SAID = """error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) \
to end or delete the lock file with `pulumi cancel`.
  file:///state/.pulumi/locks/organization/p/dev/a1.json?no_tmp_dir=true: created by ada@{host} \
(pid {pid}) at {since}
"""


@pytest.fixture(autouse=True)
def _own_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests may themselves run on a machine of GitHub's."""
    monkeypatch.delenv("RUNNER_ENVIRONMENT", raising=False)


def at(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def holder(pid: int, host: str = "", since: float | None = None) -> locks.Holder:
    when = at(time.time() if since is None else since)
    said = SAID.format(host=host or socket.gethostname(), pid=pid, since=when)
    (found,) = locks.holders(said)
    return found


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_holder_is_told_by_name_machine_process_and_time() -> None:
    found = holder(4711, "runner-7", 0)
    assert str(found) == "ada@runner-7 (pid 4711) since 1970-01-01T00:00:00Z"
    assert found.file == Path("/state/.pulumi/locks/organization/p/dev/a1.json")


def test_what_a_lock_does_not_say_is_told_where_it_can_be_seen() -> None:
    now = time.time()
    running = subprocess.Popen(["sleep", "60"])
    try:
        found = holder(running.pid, since=now - 200)
        told = locks.described(found, now)
    finally:
        running.kill()
        running.wait()
    assert f"(pid {running.pid})" in told
    assert ", for 3 min: " in told
    assert told.endswith(": sleep 60")
    assert locks.described(holder(dead_pid()), now).endswith(", which has died")
    assert "another machine" in locks.described(holder(1, "elsewhere"), now)


def test_settings_on_a_command_line_are_not_repeated() -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)", "config", "set", "hush-hush"]
    running = subprocess.Popen(command)
    try:
        told = locks.described(holder(running.pid), time.time())
    finally:
        running.kill()
        running.wait()
    assert "hush-hush" not in told


def test_a_running_process_of_this_machine_is_alive() -> None:
    assert not locks.is_dead(holder(os.getpid()))


def test_a_process_of_this_machine_that_is_gone_is_dead() -> None:
    assert locks.is_dead(holder(dead_pid()))


def test_one_that_has_ended_and_is_not_asked_for_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    deadline = time.monotonic() + 10
    while not locks._has_ended(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        assert locks.is_dead(holder(process.pid))
    finally:
        process.wait()


def test_another_process_with_the_holders_number_is_not_the_holder() -> None:
    # The lock was taken long before the process of that number began.
    assert locks.is_dead(holder(os.getpid(), since=time.time() - 10 * 365 * 86400))


def test_of_another_machine_nothing_is_known() -> None:
    assert not locks.is_dead(holder(dead_pid(), "elsewhere"))


def test_a_clock_that_was_set_since_the_lock_was_taken_makes_no_living_one_dead() -> None:
    assert not locks.is_dead(holder(os.getpid(), since=time.time() - 60))


def test_of_a_machine_that_shares_its_name_with_others_nothing_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RUNNER_ENVIRONMENT", "github-hosted")
    assert not locks.is_here(holder(dead_pid()))
    assert not locks.is_dead(holder(dead_pid()))


def test_a_lock_is_broken_by_one_process_only() -> None:
    found = [locks.Holder(f"file:///x/{os.getpid()}-{time.time_ns()}.json", "ada", "h", 1, at(0))]
    with locks.breaking(found) as first:
        assert first == found
    with locks.breaking(found) as second:
        assert second == []


PULUMI = """#!{python}
import json, pathlib, sys
if sys.argv[1:] == ["version"]:
    print("v3.256.0"); sys.exit()
lock = pathlib.Path({lock!r})
if lock.exists() and "up" in sys.argv:
    held = json.loads(lock.read_text())
    print(f"error: the stack is currently locked by 1 lock(s).", file=sys.stderr)
    print(f"  file://{{lock}}: created by ada@{{held['hostname']}} (pid {{held['pid']}}) at "
          f"{{held['timestamp']}}", file=sys.stderr)
    sys.exit(255)
if "refresh" in sys.argv:
    # As the real one does: what it was told to look at is not there, or it comes not so far.
    told = lock.with_name("refresh.txt")
    target = sys.argv[sys.argv.index("--target") + 1]
    words = told.read_text() if told.exists() else f"no resource named '{{target}}' found"
    print(f"error: {{words}}", file=sys.stderr)
    sys.exit(1)
if "history" in sys.argv:
    print(json.dumps([{{"kind": "update", "startTime": "2026-01-01T00:00:00.000Z", "message": "",
        "environment": {{}}, "config": {{}}, "result": "succeeded", "version": 1,
        "endTime": "2026-01-01T00:00:00.000Z", "resourceChanges": {{"create": 1}}}}]))
elif {{"output", "export", "config"}} & set(sys.argv):
    print("{{}}")
"""


@pytest.fixture
def stacks(tmp_path: Path) -> Stacks:
    """Stacks of an engine that refuses an `up` while lock.json is there, as the real one does."""
    (tmp_path / "Pulumi.yaml").write_text("name: p\nruntime: python\n")
    program = tmp_path / "bin/pulumi"
    program.parent.mkdir()
    program.write_text(PULUMI.format(python=sys.executable, lock=str(tmp_path / "lock.json")))
    program.chmod(0o755)
    return Stacks(tmp_path, {}, program)


def lock(folder: Path, pid: int, host: str = "") -> Path:
    file = folder / "lock.json"
    name = host or socket.gethostname()
    file.write_text(f'{{"pid": {pid}, "hostname": "{name}", "timestamp": "{at(time.time())}"}}')
    return file


def test_an_up_breaks_a_dead_ones_lock_says_so_and_goes_on(
    stacks: Stacks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pid = dead_pid()
    file = lock(tmp_path, pid)
    assert stacks.up("dev").changes == {"create": 1}
    assert not file.exists()
    said = capsys.readouterr().err
    assert f"(pid {pid})" in said
    assert "broken" in said


@pytest.mark.parametrize("host", ["", "elsewhere"])
def test_an_up_stops_at_a_lock_whose_holder_may_live_and_names_it(
    stacks: Stacks, tmp_path: Path, host: str
) -> None:
    file = lock(tmp_path, os.getpid(), host)
    with pytest.raises(FlowError, match=rf"ada@\S+ \(pid {os.getpid()}\) since") as raised:
        stacks.up("dev")
    assert raised.value.code == BUSY
    assert file.exists()


def test_a_stack_that_nobody_holds_is_not_locked(stacks: Stacks) -> None:
    assert stacks.holders("dev") == []


@pytest.mark.parametrize(
    "words",
    [
        "unable to open bucket s3://team: dial tcp 127.0.0.1:9: connect: connection refused",
        "getting stack configuration: get stack secrets manager: incorrect passphrase",
    ],
)
def test_where_the_state_cannot_be_opened_nobody_says_that_it_is_not_locked(
    stacks: Stacks, tmp_path: Path, words: str
) -> None:
    (tmp_path / "refresh.txt").write_text(words)
    with pytest.raises(FlowError, match="nobody can say whether dev is locked") as raised:
        stacks.holders("dev")
    assert words in raised.value.problem
    assert "PULUMI_BACKEND_URL" in raised.value.remedy
