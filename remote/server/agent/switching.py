"""From one release to the next without a gap: beside, well, takes the traffic, drained, gone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from .caddy import Caddy
from .commands import Ended
from .compose import Compose
from .errors import DeployError
from .health import Probe
from .releases import Release
from .slots import late, port_in, ports_of

JOB_SECONDS = 900
CERTIFICATE_SECONDS = 45
"""How long a first certificate may keep a deploy waiting; Caddy goes on trying after that."""
DRAIN_SECONDS = 30
"""How long requests that the old version answers still have; a deploy waits no longer."""

Say = Callable[[str], None]
Connections = Callable[[Collection[int]], int]
"""How many connections to loopback ports are open."""


class Switch:
    """Starts releases and gives the traffic to them. Faked collaborators in unit tests."""

    def __init__(
        self,
        compose: Compose,
        caddy: Caddy,
        probe: Probe,
        connections: Connections,
        say: Say,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self._compose = compose
        self._caddy = caddy
        self._probe = probe
        self._connections = connections
        self._say = say
        self._sleep = sleep
        self._clock = clock

    def run_jobs(self, release: Release) -> None:
        """Every job of a release in order; the first that fails is the last. Raises DeployError."""
        for job in release.manifest["jobs"]:
            self._say(f"running job {job}")
            ended = self._compose.run_job(release, job, JOB_SECONDS)
            if not ended.ok:
                raise DeployError(
                    f"job {job} failed ({_how(ended)})", "correct what the lines above say"
                )

    def to(self, release: Release, before: Release | None) -> str:
        """Have `release` serve instead of `before`; the state of TLS. Raises DeployError.

        What ran before is stopped at the end of it, and still there to be started again.
        """
        manifest = release.manifest
        self._up(release, self._early(release))
        self._await_targets(release)
        was_loaded = self._caddy.is_loaded(release)
        self._caddy.serve(release)
        tls = self._await_public(release, was_loaded=was_loaded)
        if before is not None and before.folder != release.folder:
            self._retire(before)
        if late(release.compose, release.doubled):
            self._up(release, ())
        self._say(f"version {manifest['version']} has the traffic")
        return tls

    def back(self, before: Release, failed: Release) -> str:
        """Have `before` serve again after `failed` has; what to add to the error about it."""
        manifest = before.manifest
        had_traffic = not self._caddy.is_serving(before)
        ended = self._compose.up(before, manifest["start_seconds"])
        try:
            if not ended.ok:
                raise DeployError(f"docker compose up: {ended.last()[:400]}", "")
            if had_traffic:
                self._caddy.serve(before)
                self._drain(failed)
        except DeployError as error:
            self._say(f"error: {error}")
            return f"; version {manifest['version']} did not come up again, either: {error}"
        self._compose.remove_others(before)
        word = "serves again" if had_traffic else "still serves"
        return f"; version {manifest['version']} {word}"

    def _up(self, release: Release, services: Collection[str]) -> None:
        ended = self._compose.up(release, release.manifest["start_seconds"], sorted(services))
        if not ended.ok:
            cause = self._compose.explain(release) or f"docker compose up: {ended.last()[:400]}"
            raise DeployError(
                f"the release did not start ({_how(ended)}): {cause}",
                "correct what the lines above say, or raise start_period of the health check",
            )

    def _early(self, release: Release) -> set[str]:
        """All but what follows later; empty where nothing does."""
        following = late(release.compose, release.doubled)
        if not following:
            return set()
        return set(release.compose["services"]) - following - set(release.manifest["jobs"])

    def _retire(self, before: Release) -> None:
        """Stop what has had the traffic, once nobody is waiting for an answer of it."""
        if before.doubled:
            self._drain(before)
            self._compose.stop(before, before.doubled)

    def _drain(self, release: Release) -> None:
        ports = ports_of(release.compose, release.doubled).values()
        moved = [port_in(release.slot, port) for port in ports]
        until = self._clock() + DRAIN_SECONDS
        while (left := self._connections(moved)) and self._clock() < until:
            self._sleep(0.2)
        if left:
            self._say(f"{left} connections to the old version are cut after {DRAIN_SECONDS} s")

    def _await_targets(self, release: Release) -> None:
        manifest = release.manifest
        until = self._clock() + manifest["health_seconds"]
        for target, port in targets(release):
            while True:
                answer = self._probe.direct(port, target["path"], manifest["hostname"])
                if answer.ok:
                    break
                if self._clock() >= until:
                    cause = self._compose.explain(release, [target["service"]])
                    raise DeployError(
                        f"service {target['service']} is not well: {target['path']} gave {answer}"
                        + (f"; {cause}" if cause else ""),
                        "correct the service, or the label deployment-flow.health; what needs "
                        f"longer than {manifest['health_seconds']} s to start is waited for with "
                        "a healthcheck that has a start_period",
                    )
                self._sleep(0.5)

    def _await_public(self, release: Release, *, was_loaded: bool) -> str:
        """Every health path through Caddy; only a missing certificate is forgiven."""
        manifest = release.manifest
        tls = self.certificate(release) if was_loaded else self.tls(release, CERTIFICATE_SECONDS)
        if tls == "pending":
            why = self._caddy.refusal(manifest["hostname"])
            self._say(
                "warning: no certificate yet; Caddy goes on asking for one. "
                + (f"The last answer: {why}. " if why else "")
                + f"Does the DNS record of {manifest['hostname']} point here, and are ports 80 and "
                "443 open?"
            )
            return tls
        until = self._clock() + manifest["health_seconds"]
        for target in manifest["targets"]:
            while not (answer := self._public(release, target["path"])).ok:
                if self._clock() >= until:
                    self._compose.explain(release, [target["service"]])
                    raise DeployError(
                        f"{manifest['url']}{target['path']} gave {answer} through the web server",
                        "check the labels deployment-flow.path and deployment-flow.health",
                    )
                self._sleep(0.5)
        return tls

    def certificate(self, release: Release) -> str:
        """As `tls`, of routes that were loaded before; a missing certificate is asked for anew.

        Caddy waits for hours after some failures; whoever deploys may have mended their cause.
        """
        tls = self.tls(release, 0)
        if tls == "pending":
            self._say("no certificate yet: asking for one again")
            self._caddy.ask_again()
            tls = self.tls(release, CERTIFICATE_SECONDS)
        return tls

    def tls(self, release: Release, seconds: float) -> str:
        """`off`, `issued`, or `pending` where there is no certificate within `seconds`."""
        if not release.manifest["url"].startswith("https://"):
            return "off"
        paths = release.manifest["targets"]
        path = paths[0]["path"] if paths else "/"
        until = self._clock() + seconds
        while self._public(release, path).status == 0:
            if self._clock() >= until:
                return "pending"
            self._sleep(0.5)
        return "issued"

    def _public(self, release: Release, path: str) -> Any:
        manifest = release.manifest
        tls = manifest["url"].startswith("https://")
        return self._probe.public(manifest["hostname"], path, tls)

    def is_well(self, release: Release) -> bool:
        """Whether a release runs, is loaded, and answers on every health path."""
        return (
            bool(self._compose.containers(release))
            and not self._compose.unwell(release)
            and self._caddy.is_serving(release)
            and all(
                self._probe.direct(port, target["path"], release.manifest["hostname"]).ok
                for target, port in targets(release)
            )
        )


def targets(release: Release) -> list[tuple[dict[str, Any], int]]:
    """Health targets and their loopback ports in the release's slot."""
    doubled = release.doubled
    return [
        (each, port_in(release.slot, each["port"]) if each["service"] in doubled else each["port"])
        for each in release.manifest["targets"]
    ]


def connections(ports: Collection[int], table: str = "/proc/net/tcp") -> int:
    """Established connections to loopback ports of this machine, seen from who opened them."""
    wanted = {f"0100007F:{port:04X}" for port in ports}
    with open(table, encoding="ascii") as file:  # noqa: PTH123 - a table of the kernel's
        rows = [line.split() for line in file]
    return sum(row[2] in wanted and row[3] == "01" for row in rows[1:] if len(row) > 3)


def _how(ended: Ended) -> str:
    return "its time ran out" if ended.status is None else f"status {ended.status}"
