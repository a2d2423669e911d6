"""A deploy as a systemd unit of its own, and a session that follows it.

A cut SSH connection ends the following, never the deploy. One unit name for all
deploys is the lock: systemd refuses to start a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .commands import Commands
from .errors import DeployError
from .machine import Machine
from .releases import write_private

UNIT = "deployment-flow-deploy"
AGENT = "/usr/local/lib/deployment-flow/deployment-flow-agent"
RUN_SECONDS = 3000
BUSY_SECONDS = 600
"""How long a hand-over waits for another release's deploy before it gives up."""
BEAT_SECONDS = 5
KEPT_RUNS = 10

Send = Callable[[Mapping[str, object]], None]


def send(message: Mapping[str, object]) -> None:
    """One message to the hand-over: a JSON object a line."""
    print(json.dumps(message, ensure_ascii=False), flush=True)


def client_is_gone() -> bool:
    """Whether the other end closed its side; what it may say after the request is ignored."""
    ready, _, _ = select.select([0], [], [], 0)
    return bool(ready) and os.read(0, 4096) == b""


class Runs:
    """Starts deploys and follows them."""

    def __init__(
        self,
        machine: Machine,
        commands: Commands,
        send_message: Send = send,
        is_gone: Callable[[], bool] = client_is_gone,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._machine = machine
        self._commands = commands
        self._send = send_message
        self._is_gone = is_gone
        self._sleep = sleep
        self._clock = clock

    def deploy(self, request: Mapping[str, Any], release_id: str) -> dict[str, object]:
        """Start the deploy of a request, or join one of the same release; returns its result."""
        until = self._clock() + BUSY_SECONDS
        while True:
            running = self._running()
            if running is not None:
                holder = _read(running / "holder.json")
                same = holder.get("release") == release_id
                verb = "following" if same else "waiting for"
                self._send({"log": f"{verb} {_described(holder)}"})
                result = self.follow(running, None if same else until)
                if same:
                    return result
                if self._clock() >= until:
                    raise DeployError(
                        f"another hand-over is at work: {_described(holder)}",
                        "wait for it to end, then run `pulumi up` again",
                    )
                continue
            run = self._create(request, release_id)
            started = self._commands.run(
                [
                    "systemd-run", f"--unit={UNIT}", "--collect", "--quiet",
                    f"--description={run.name}", f"--property=RuntimeMaxSec={RUN_SECONDS}",
                    "--property=KillMode=mixed", AGENT, "--run", run.name,
                ],
                seconds=30,
            )  # fmt: skip
            if started.ok:
                return self.follow(run, None)
            shutil.rmtree(run, ignore_errors=True)
            if "already" not in started.last() and "exists" not in started.last():
                raise DeployError(
                    f"systemd did not start the deploy: {started.last()}",
                    "look at `systemctl status` on the server",
                )
            if self._clock() >= until:
                raise DeployError(
                    f"{UNIT} is at work on something that is not known any more",
                    f"look at `systemctl status {UNIT}` on the server",
                )
            self._sleep(0.3)

    def follow(self, run: Path, until: float | None) -> dict[str, object]:
        """Pass a run's log on until its result; empty when `until` passes or the client left."""
        position, quiet_since, gone_since = 0, self._clock(), None
        while True:
            result = _read(run / "result.json")
            position, said = self._pass_on(run / "log", position)
            if result:
                while said:
                    position, said = self._pass_on(run / "log", position)
                return result
            now = self._clock()
            if said:
                quiet_since = now
            elif now - quiet_since >= BEAT_SECONDS:
                self._send({"beat": round(now)})
                quiet_since = now
            if self._is_gone():
                raise DeployError("the hand-over went away", "run `pulumi up` again")
            if until is not None and now >= until:
                return {}
            if self._unit() == (True, run.name):
                gone_since = None
            elif gone_since is None:
                gone_since = now
            elif now - gone_since >= 3:
                raise DeployError(
                    "the deploy was interrupted on the server (a reboot, or it was killed)",
                    "run `pulumi up` again: it starts the release anew",
                )
            self._sleep(0.3)

    def _pass_on(self, log: Path, position: int) -> tuple[int, bool]:
        """Send whole lines from `position` on; returns the new position."""
        if not log.exists():
            return position, False
        with log.open("rb") as file:
            file.seek(position)
            data = file.read(1 << 20)
        whole = data.rfind(b"\n") + 1
        for line in data[:whole].decode("utf-8", "replace").splitlines():
            self._send({"log": line})
        return position + whole, whole > 0

    def _create(self, request: Mapping[str, Any], release_id: str) -> Path:
        self._machine.runs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._tidy()
        run = self._machine.runs / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}"
        run.mkdir(mode=0o700)
        write_private(run / "request.json", json.dumps(request))
        holder = {
            "release": release_id,
            "what": "the restore on" if "restore" in request else "the deploy of",
            "version": (request.get("bundle") or request)["version"],
            "who": request.get("who") or "unknown",
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        write_private(run / "holder.json", json.dumps(holder))
        return run

    def _tidy(self) -> None:
        for old in sorted(self._machine.runs.iterdir())[: -KEPT_RUNS + 1]:
            shutil.rmtree(old, ignore_errors=True)

    def _unit(self) -> tuple[bool, str]:
        """Whether a deploy's unit exists now, and its description: the run's name."""
        ended = self._commands.run(
            ["systemctl", "show", "--property=ActiveState,Description", UNIT], seconds=20
        )
        told = dict(line.split("=", 1) for line in ended.lines if "=" in line)
        return told.get("ActiveState") not in (None, "inactive", "failed"), told.get(
            "Description", ""
        )

    def _running(self) -> Path | None:
        """The run whose unit is active now."""
        active, name = self._unit()
        run = self._machine.runs / name
        return run if active and (run / "holder.json").exists() else None


def _described(holder: Mapping[str, Any]) -> str:
    who, version, when = (holder.get(key) for key in ("who", "version", "when"))
    what = holder.get("what") or "the deploy of"
    return f"{what} version {version} that {who} began at {when}"


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


class RunLog:
    """The log file of a run: blotted, bounded lines, each visible at once."""

    def __init__(self, path: Path, blot: Callable[[str], str]) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._blot = blot

    def __call__(self, line: str) -> None:
        # A deploy that stops half way for want of its log would be worse than one without.
        with contextlib.suppress(OSError):
            self._file.write(self._blot(line)[:2100] + "\n")

    def close(self) -> None:
        """After the last line."""
        with contextlib.suppress(OSError):
            self._file.close()


def execute(
    run: Path,
    deploy: Callable[[Mapping[str, Any], RunLog], dict[str, object]],
    blot: Callable[[Mapping[str, Any]], Callable[[str], str]],
) -> int:
    """The unit's body: deploy what the run's folder asks for and write the result there."""
    request = _read(run / "request.json")
    # The secrets live on in the release only.
    (run / "request.json").unlink(missing_ok=True)
    log = RunLog(run / "log", blot(request))
    try:
        result = deploy(request, log)
    except DeployError as error:
        clean = blot(request)
        result = {"ok": False, "cause": clean(str(error)), "remedy": clean(error.remedy)}
        log(f"error: {error}")
    except Exception as error:  # noqa: BLE001 - whatever it is, the hand-over must hear of it
        for line in traceback.format_exc().splitlines():
            log(line)
        cause = f"the agent itself failed: {type(error).__name__}"
        result = {"ok": False, "cause": cause, "remedy": "report the lines above as a bug"}
    log.close()
    print(json.dumps({"version": (request.get("bundle") or request).get("version"), **result}),
          file=sys.stderr)  # fmt: skip
    write_private(run / "result.json", json.dumps(result))
    return 0 if result.get("ok") else 1
