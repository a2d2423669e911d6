"""A lock names its holder, and is only broken when that one is shown to be dead."""

import dataclasses
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pulumi import automation

from flow import locks, noted_engines
from flow.engine import Engine
from flow.errors import FlowError
from flow.locks import BUSY
from flow.stacks import Stacks

SAID = """error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) \
to end or delete the lock file with `pulumi cancel`.
  file:///state/.pulumi/locks/organization/p/dev/a1.json?no_tmp_dir=true: created by ada@{host} \
(pid {pid}) at {since}
"""


@pytest.fixture(autouse=True)
def _own_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """These tests may themselves run on a machine of GitHub's; what they note is theirs."""
    monkeypatch.delenv("RUNNER_ENVIRONMENT", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "noted"))


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


BUCKET = "s3://team/states/.pulumi/locks/organization/p/dev/a1.json?region=eu"
UP = ["up", "--yes", "--stack", "dev"]


def in_bucket(pid: int, since: float | None = None) -> locks.Holder:
    """A holder of this machine's name, of a lock in a bucket."""
    return dataclasses.replace(holder(pid, since=since), where=BUCKET)


def note(pid: int, began: float | None = None, url: str = BUCKET, stack: str = "dev") -> None:
    when = time.time() if began is None else began
    arguments = ["up", "--yes", "--stack", stack]
    noted_engines.write(pid, when, arguments, {"PULUMI_BACKEND_URL": url})


def test_a_dead_engine_that_was_noted_here_is_dead_in_a_bucket_too() -> None:
    pid = dead_pid()
    note(pid)
    assert locks.is_dead(in_bucket(pid))


def test_in_a_bucket_this_machines_name_and_a_number_that_is_gone_prove_nothing() -> None:
    found = in_bucket(dead_pid())
    assert not locks.is_here(found)
    assert not locks.is_dead(found)
    assert "on a machine of this one's name" in locks.described(found, time.time())


def test_a_living_engine_that_was_noted_here_is_alive() -> None:
    note(os.getpid())
    assert locks.is_here(in_bucket(os.getpid()))
    assert not locks.is_dead(in_bucket(os.getpid()))


@pytest.mark.parametrize("later", [-60.0, noted_engines.LOCKED_WITHIN_SECONDS + 60])
def test_a_lock_of_another_time_than_the_noted_engines_is_anothers(later: float) -> None:
    pid, now = dead_pid(), time.time()
    note(pid, now)
    assert not locks.is_dead(in_bucket(pid, now + later))


def test_a_lock_of_another_stack_than_the_noted_engines_is_anothers() -> None:
    pid = dead_pid()
    note(pid, stack="staging")
    assert not locks.is_dead(in_bucket(pid))


@pytest.mark.parametrize("part", ["boot", "processes"])
def test_a_note_of_another_start_or_container_says_nothing_here(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid, here = dead_pid(), noted_engines._here() or {}
    with monkeypatch.context() as there:
        there.setattr(noted_engines, "_here", lambda: {**here, part: "another"})
        note(pid)
    assert not locks.is_dead(in_bucket(pid))


def test_notes_of_an_earlier_start_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = noted_engines._here() or {}
    with monkeypatch.context() as before:
        before.setattr(noted_engines, "_here", lambda: {**here, "boot": "another"})
        note(1)
    note(2)
    note(3)
    left = (tmp_path / "noted").rglob("*.json")
    assert sorted(each.name.partition("-")[0] for each in left) == ["2", "3"]


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        (["stack", "export", "--stack", "dev"], BUCKET),
        (["preview", "--stack", "dev"], BUCKET),
        (UP, "file:///state"),
        (UP, "https://api.pulumi.com"),
        (UP, ""),
    ],
)
def test_an_engine_that_takes_no_lock_in_a_bucket_is_not_noted(
    arguments: list[str], url: str
) -> None:
    noted = noted_engines.write(1, time.time(), arguments, {"PULUMI_BACKEND_URL": url})
    assert noted is None


def test_where_nothing_can_be_noted_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "noted").touch()
    pid = dead_pid()
    note(pid)
    assert not locks.is_dead(in_bucket(pid))


NOTED = """#!{python}
import os, pathlib, signal, sys, time
if sys.argv[1:] == ["version"]:
    print("v3.256.0"); sys.exit()
until = time.monotonic() + 10
while not list(pathlib.Path({folder!r}).rglob(f"{{os.getpid()}}-*.json")):
    if time.monotonic() > until:
        print("never noted"); break
    time.sleep(0.01)
{end}
"""


@pytest.mark.parametrize(
    ("end", "left"), [("sys.exit(255)", 0), ("os.kill(os.getpid(), signal.SIGKILL)", 1)]
)
def test_the_note_goes_with_an_engine_that_ends_and_stays_of_one_that_is_killed(
    end: str, left: int, tmp_path: Path
) -> None:
    program = tmp_path / "bin/pulumi"
    program.parent.mkdir()
    noted = tmp_path / "noted"
    program.write_text(NOTED.format(python=sys.executable, folder=str(noted), end=end))
    program.chmod(0o755)
    said: list[str] = []
    with pytest.raises(automation.CommandError):
        Engine(root=str(tmp_path)).run(
            UP, str(tmp_path), {"PULUMI_BACKEND_URL": BUCKET}, said.append
        )
    assert said == []
    assert len(list(noted.rglob("*.json"))) == left


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
