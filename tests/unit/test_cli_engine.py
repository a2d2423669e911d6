"""How `flow` runs the engine: secrets on standard input, exactly one SIGINT to stop it."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pulumi import automation

from flow import diagnostics
from flow import engine as flow_engine
from flow.engine import Engine, at_once
from flow.errors import FlowError
from flow.results import Result
from flow.stacks import Stacks

FAKE = """#!{python}
import os, signal, sys, time
if sys.argv[1:] == ["version"]:
    print("v3.256.0"); sys.exit()
{body}
"""


@pytest.fixture
def engine(tmp_path: Path) -> Callable[[str], Engine]:
    """Makes an engine whose `pulumi` runs the given lines of Python."""

    def make(body: str) -> Engine:
        program = tmp_path / "bin/pulumi"
        program.parent.mkdir(exist_ok=True)
        program.write_text(FAKE.format(python=sys.executable, body=body))
        program.chmod(0o755)
        return Engine(root=str(tmp_path))

    return make


def test_a_secret_goes_through_standard_input_and_not_the_arguments(
    engine: Callable[[str], Engine], tmp_path: Path
) -> None:
    made = engine("print(sys.argv[1:], sys.stdin.read())")
    done = made.run_with_input(["config", "set", "--secret", "k"], str(tmp_path), {}, "s3cret")
    assert done.stdout == "['--non-interactive', 'config', 'set', '--secret', 'k'] s3cret"


def test_lines_arrive_while_the_engine_runs(
    engine: Callable[[str], Engine], tmp_path: Path
) -> None:
    made = engine("print('out', flush=True); print('err', file=sys.stderr)")
    out: list[str] = []
    err: list[str] = []
    made.run(["up"], str(tmp_path), {}, out.append, err.append)
    assert (out, err) == (["out"], ["err"])


def test_a_failed_command_raises_with_what_it_said(
    engine: Callable[[str], Engine], tmp_path: Path
) -> None:
    made = engine("print('error: no token', file=sys.stderr); sys.exit(255)")
    with pytest.raises(automation.CommandError, match="no token"):
        made.run(["up"], str(tmp_path), {})


def _interrupt_when(file: Path) -> threading.Thread:
    def interrupt() -> None:
        deadline = time.monotonic() + 20
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


def test_an_interrupt_reaches_the_engine_once_and_is_waited_for(
    engine: Callable[[str], Engine], tmp_path: Path
) -> None:
    made = engine(
        """
got = []
signal.signal(signal.SIGINT, lambda *_: got.append(1))
open("ready", "w").close()
time.sleep(0.0)
while not got: time.sleep(0.01)
time.sleep(0.5)
open("stopped", "w").write(str(len(got)))
"""
    )
    thread = _interrupt_when(tmp_path / "ready")
    with pytest.raises(KeyboardInterrupt):
        made.run(["up"], str(tmp_path), {})
    thread.join()
    assert (tmp_path / "stopped").read_text() == "1"


def test_an_interrupt_stops_the_engines_of_other_threads_too(
    engine: Callable[[str], Engine], tmp_path: Path
) -> None:
    made = engine(
        """
got = []
signal.signal(signal.SIGINT, lambda *_: got.append(1))
open("begun", "a").write("x")
open("ready", "w").close()
while not got: time.sleep(0.01)
open("stopped", "w").write(str(len(got)))
"""
    )
    thread = _interrupt_when(tmp_path / "ready")
    with pytest.raises(KeyboardInterrupt):
        at_once(lambda _: made.run(["destroy"], str(tmp_path), {}), [1, 2], 1)
    thread.join()
    assert (tmp_path / "stopped").read_text() == "1"
    assert (tmp_path / "begun").read_text() == "x"  # the second never was


def test_what_an_engine_leaves_behind_is_ended_with_it(
    engine: Callable[[str], Engine], tmp_path: Path
) -> None:
    # As a language host is: in a process group of its own, and deaf to the engine's end.
    made = engine(
        """
import subprocess
left = subprocess.Popen(["sleep", "60"], process_group=0, stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL)
open("left", "w").write(str(left.pid))
os._exit(1)
"""
    )
    with pytest.raises(automation.CommandError):
        made.run(["up"], str(tmp_path), {})
    stat = Path(f"/proc/{(tmp_path / 'left').read_text()}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_an_engine_that_does_not_stop_is_ended(
    engine: Callable[[str], Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_engine, "STOP_SECONDS", 1.5)
    monkeypatch.setattr(flow_engine, "LEAVE_SECONDS", 1.5)
    made = engine(
        """
signal.signal(signal.SIGINT, signal.SIG_IGN)
open("ready", "w").write(str(os.getpid()))
time.sleep(60)
"""
    )
    thread = _interrupt_when(tmp_path / "ready")
    with pytest.raises(KeyboardInterrupt):
        made.run(["up"], str(tmp_path), {})
    thread.join()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "ready").read_text()), 0)


def test_an_engine_that_does_not_stop_is_asked_a_second_time_before_it_is_killed(
    engine: Callable[[str], Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_engine, "STOP_SECONDS", 1.5)
    made = engine(GIVES_ITS_LOCK_BACK_AT_THE_SECOND)
    thread = _interrupt_when(tmp_path / "ready")
    with pytest.raises(KeyboardInterrupt):
        made.run(["up"], str(tmp_path), {})
    thread.join()
    assert (tmp_path / "tidied").exists()


GIVES_ITS_LOCK_BACK_AT_THE_SECOND = """
got = []
signal.signal(signal.SIGINT, lambda *_: got.append(1))
open("ready", "w").close()
while len(got) < 2: time.sleep(0.01)
open("tidied", "w").close()
sys.exit(255)
"""


def test_a_destroy_that_never_ends_is_given_up(
    engine: Callable[[str], Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_engine, "DESTROY_SECONDS", 0.6)
    monkeypatch.setattr(flow_engine, "LEAVE_SECONDS", 1.5)
    made = engine(GIVES_ITS_LOCK_BACK_AT_THE_SECOND)
    with pytest.raises(FlowError, match="not over in 1 s") as raised:
        made.run(["destroy", "--yes"], str(tmp_path), {})
    assert "again" in raised.value.remedy
    assert (tmp_path / "tidied").exists()


def test_only_a_destroy_has_such_an_end(
    engine: Callable[[str], Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_engine, "DESTROY_SECONDS", 0.1)
    assert engine("time.sleep(0.5)").run(["up"], str(tmp_path), {}).code == 0


def test_a_missing_engine_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(FlowError) as raised:
        Stacks(tmp_path, {}, tmp_path / "bin/pulumi")
    assert raised.value.remedy == "make setup"


@pytest.mark.parametrize(
    ("changes", "changed"),
    [({}, 0), ({"same": 12}, 0), ({"same": 3, "update": 2, "create": 1}, 3), ({"read": 1}, 0)],
)
def test_what_counts_as_a_change(changes: dict[str, int], changed: int) -> None:
    assert Result(changes, "").changed == changed


FAILED_UP = """
 code: 255
 stdout: Updating (staging):
 ~  command:local:Command staging-release **updating failed** error: exit status 1
Diagnostics:
  command:local:Command (staging-release):
    error: exit status 1: running "python3 -m remote.hand_over deploy":
    error: the disk is full
    next: make the volume larger

  pulumi:pulumi:Stack (deployment-flow-staging):
    error: update failed

Resources:
    19 unchanged
    1 errored
 stderr: error: an unhandled error occurred: program exited with non-zero exit code: 1
"""


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (
            FAILED_UP,
            (
                'exit status 1: running "python3 -m remote.hand_over deploy":\n'
                "the disk is full\nnext: make the volume larger"
            ),
        ),
        ("code: 255\nstdout: \nstderr: error: incorrect passphrase\n", "incorrect passphrase"),
        ("pulumi: not found", "pulumi: not found"),
    ],
)
def test_a_failure_is_told_in_the_lines_that_say_why(said: str, cause: str) -> None:
    failed = automation.CommandError(automation.CommandResult("", "", 255))
    failed.args = (said,)
    assert diagnostics.cause(failed) == cause


FAILED_MIGRATION = """
Diagnostics:
  command:local:Command (staging-release):
    error: exit status 1: running "python3 -m remote.hand_over deploy":
    pulling the images
    Traceback (most recent call last):
{frames}
    OperationalError: no such column: done
    job migrate failed (exit code 1)
    error: 203.0.113.7: job migrate failed (exit code 1); version 1.0.0 still serves
    next: correct the migration and deploy again

Resources:
    1 errored
"""
FRAMES = [f'File "migrate.py", line {number}, in step' for number in range(40)]


def test_of_a_long_transcript_the_cause_and_the_remedy_at_its_end_are_told() -> None:
    told = diagnostics.cause(FAILED_MIGRATION.format(frames="\n".join(FRAMES))).splitlines()
    assert told == [
        'exit status 1: running "python3 -m remote.hand_over deploy":',
        "… 27 line(s) left out",
        *FRAMES[-15:],
        "OperationalError: no such column: done",
        "job migrate failed (exit code 1)",
        "203.0.113.7: job migrate failed (exit code 1); version 1.0.0 still serves",
        "next: correct the migration and deploy again",
    ]


def test_an_error_that_a_line_before_has_said_in_passing_is_told_where_it_is_the_error() -> None:
    said = "\n".join(["", "Diagnostics:", "no room", *FRAMES, "error: no room"])
    told = diagnostics.cause(said).splitlines()
    assert [at for at, line in enumerate(told) if line == "no room"] == [len(told) - 1]


def test_a_program_that_says_error_without_end_fills_no_screen() -> None:
    said = "\nDiagnostics:\n" + "\n".join(f"error: row {number}" for number in range(500))
    told = diagnostics.cause(f"{said}\nnext: look at the rows\n").splitlines()
    assert len(told) == diagnostics.LINES + 1
    assert told[-2:] == ["row 499", "next: look at the rows"]
