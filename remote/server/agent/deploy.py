"""One deploy from request to result: nothing changes before it can be done, and a failed
release gives way to the one that ran before."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from typing import Any

from .caddy import Caddy
from .commands import Commands, Ended
from .compose import Compose
from .errors import DeployError
from .health import Probe
from .machine import Machine
from .policy import refusals
from .releases import Release, Store

MINIMUM_FREE = 1024**3
"""Bytes that must be free before anything is pulled."""
PULL_SECONDS = 900
PULL_TRIES = 3
JOB_SECONDS = 900
CERTIFICATE_SECONDS = 45
"""How long a first certificate may keep a deploy waiting; Caddy goes on trying after that."""

Say = Callable[[str], None]


class Deployer:
    """Deploys onto one machine. Collaborators come in, so that tests can replace them."""

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
        self.store = Store(machine.state)
        self.compose = Compose(commands, machine, say)
        self.caddy = Caddy(commands, machine.caddy)

    def deploy(self, request: Mapping[str, Any]) -> dict[str, object]:
        """Deploy a checked request; the result's fields, or DeployError after going back."""
        bundle = request["bundle"]
        self._check_space()
        self._check_volume(bundle["data"])
        if registry := request.get("registry"):
            self.compose.remember_credential(registry)
        release = self._write(request)
        before = self.store.current()
        if before is not None and before.id == release.id and self._is_well(release):
            self._say(f"release {release.id} already runs and is well")
            return self._result(release, changed=False, tls=self._tls(release, 0))
        self._say(f"deploying version {bundle['version']} as release {release.id}")
        self._prepare(release)
        try:
            tls = self._start(release)
        except DeployError as error:
            raise DeployError(f"{error}{self._go_back(before, release)}", error.remedy) from None
        self.store.switch(release)
        self._tidy()
        self._say(f"version {bundle['version']} is live at {bundle['url']}")
        return self._result(release, changed=True, tls=tls)

    def boot(self) -> None:
        """Bring the current release up after a boot, whatever a crash left behind."""
        release = self.store.current()
        if release is None:
            return
        if not self.caddy.is_loaded(release.path):
            self.caddy.load(release.path)
        ended = self.compose.up(release, release.manifest["start_seconds"])
        if not ended.ok:
            raise DeployError(
                self.compose.explain(release) or ended.last(), "look at `flow logs` of this stage"
            )

    def _check_space(self) -> None:
        path = self._machine.docker_root
        free = shutil.disk_usage(path if path.exists() else self._machine.state).free
        if free < MINIMUM_FREE:
            raise DeployError(
                f"only {free // 1024**2} MiB are free on the server's disk; nothing was changed",
                "free space there (`docker system df` shows what takes it) or take a larger "
                "serverType",
            )

    def _check_volume(self, names: list[str]) -> None:
        """The folders that hold data; on the server's own disk only where there is no volume."""
        device = self._machine.facts().get("VOLUME", "")
        if device and names and not self._machine.data.is_mount():
            raise DeployError(
                f"the data volume {device} is not mounted at /data; nothing was changed",
                "run `pulumi up` again; if it persists, look at `systemctl status data.mount`",
            )
        for name in names:
            (self._machine.data / name).mkdir(parents=True, exist_ok=True)

    def _write(self, request: Mapping[str, Any]) -> Release:
        bundle = request["bundle"]
        release_id = self.store.release_id(request)
        password = str((request.get("auth") or {}).get("password") or "")
        files = dict(bundle["files"])
        # Written as it was understood, so that Docker reads what was checked.
        files["compose.yaml"] = json.dumps(_parsed(files["compose.yaml"]), indent=2, sort_keys=True)
        exists = Release(self._machine.state / "releases" / release_id)
        if not (exists.path / "manifest.json").exists():
            files["Caddyfile"] = self.caddy.complete(files["Caddyfile"], password)
        kept = (
            "version", "revision", "url", "hostname", "images", "jobs", "data", "targets",
            "start_seconds", "health_seconds",
        )  # fmt: skip
        manifest = {
            **{key: bundle[key] for key in kept},
            "id": release_id,
            "who": str(request.get("who") or "unknown"),
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        environment = {**bundle["environment"], **(request.get("secrets") or {})}
        return self.store.write(release_id, files, environment, manifest)

    def _prepare(self, release: Release) -> None:
        """Everything that can fail without touching what runs."""
        refused = refusals(json.loads((release.path / "compose.yaml").read_text()))
        if refused:
            raise DeployError(
                f"the release asks for what none may have: {'; '.join(refused)[:400]}",
                "see docs/compose.md; `pulumi preview` says it with remedies",
            )
        ended = self.compose.compose(release, "config", "--quiet")
        if not ended.ok:
            raise DeployError(
                f"docker compose refuses the release: {ended.last()[:400]}",
                "correct the Compose file; `docker compose config` shows the same locally",
            )
        self.caddy.check(release.path)
        for reference in sorted(set(release.manifest["images"].values())):
            self._pull(reference)

    def _pull(self, reference: str) -> None:
        if self.compose.docker("image", "inspect", "--format", "{{.Id}}", reference).ok:
            return
        self._say(f"pulling {reference.split('@')[0]}")
        for attempt in range(PULL_TRIES):
            ended = self.compose.docker("pull", "--quiet", reference, seconds=PULL_SECONDS)
            if ended.ok:
                return
            said = ended.last().lower()
            if any(word in said for word in ("denied", "unauthorized", "not found", "unknown")):
                break
            if attempt < PULL_TRIES - 1:
                self._sleep(5 * (attempt + 1))
        raise DeployError(
            f"the image {reference} could not be pulled: {ended.last()[:400]}; "
            "what ran before was not touched",
            "check registryUsername and registryPassword in the settings, and that it exists",
        )

    def _start(self, release: Release) -> str:
        """Jobs, then services, then the public route. Returns the state of TLS."""
        manifest = release.manifest
        for job in manifest["jobs"]:
            self._say(f"running job {job}")
            ended = self.compose.run_job(release, job, JOB_SECONDS)
            if not ended.ok:
                raise DeployError(
                    f"job {job} failed ({_how(ended)})", "correct what the lines above say"
                )
        ended = self.compose.up(release, manifest["start_seconds"])
        if not ended.ok:
            cause = self.compose.explain(release) or f"docker compose up: {ended.last()[:400]}"
            raise DeployError(
                f"the release did not start ({_how(ended)}): {cause}",
                "correct what the lines above say, or raise start_period of the health check",
            )
        self._await_targets(release)
        self.caddy.load(release.path)
        return self._await_public(release)

    def _await_targets(self, release: Release) -> None:
        manifest = release.manifest
        until = self._clock() + manifest["health_seconds"]
        for target in manifest["targets"]:
            while True:
                answer = self._probe.direct(target["port"], target["path"], manifest["hostname"])
                if answer.ok:
                    break
                if self._clock() >= until:
                    self.compose.explain(release)
                    raise DeployError(
                        f"service {target['service']} is not well: {target['path']} gave {answer}",
                        "correct the service, or the label deployment-flow.health",
                    )
                self._sleep(0.5)

    def _await_public(self, release: Release) -> str:
        """Every health path through Caddy; only a missing certificate is forgiven."""
        manifest = release.manifest
        tls = self._tls(release, CERTIFICATE_SECONDS)
        if tls == "pending":
            self._say(
                "warning: no certificate yet; Caddy goes on asking for one. Does the DNS record "
                f"of {manifest['hostname']} point here, and are ports 80 and 443 open?"
            )
            return tls
        until = self._clock() + manifest["health_seconds"]
        for target in manifest["targets"]:
            while not (answer := self._public(release, target["path"])).ok:
                if self._clock() >= until:
                    raise DeployError(
                        f"{manifest['url']}{target['path']} gave {answer} through the web server",
                        "check the labels deployment-flow.path and deployment-flow.health",
                    )
                self._sleep(0.5)
        return tls

    def _tls(self, release: Release, seconds: float) -> str:
        if not release.manifest["url"].startswith("https://"):
            return "off"
        targets = release.manifest["targets"]
        path = targets[0]["path"] if targets else "/"
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

    def _is_well(self, release: Release) -> bool:
        manifest = release.manifest
        running = self.compose.containers(release)
        return (
            bool(running)
            and not self.compose.unwell(release)
            and self.caddy.is_loaded(release.path)
            and all(
                self._probe.direct(t["port"], t["path"], manifest["hostname"]).ok
                for t in manifest["targets"]
            )
        )

    def _go_back(self, before: Release | None, failed: Release) -> str:
        """Start what ran before; what to add to the error about it."""
        if before is None:
            self._say("nothing ran here before; the failed release is left for you to look at")
            return ""
        version = before.manifest["version"]
        if before.id == failed.id:
            return f"; it is the release that ran, version {version}, and it is not well"
        self._say(f"going back to version {version}")
        ended = self.compose.up(before, before.manifest["start_seconds"])
        try:
            if not self.caddy.is_loaded(before.path):
                self.caddy.load(before.path)
            if not ended.ok:
                raise DeployError(f"docker compose up: {ended.last()[:400]}", "")
        except DeployError as error:
            self._say(f"error: {error}")
            return f"; version {version} did not come up again, either: {error}"
        return f"; version {version} serves again"

    def _tidy(self) -> None:
        _, images = self.store.prune()
        for reference in sorted(images):
            self.compose.docker("image", "rm", reference)

    def _result(self, release: Release, *, changed: bool, tls: str) -> dict[str, object]:
        manifest = release.manifest
        return {
            "ok": True,
            "release": release.id,
            "version": manifest["version"],
            "url": manifest["url"],
            "changed": changed,
            "tls": tls,
        }


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise DeployError(
            "the release's Compose file is not JSON", "run `pulumi up` of the whole stack"
        ) from None


def _how(ended: Ended) -> str:
    return "its time ran out" if ended.status is None else f"status {ended.status}"
