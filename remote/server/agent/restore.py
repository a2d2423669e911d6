"""Data comes back into the application: what uses it stands still, its own command reads it.

A service says how in its label `deployment-flow.restore`: a shell command that reads on standard
input what the command of `deployment-flow.dump` wrote. The label is the running release's; nothing
else that is asked for reaches a shell.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .commands import Commands
from .compose import Compose
from .dump import labelled
from .errors import DeployError
from .feeding import LABEL, feed
from .health import Probe
from .incoming import taken_over
from .jobs import JobsRun
from .lines import Blot
from .machine import Machine
from .releases import Release, Store
from .safekeeping import keep_dumps
from .scrub import LABEL as SCRUB
from .scrub import Unscrubbed, check, scrub

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
        self._unscrubbed = Unscrubbed(machine, self._compose, say)

    def restore(
        self,
        incoming: Path,
        services: Sequence[str],
        *,
        scrubbed: bool = False,
        dumped: bool = False,
    ) -> dict[str, object]:
        """Restore the files 0, 1, … of `incoming` into these services; the result's fields.

        The folder is gone afterwards. Raises DeployError.

        scrubbed  as each service's label says, before anything that uses the data starts
        dumped    dump what is there first, beside the dumps from before migrations
        """
        release = Store(self._machine.state).current()
        if release is None:
            raise DeployError("no release runs here", "deploy one first")
        blot = Blot(list(release.environment.values()))
        restore = self._restore_scrubbed if scrubbed else self._restore
        try:
            # Before the folder is this restore's: what a killed one has left of its own goes, too.
            if self._unscrubbed.empty_left(release):
                self._begin_anew(release)
            with taken_over(incoming) as folder:
                if dumped:
                    keep_dumps(
                        self._compose, release, release, self._machine.state, self._say,
                        protected=False,
                    )  # fmt: skip
                return restore(release, folder, services, blot)
        except DeployError as error:
            raise DeployError(blot(str(error)), error.remedy) from None

    def _restore(
        self, release: Release, folder: Path, services: Sequence[str], blot: Blot
    ) -> dict[str, object]:
        targets = self._targets(release, services)
        began = self._clock()
        stopped = self._stop(release, set(targets))
        try:
            self._feed_all(services, targets, folder, blot)
            self._run_jobs(release, "the data is back")
        except DeployError as error:
            # A command that takes all or nothing has left the data as it was.
            after = self._start_again(release, stopped)
            raise DeployError(f"{error}{after}", error.remedy) from None
        self._start(stopped)
        self._await_well(release, stopped)
        seconds = round(self._clock() - began, 1)
        return {"ok": True, "stopped_seconds": seconds, "version": release.manifest["version"]}

    def _restore_scrubbed(
        self, release: Release, folder: Path, services: Sequence[str], blot: Blot
    ) -> dict[str, object]:
        """The same with data nobody may see as it is: scrubbed, or emptied."""
        targets = self._targets(release, services)
        scrubs = labelled(self._compose, release, SCRUB)
        check(release, services, scrubs)
        began = self._clock()
        self._remove(release, services)
        self._unscrubbed.begin(release)
        try:
            self._feed_all(services, targets, folder, blot)
            for service in services:
                self._say(f"scrubbing {service}")
                scrub(self._compose, service, *scrubs[service], self._say, blot)
        except DeployError as error:
            after = self._after_emptying(release)
            raise DeployError(f"{error}{after}", error.remedy) from None
        self._unscrubbed.end()
        try:
            self._run_jobs(release, "the data is back and scrubbed")
        except DeployError as error:
            after = self._come_back(release, "the application serves again")
            raise DeployError(f"{error}{after}", error.remedy) from None
        self._up(release)
        seconds = round(self._clock() - began, 1)
        version = release.manifest["version"]
        return {"ok": True, "stopped_seconds": seconds, "version": version, "scrubbed": [*services]}

    def _targets(self, release: Release, services: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Service → (container, command) of all that say how they are restored."""
        targets = labelled(self._compose, release, LABEL)
        gone = [each for each in services if each not in targets]
        if gone:
            raise DeployError(f"service {gone[0]} does not run any more", "deploy it, then again")
        return targets

    def _feed_all(
        self,
        services: Sequence[str],
        targets: Mapping[str, tuple[str, str]],
        folder: Path,
        blot: Blot,
    ) -> None:
        for number, service in enumerate(services):
            self._say(f"restoring {service}")
            feed(service, *targets[service], folder / str(number), self._say, blot)

    def _remove(self, release: Release, kept: Sequence[str]) -> None:
        """Remove every container but these services', whatever its state or restart policy."""
        ended = self._compose.keep_only(release, kept, STOP_SECONDS)
        if not ended.ok:
            after = self._come_back(release, "the application serves again")
            raise DeployError(
                f"what uses the data could not be stopped: {ended.last()}{after}; the data was "
                "not touched",
                "look at `docker ps` on the server",
            )

    def _after_emptying(self, release: Release) -> str:
        """Empty the data and start over; what to add to an error about how that went."""
        try:
            self._unscrubbed.empty(release)
        except DeployError as error:
            return f"; and then: {error}"
        return "; the data was emptied: nothing of it was shown" + self._come_back(
            release, "the application serves again, without data", anew=True
        )

    def _come_back(self, release: Release, well: str, *, anew: bool = False) -> str:
        try:
            self._begin_anew(release) if anew else self._up(release)
        except DeployError as error:
            return f"; and then: {error}"
        return f"; {well}"

    def _begin_anew(self, release: Release) -> None:
        """Bring the release up on data that was emptied."""
        self._run_jobs(release, "the data was emptied")
        self._up(release)

    def _up(self, release: Release) -> None:
        ended = self._compose.up(release, release.manifest["start_seconds"])
        if not ended.ok:
            cause = self._compose.explain(release) or ended.last()
            raise DeployError(f"the application did not start again: {cause}", "look at flow logs")
        self._await_well(release, ())

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

    def _run_jobs(self, release: Release, so_far: str) -> None:
        """Migrations: what came back may be older than the release that runs."""
        ran = JobsRun(self._machine.data)
        # Whatever ran on what was here did not run on this.
        ran.forget()
        ran.begin(release, None)
        for job in release.manifest["jobs"]:
            self._say(f"running job {job}")
            ended = self._compose.run_job(release, job, JOB_SECONDS)
            if not ended.ok:
                raise DeployError(
                    f"{so_far}, but job {job} failed on it: {ended.last()}",
                    "deploy the version the backup is of, or restore another: flow backup list",
                )
        ran.end(release)

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
