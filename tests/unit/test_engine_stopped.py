"""A run that GitHub cancels: it has ten seconds in which the engine gives its lock back."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Stops as Pulumi's does: at a first interrupt after the step it is in, which takes long; at once at
# a second.
ENGINE = f"""#!{sys.executable}
import pathlib, signal, sys, time
heard = pathlib.Path("heard")

def interrupted(*_):
    times = heard.read_text().count("I") + 1
    heard.write_text("I" * times)
    if times > 1:
        sys.exit(1)

heard.write_text("")
signal.signal(signal.SIGINT, interrupted)
signal.signal(signal.SIGTERM, lambda *_: heard.write_text("terminated") and sys.exit(1))
while True:
    time.sleep(60)
"""
DRIVER = """
import sys
from flow import app
from flow.engine import Engine
app.listen()
engine = Engine.__new__(Engine)
engine.command = sys.argv[1]
engine.run(["up"], sys.argv[2], {})
"""


def wait_for(file: Path, text: str) -> None:
    until = time.monotonic() + 30
    while not file.exists() or file.read_text() != text:
        assert time.monotonic() < until, f"never came to {text!r}"
        time.sleep(0.02)


def test_the_sigterm_after_a_cancelled_runs_interrupt_is_the_engines_second_interrupt(
    tmp_path: Path,
) -> None:
    script = tmp_path / "pulumi"
    script.write_text(ENGINE)
    script.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path)}
    run = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(script), str(tmp_path)], env=environment
    )
    try:
        wait_for(tmp_path / "heard", "")
        run.send_signal(signal.SIGINT)
        wait_for(tmp_path / "heard", "I")
        run.send_signal(signal.SIGTERM)
        assert run.wait(10) != 0
    finally:
        run.kill()
        run.wait()
    assert (tmp_path / "heard").read_text() == "II"
