"""One job with the real act: its log, outputs, environment, and how it ends when told to."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.github.actions.act_files import Needed, Work
from sandbox.github.actions.runner import ACT, Result, Runner, Stop
from sandbox.github.actions.step_processes import MARK, new_mark, sweep
from sandbox.github.actions.workflow import parse

pytestmark = pytest.mark.toolchain


@pytest.fixture(autouse=True)
def _act() -> None:
    if not ACT.exists():
        pytest.skip("act is not built; `make toolchain` builds it")


class Bench:
    """A runner, and the log and steps of the last job."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runner = Runner(
            folder / "scratch", lambda: {"BASE_IMAGE": "debian"}, lambda: "2026-01-01T00:00:00Z"
        )
        self.steps: list[dict[str, Any]] = []

    def work(self, text: str, **more: Any) -> Work:
        workflow = parse(text, ".github/workflows/x.yml")
        name, job = next(reversed(workflow.jobs.items()))
        environment = {
            "GITHUB_SERVER_URL": "http://127.0.0.1:7090",
            "GITHUB_REPOSITORY": "example-org/fieldwork",
            "GITHUB_REF": "refs/heads/main",
            "SHA_REF": "a" * 40,
        }
        known = {"event": "push", "payload": {"after": "a" * 40}, "actor": "developer", **more}
        return Work(workflow, workflow.title, name, job, environment=environment, **known)

    def run(self, text: str, stop: Stop | None = None, minutes: float = 5, **more: Any) -> Result:
        (self.folder / "log").unlink(missing_ok=True)
        return self.runner.run(
            self.work(text, **more),
            self.folder / "log",
            new_mark(),
            stop or Stop(),
            lambda steps: setattr(self, "steps", [dict(step) for step in steps]),
            minutes,
        )

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def said(self) -> list[str]:
        path = self.folder / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.partition(" ")[2] for line in lines]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_job_runs_and_its_log_steps_and_outputs_are_known(bench: Bench) -> None:
    result = bench.run(
        """
        on: push
        jobs:
          build:
            runs-on: ubuntu-latest
            outputs: {digest: "${{ steps.push.outputs.digest }}", two: "a\\nb"}
            environment: {name: dev, url: "https://${{ steps.push.outputs.digest }}"}
            steps:
              - name: Push
                id: push
                run: |
                  echo "pushed by $GITHUB_ACTOR to $BASE_IMAGE"
                  echo digest=sha256-1 >> "$GITHUB_OUTPUT"
              - if: failure()
                run: echo never
        """
    )
    assert result == Result("success", {"digest": "sha256-1", "two": "a\nb"}, "https://sha256-1")
    assert "pushed by developer to debian" in bench.said
    assert [(step["name"], step["conclusion"]) for step in bench.steps] == [
        ("Push", "success"),
        ("Run echo never", "skipped"),
    ]
    assert list((bench.folder / "scratch").iterdir()) == []


def test_needs_inputs_and_matrix_keep_their_types_and_quotes(bench: Bench) -> None:
    result = bench.run(
        """
        on: push
        jobs:
          build: {runs-on: x, steps: [run: 'true']}
          lost: {runs-on: x, steps: [run: 'true']}
          deploy:
            runs-on: ubuntu-latest
            needs: [build, lost]
            env: {IMAGE: "${{ needs.build.outputs.image }}"}
            steps:
              - run: printf '<%s>' "$IMAGE"
              - if: ${{ !inputs.dry && inputs.count == 3 }}
                run: echo "${{ needs.lost.result }} ${{ matrix.os }} ${{ inputs.text }}"
        """,
        needs={
            "build": Needed("success", {"image": "a'b $HOME"}),
            "lost": Needed("failure"),
        },
        inputs={"dry": False, "count": 3, "text": "it's"},
        matrix={"os": "debian"},
    )
    assert result.conclusion == "success"
    assert "<a'b $HOME>" in bench.said
    assert "failure debian it's" in bench.said


def test_secrets_are_masked_and_kept_out_of_outputs_and_command_lines(bench: Bench) -> None:
    key = "-----BEGIN KEY-----\nline-of-a-key\n-----END KEY-----"
    result = bench.run(
        """
        on: push
        jobs:
          deploy:
            runs-on: ubuntu-latest
            outputs: {leak: "${{ steps.s.outputs.leak }}"}
            steps:
              - id: s
                env: {KEY: "${{ secrets.DEPLOY_KEY }}"}
                run: |
                  echo "$KEY"
                  tr '\\0' ' ' < /proc/$PPID/cmdline; echo
                  echo "::add-mask::later-one"; echo "see later-one"
                  echo "leak=line-of-a-key" >> "$GITHUB_OUTPUT"
        """,
        secrets={"DEPLOY_KEY": key, "GITHUB_TOKEN": "ghs_secret"},
    )
    assert result == Result("success", {})
    assert "line-of-a-key" not in bench.log
    assert "ghs_secret" not in bench.log
    assert "see ***" in bench.said
    assert "##[warning]Skip output 'leak' since it may contain secret." in bench.said


def test_a_step_that_fails_fails_the_job_and_says_its_code(bench: Bench) -> None:
    result = bench.run(
        "{on: push, jobs: {a: {runs-on: x, steps: [{run: 'echo ::error::no space; exit 3'},"
        " {run: echo not me}, {if: always(), run: echo at the end}]}}}"
    )
    assert result.conclusion == "failure"
    assert "##[error]no space" in bench.said
    assert "##[error]Process completed with exit code 3." in bench.said
    assert "at the end" in bench.said
    assert [step["conclusion"] for step in bench.steps] == ["failure", "skipped", "success"]


def command_lines() -> Iterator[bytes]:
    """Of every process there is."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            yield path.read_bytes()


def test_cancelling_asks_the_steps_own_process_and_leaves_nothing_behind(bench: Bench) -> None:
    stop = Stop()

    def cancel_when_it_runs() -> None:
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up and "it runs" not in bench.said:
            time.sleep(0.05)
        stop.asked.set()

    threading.Thread(target=cancel_when_it_runs).start()
    began = time.monotonic()
    result = bench.run(
        """
        on: push
        jobs:
          a:
            runs-on: x
            steps:
              - run: |
                  (trap '' HUP; exec setsid sleep 317.5) &
                  exec python3 -c '
                  import time
                  try:
                      print("it runs", flush=True)
                      time.sleep(60)
                  except KeyboardInterrupt:
                      print("cleaned up", flush=True)'
              - {if: failure(), run: echo no failure}
              - {if: always(), run: echo said goodbye}
        """,
        stop,
    )
    assert result.conclusion == "cancelled"
    assert time.monotonic() - began < 40
    assert "cleaned up" in bench.said
    assert "said goodbye" in bench.said
    assert "no failure" not in bench.said
    assert not any(b"317.5" in words for words in command_lines())


def test_a_step_has_no_terminal_as_on_github(bench: Bench) -> None:
    script = "for n in 0 1 2; do [ -t $n ] && echo terminal $n; done; echo looked"
    assert bench.run(
        f"{{on: push, jobs: {{a: {{runs-on: x, steps: [{{run: '{script}'}}]}}}}}}"
    ).conclusion == ("success")
    assert "looked" in bench.said
    assert not [line for line in bench.said if line.startswith("terminal")]


def test_what_a_step_prints_is_whole_to_its_last_character(bench: Bench) -> None:
    bench.run(
        "{on: push, jobs: {a: {runs-on: x, steps: [{run: 'echo; echo a; echo; printf b'}, "
        "{run: 'echo c; echo'}, {run: 'true'}, {run: 'exit 4'}]}}}"
    )
    said = [line for line in bench.said if not line.startswith("##[")]
    assert said == ["", "a", "", "b", "c", ""]
    assert "##[error]Process completed with exit code 4." in bench.said


def test_a_job_ends_when_its_time_is_over(bench: Bench) -> None:
    result = bench.run(
        "{on: push, jobs: {a: {runs-on: x, steps: [{run: exec sleep 60}]}}}", minutes=0.01
    )
    assert result.conclusion == "cancelled"
    assert any("maximum execution time" in line for line in bench.said)


def test_a_job_that_does_nothing_takes_little_time(bench: Bench) -> None:
    seconds = []
    for _ in range(3):  # other work of the machine may come in between
        began = time.monotonic()
        result = bench.run("{on: push, jobs: {a: {runs-on: x, steps: [{run: 'true'}]}}}")
        assert result.conclusion == "success"
        seconds.append(time.monotonic() - began)
    assert min(seconds) < 1.5


def test_what_a_killed_github_left_behind_is_found_by_its_mark(bench: Bench) -> None:
    mark = new_mark()
    left = subprocess.Popen(["sleep", "60"], env={MARK: mark, "PATH": os.environ["PATH"]})
    other = subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"]})
    try:
        sweep(mark)
        assert left.wait(10) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for process in (left, other):
            process.kill()
            process.wait()
