"""Data comes back into the application: what uses it stands still, its own command reads it.

A service says how in its label `deployment-flow.restore`: a shell command that reads on standard
input what the command of `deployment-flow.dump` wrote. The label is the running release's; nothing
else that is asked for reaches a shell.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, cast

from .commands import Commands
from .compose import Compose
from .dump import labelled
from .errors import DeployError
from .health import Probe
from .incoming import taken_over
from .lines import Blot, cut_lines
from .machine import Machine
from .releases import Release, Store

LABEL = "deployment-flow.restore"
SECONDS = 1800
STOP_SECONDS = 30
JOB_SECONDS = 900
WELL_SECONDS = 180

Say = Callable[[str], None]


class Restorer:
    """Restores on one machine. Collaborators come in, so that tests can replace them."""

    def __init__(
        self,
        machine: Machine,
        commands: Commands,
        probe: Probe,
        say: Say,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._machine = machine
        self._say = say
        self._probe = probe
        self._sleep = sleep
        self._clock = clock
        self._compose = Compose(commands, machine, say)

    def restore(self, incoming: Path, services: Sequence[str]) -> dict[str, object]:
        """Restore the files 0, 1, … of `incoming` into these services; the result's fields.

        The folder is gone afterwards. Raises DeployError.
        """
        with taken_over(incoming) as folder:
            release = Store(self._machine.state).current()
            if release is None:
                raise DeployError("no release runs here", "deploy one first")
            blot = Blot(list(release.environment.values()))
            try:
                return self._restore(release, folder, services, blot)
            except DeployError as error:
                raise DeployError(blot(str(error)), error.remedy) from None

    def _restore(
        self, release: Release, folder: Path, services: Sequence[str], blot: Blot
    ) -> dict[str, object]:
        targets = labelled(self._compose, release, LABEL)
        gone = [each for each in services if each not in targets]
        if gone:
            raise DeployError(f"service {gone[0]} does not run any more", "deploy it, then again")
        began = self._clock()
        stopped = self._stop(release, set(targets))
        try:
            for number, service in enumerate(services):
                self._say(f"restoring {service}")
                self._feed(service, *targets[service], folder / str(number), blot)
            self._run_jobs(release)
        except DeployError as error:
            # A command that takes all or nothing has left the data as it was.
            after = self._start_again(release, stopped)
            raise DeployError(f"{error}{after}", error.remedy) from None
        self._start(stopped)
        self._await_well(release, stopped)
        seconds = round(self._clock() - began, 1)
        return {"ok": True, "stopped_seconds": seconds, "version": release.manifest["version"]}

    def _stop(self, release: Release, kept: set[str]) -> list[str]:
        """Stop every container but those whose data comes back; the names of those that ran."""
        names = [
            str(each["Name"])
            for each in self._compose.containers(release)
            if each.get("State") == "running" and each["Service"] not in kept
        ]
        if names:
            self._say(f"stopping what uses the data: {', '.join(names)}")
            ended = self._compose.docker(
                "stop", "--time", str(STOP_SECONDS), *names,
                seconds=STOP_SECONDS * len(names) + 60,
            )  # fmt: skip
            if not ended.ok:
                after = self._start_again(release, names)
                raise DeployError(
                    f"what uses the data could not be stopped: {ended.last()}{after}; the data "
                    "was not touched",
                    "look at `docker ps` on the server",
                )
        return names

    def _start(self, names: Sequence[str]) -> None:
        if not names:
            return
        ended = self._compose.docker("start", *names, seconds=300)
        if not ended.ok:
            raise DeployError(
                f"what was stopped did not start again: {ended.last()}", "flow deploy the stage"
            )

    def _start_again(self, release: Release, names: Sequence[str]) -> str:
        """Start what was stopped; what to add to an error about how that went."""
        try:
            self._start(names)
            self._await_well(release, names)
        except DeployError as error:
            return f"; and then: {error}"
        return "; what was stopped serves again"

    def _run_jobs(self, release: Release) -> None:
        """Migrations: what came back may be older than the release that runs."""
        store = Store(self._machine.state)
        # Whatever ran on what was here did not run on this.
        store.forget_jobs()
        for job in release.manifest["jobs"]:
            self._say(f"running job {job}")
            ended = self._compose.run_job(release, job, JOB_SECONDS)
            if not ended.ok:
                raise DeployError(
                    f"the data is back, but job {job} failed on it: {ended.last()}",
                    "deploy the version the backup is of, or restore another: flow backup list",
                )
        store.note_jobs(release)

    def _feed(self, service: str, container: str, command: str, file: Path, blot: Blot) -> None:
        with file.open("rb") as content:
            process = subprocess.Popen(
                ["docker", "exec", "--interactive", container, "sh", "-c", command],
                stdin=content,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        said: list[str] = []

        def listen() -> None:
            for line in cut_lines(cast(IO[bytes], process.stdout), 500):
                said.append(line)
                del said[:-20]

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            status: int | None = process.wait(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            listener.join(timeout=5)
            if not listener.is_alive():
                cast(IO[bytes], process.stdout).close()
        if status != 0:
            for line in said:
                self._say(f"  {blot(line)}")
            how = f"not over in {SECONDS} s" if status is None else f"status {status}"
            why = said[-1] if said else how
            raise DeployError(
                f"service {service} did not take its data back ({how}): {why}",
                f"correct its label {LABEL}; it has to take all or nothing (docs/compose.md)",
            )

    def _await_well(self, release: Release, names: Sequence[str]) -> None:
        """Until what was started is healthy, and the public route says so."""
        until = self._clock() + WELL_SECONDS
        while unwell := self._unwell(release, names):
            if self._clock() >= until:
                raise DeployError(
                    f"not well {WELL_SECONDS} s after the restore: {unwell}",
                    "look at flow logs; restore the safety backup if the data is the cause",
                )
            self._sleep(0.5)

    def _unwell(self, release: Release, names: Sequence[str]) -> str:
        for each in self._compose.containers(release):
            ran = each["Name"] in names and each["Service"] not in release.manifest["jobs"]
            state = each.get("Health") or each.get("State")
            if ran and state not in ("healthy", "running"):
                return f"service {each['Service']} is {state}"
        manifest = release.manifest
        tls = manifest["url"].startswith("https://")
        for target in manifest["targets"]:
            answer = self._probe.public(manifest["hostname"], target["path"], tls)
            # No answer at all is a certificate that is still to come.
            if not answer.ok and answer.status:
                return f"{target['path']} gave {answer}"
        return ""
