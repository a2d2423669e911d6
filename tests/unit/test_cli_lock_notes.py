"""Notes beside a state tell other machines which command holds a lock; they prove nothing."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from pulumi import automation

from flow import engine as flow_engine
from flow import lock_notes, locks, noted_engines, state_files
from flow.engine import Engine
from flow.errors import FlowError
from flow.lock_notes import LockNotes, Note
from flow.locks import BUSY, Holder
from flow.stacks import Stacks

STACK = "dev"
BEGAN = 1_900_000_000.7
A_RUN = "https://github.com/acme/fieldwork/actions/runs/7"
NOTE = Note(STACK, "runner-7", 4711, BEGAN, "flow deploy dev", A_RUN)


@pytest.fixture(autouse=True)
def _typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/flow", "deploy", STACK, "-c", "word=hush-hush"])
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "noted"))
    for name in ("RUNNER_ENVIRONMENT", "GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def url(tmp_path: Path) -> str:
    (tmp_path / "Pulumi.yaml").write_text("name: p\nruntime: python\n")
    (tmp_path / "state").mkdir()
    return f"file://{tmp_path}/state"


@pytest.fixture
def notes(url: str) -> LockNotes:
    return LockNotes.beside({"PULUMI_BACKEND_URL": url}, "p")


def at(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def holder(host: str = "runner-7", pid: int = 4711, since: float = BEGAN + 2) -> Holder:
    return Holder("s3://team/x/dev/a1.json", "ada", host, pid, at(since))


def told(found: Holder, *of: Note) -> str:
    (noted,) = locks.with_notes([found], of)
    return locks.described(noted, BEGAN + 60)


# -- whose note it is --------------------------------------------------------------


def test_a_lock_of_another_machine_is_told_with_its_command_and_run() -> None:
    assert told(holder(), NOTE).endswith(
        f"for 59 s, on another machine than this: flow deploy dev ({A_RUN})"
    )


@pytest.mark.parametrize(
    "other",
    [
        holder(host="runner-8"),
        holder(pid=4712),
        holder(since=BEGAN - 2),
        holder(since=BEGAN + noted_engines.LOCKED_WITHIN_SECONDS + 2),
        dataclasses.replace(holder(), since="yesterday"),
    ],
)
def test_a_note_of_another_machine_process_or_time_is_not_told(other: Holder) -> None:
    assert told(other, NOTE).endswith("on another machine than this")


def test_a_lock_taken_in_the_second_the_engine_began_in_is_its_own() -> None:
    assert told(holder(since=int(BEGAN)), NOTE).endswith(f"({A_RUN})")


def test_of_two_notes_that_fit_neither_is_told() -> None:
    other = dataclasses.replace(NOTE, command="flow destroy dev")
    assert told(holder(), NOTE, other).endswith("on another machine than this")


def test_a_note_proves_no_death() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    found = dataclasses.replace(holder(socket.gethostname(), process.pid))
    note = dataclasses.replace(NOTE, host=socket.gethostname(), pid=process.pid)
    (noted,) = locks.with_notes([found], [note])
    assert noted.note == note
    assert not locks.is_here(noted)
    assert not locks.is_dead(noted)


def test_the_command_that_was_typed_is_told_rather_than_the_engines_own() -> None:
    here = holder(socket.gethostname(), os.getpid(), time.time())
    here = dataclasses.replace(here, where="file:///x/dev/a1.json")
    note = dataclasses.replace(NOTE, host=here.host, pid=here.pid, began=time.time(), run="")
    assert told(here, note).endswith(": flow deploy dev")


# -- their files -------------------------------------------------------------------


def test_a_note_is_found_again_as_it_was_written(notes: LockNotes) -> None:
    name = notes.write(NOTE)
    assert notes.found(STACK) == [dataclasses.replace(NOTE, name=name)]
    assert notes.found("staging") == []
    notes.remove(STACK, [name])
    assert notes.found(STACK) == []


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"null", b"\xff", b"{}", b'{"host": "a"}',
        b'{"host": "a", "pid": "x", "began": 1, "command": ""}',
        b'{"host": "a", "pid": Infinity, "began": 1, "command": ""}',
    ],
)  # fmt: skip
def test_what_is_no_note_is_none(content: bytes, notes: LockNotes, tmp_path: Path) -> None:
    (tmp_path / "state/running/p/dev").mkdir(parents=True)
    (tmp_path / "state/running/p/dev/1-2-00000000.json").write_bytes(content)
    assert notes.found(STACK) == []


def test_a_note_of_no_time_is_nobodys() -> None:
    assert told(holder(), dataclasses.replace(NOTE, began=float("nan"))).endswith("than this")


def test_what_others_wrote_into_a_note_is_told_as_plain_text(notes: LockNotes) -> None:
    notes.write(dataclasses.replace(NOTE, command="a\x1b[2J", run="javascript:x()"))
    (found,) = notes.found(STACK)
    assert str(found) == "a [2J"


def test_a_stack_takes_its_notes_with_it_and_those_half_written(
    notes: LockNotes, tmp_path: Path
) -> None:
    name = notes.write(NOTE)
    notes.write(dataclasses.replace(NOTE, stack="staging"))
    (tmp_path / f"state/running/p/dev/.{name}.99").touch()
    notes.forget(STACK)
    assert not (tmp_path / "state/running/p/dev").exists()
    assert len(notes.names("staging")) == 1


def test_a_backend_that_is_missing_is_not_made_by_a_note(notes: LockNotes, tmp_path: Path) -> None:
    (tmp_path / "state").rmdir()
    assert notes.write(NOTE) == ""
    assert not (tmp_path / "state").exists()


def test_a_service_that_has_no_locks_has_no_notes() -> None:
    none = LockNotes.beside({"PULUMI_BACKEND_URL": "https://api.pulumi.com"}, "p")
    assert none.write(NOTE) == ""
    assert none.found(STACK) == []
    none.forget(STACK)


# -- from an engine's beginning to its end -----------------------------------------

ENGINE = """#!{python}
import os, pathlib, signal, sys, time
if sys.argv[1:] == ["version"]:
    print("v3.256.0"); sys.exit()
folder, until = pathlib.Path({folder!r}), time.monotonic() + 10
while not list(folder.glob(f"{{os.getpid()}}-*.json")) and time.monotonic() < until:
    time.sleep(0.01)
for each in folder.glob(f"{{os.getpid()}}-*.json"):
    print(each.read_text())
{end}
"""
UP = ["up", "--yes", "--skip-preview", "--stack", STACK]
LOCKED = "print('the stack is currently locked by 1 lock(s)', file=sys.stderr); sys.exit(255)"


def ran(folder: Path, url: str, end: str) -> str:
    """What an engine said that waits for its note, tells it, and ends so; empty where it failed."""
    program = folder / "bin/pulumi"
    program.parent.mkdir()
    running = str(folder / "state/running/p" / STACK)
    program.write_text(ENGINE.format(python=sys.executable, folder=running, end=end))
    program.chmod(0o755)
    made, around = Engine(root=str(folder)), {"PULUMI_BACKEND_URL": url}
    try:
        return made.run(UP, str(folder), around).stdout
    except automation.CommandError:
        return ""


def test_an_update_that_runs_is_noted_with_what_was_typed_and_where(
    tmp_path: Path, url: str, notes: LockNotes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/fieldwork")
    monkeypatch.setenv("GITHUB_RUN_ID", "7")
    found = json.loads(ran(tmp_path, url, ""))
    assert found.pop("pid") > 0
    assert time.time() - 60 < found.pop("began") <= time.time()
    assert found == {
        "stack": STACK, "host": socket.gethostname(), "command": "flow deploy dev -c …",
        "run": A_RUN,
    }  # fmt: skip
    assert notes.names(STACK) == []


@pytest.mark.parametrize(
    ("end", "left"),
    [
        ("", 0),  # it had the lock: whoever left the other note has it no more
        ("sys.exit(255)", 1),
        (LOCKED, 1),
        ("os.kill(os.getpid(), signal.SIGKILL)", 2),
    ],
)
def test_notes_go_as_far_as_their_locks_are_known_to_be_gone(
    end: str, left: int, tmp_path: Path, url: str, notes: LockNotes
) -> None:
    notes.write(NOTE)
    ran(tmp_path, url, end)
    assert len(notes.names(STACK)) == left


@pytest.mark.parametrize(
    "arguments",
    [
        ["preview", "--stack", STACK],
        ["destroy", "--preview-only", "--stack", STACK],
        ["stack", "export", "--stack", STACK],
        ["up", "--yes"],
    ],
)
def test_what_takes_no_lock_or_names_no_stack_leaves_no_note(arguments: list[str]) -> None:
    assert lock_notes.of(1, BEGAN, arguments, {}) is None


@pytest.mark.parametrize(
    "named", [["-s", "dev"], ["--stack=dev"], ["-s=dev"], ["--stack", "organization/p/dev"]]
)
def test_a_stack_is_found_however_it_is_named(named: list[str]) -> None:
    note = lock_notes.of(1, BEGAN, ["up", *named], {})
    assert note is not None
    assert note.stack == STACK


class Failing:
    """A backend that refuses, or hangs."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def names(self, folder: str) -> list[str]:
        return []

    def read(self, name: str) -> bytes | None:
        raise FlowError("the key may not do that")

    def write(self, name: str, content: bytes) -> None:
        time.sleep(self._seconds)
        raise FlowError("the key may not do that")

    def remove(self, names: list[str]) -> None:
        raise FlowError("the key may not do that")


@pytest.mark.parametrize("seconds", [0.0, 3.0])
def test_an_update_goes_on_where_no_note_can_be_written(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_files, "beside", lambda _: Failing(seconds))
    monkeypatch.setattr(lock_notes, "END_SECONDS", 0.2)
    (tmp_path / "Pulumi.yaml").write_text("name: p\n")
    program = tmp_path / "bin/pulumi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho v3.256.0\n")
    program.chmod(0o755)
    made = Engine(root=str(tmp_path))
    began = time.monotonic()
    assert made.run(UP, str(tmp_path), {}).code == 0
    assert time.monotonic() - began < 2.5


# -- what commands say of a lock, and do with its note -----------------------------

PULUMI = """#!{python}
import pathlib, sys
if sys.argv[1:] == ["version"]:
    print("v3.256.0"); sys.exit()
if "cancel" in sys.argv:
    pathlib.Path({lock!r}).unlink(); sys.exit()
if pathlib.Path({lock!r}).exists():
    print("error: the stack is currently locked by 1 lock(s).", file=sys.stderr)
    where = "s3://team/{unique}/dev/a1.json"
    print(f"  {{where}}: created by ada@runner-7 (pid 4711) at {since}", file=sys.stderr)
    sys.exit(255)
sys.exit("no resource named 'urn:pulumi:none::none::none:none:None::none' found")
"""


@pytest.fixture
def stacks(tmp_path: Path, url: str) -> Stacks:
    """Stacks whose state is a folder, the one locked by an update on another machine."""
    program = tmp_path / "bin/pulumi"
    program.parent.mkdir()
    lock = tmp_path / "lock"
    lock.touch()
    program.write_text(
        PULUMI.format(
            python=sys.executable, lock=str(lock), unique=uuid.uuid4(), since=at(BEGAN + 2)
        )
    )
    program.chmod(0o755)
    return Stacks(tmp_path, {"PULUMI_BACKEND_URL": url}, program)


def test_an_up_that_meets_a_lock_tells_its_command_and_run(
    stacks: Stacks, notes: LockNotes
) -> None:
    name = notes.write(NOTE)
    with pytest.raises(FlowError) as raised:
        stacks.up(STACK)
    assert f": flow deploy dev ({A_RUN}). Nothing was changed" in raised.value.problem
    assert raised.value.code == BUSY
    assert notes.names(STACK) == [name]


def test_an_unlock_takes_the_locks_note_with_it_and_no_other(
    stacks: Stacks, notes: LockNotes
) -> None:
    name = notes.write(NOTE)
    other = notes.write(dataclasses.replace(NOTE, pid=4712))
    (found,) = stacks.holders(STACK)
    assert found.note is not None
    assert found.note.name == name
    stacks.unlock(STACK, [found])
    assert notes.names(STACK) == [other]
    assert stacks.holders(STACK) == []


# -- plain pulumi ------------------------------------------------------------------


@pytest.fixture
def become(tmp_path: Path, url: str) -> list[str]:
    """A command that leaves a note for its own process and becomes another program."""
    program = (
        "import os, sys, time; from flow import lock_notes\n"
        f"around = {{**os.environ, 'PULUMI_BACKEND_URL': {url!r}}}\n"
        f"note = lock_notes.of(os.getpid(), time.time(), {UP!r}, around)\n"
        "lock_notes.leave_for_this_process(note, 'p', around)\n"
        "os.execv('/bin/sleep', ['sleep', sys.argv[1]])\n"
    )
    return [sys.executable, "-c", program]


def until(seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + 15
    while not seen() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_a_note_of_this_process_goes_when_the_program_it_became_has_ended(
    become: list[str], notes: LockNotes
) -> None:
    running = subprocess.Popen([*become, "60"], cwd=Path(flow_engine.__file__).parents[1])
    until(lambda: notes.names(STACK))
    (note,) = notes.found(STACK)
    running.send_signal(signal.SIGTERM)
    assert note.pid == running.pid
    assert running.wait(10) == -signal.SIGTERM
    until(lambda: not notes.names(STACK))
    assert notes.names(STACK) == []


def test_it_stays_where_the_program_has_left_its_lock(
    become: list[str], notes: LockNotes, tmp_path: Path
) -> None:
    running = subprocess.Popen([*become, "60"], cwd=Path(flow_engine.__file__).parents[1])
    until(lambda: notes.names(STACK))
    (note,) = notes.found(STACK)
    lock = tmp_path / "state/.pulumi/locks/organization/p/dev/a1.json"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"pid": running.pid, "hostname": note.host}))
    running.kill()
    running.wait(10)
    time.sleep(1)
    assert notes.names(STACK) == [note.name]
    assert notes.holds(note)
    lock.unlink()
    assert not notes.holds(note)
