"""One deploy from request to result: nothing changes before it can be done, and a failed
release gives way to the one that ran before."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from typing import Any

from .caddy import HASH_PLACE, Caddy
from .commands import Commands
from .compose import Compose
from .errors import DeployError
from .given_files import marked
from .health import Probe
from .jobs import JobsRun
from .machine import Machine
from .networks import check_ipv6
from .policy import refusals
from .pulling import Pulls
from .releases import Release, Store
from .runs import AGENT
from .safekeeping import first_dump, keep_dumps, unprotect_all
from .scrub import Unscrubbed
from .slots import SLOTS, compose_in, other
from .switching import Connections, Switch, connections

MINIMUM_FREE = 1024**3
"""Bytes that must stay free whatever is pulled."""
UNPACKED = 4
"""An image's layers take this many times what is sent of them, while they are unpacked."""

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
        connections: Connections = connections,
    ) -> None:
        self._machine = machine
        self._say = say
        self._sleep = sleep
        self._clock = clock
        self.store = Store(machine.state)
        self.compose = Compose(commands, machine, say)
        self.caddy = Caddy(commands, machine.caddy)
        self._jobs = JobsRun(machine.data)
        self._unscrubbed = Unscrubbed(machine, self.compose, say)
        self._switch = Switch(self.compose, self.caddy, probe, connections, say, sleep, clock)

    def deploy(self, request: Mapping[str, Any]) -> dict[str, object]:
        """Deploy a checked request; the result's fields, or DeployError after going back."""
        bundle = request["bundle"]
        self._check_space(bundle.get("layers") or {})
        anew = self._check_volume(bundle["data"])
        before = self.store.current()
        anew = self._unscrubbed.empty_left(before) or anew
        if registry := request.get("registry"):
            self.compose.remember_credential(registry)
        release = self._write(request, other(before.slot) if before else SLOTS[0])
        if before is not None and before.id == release.id and self._switch.is_well(before):
            self._say(f"release {release.id} already runs and is well")
            return self._result(before, changed=False, tls=self._switch.certificate(before))
        self._say(f"deploying version {bundle['version']} as release {release.id}")
        self._prepare(release)
        try:
            self._run_jobs(release, before, anew=anew, behind=request.get("behind") is True)
            tls = self._switch.to(release, before)
        except DeployError as error:
            after = self._go_back(before, release)
            raise DeployError(f"{error}{after}", f"{error.remedy}{self._way_back()}") from None
        except Exception:
            # A fault of the agent's own is no reason to leave the traffic where it got to.
            self._say(f"the agent itself failed{self._go_back(before, release)}")
            raise
        self.store.switch(release)
        if self._jobs.has_run(release):
            self._trust_data()
        removed = self.compose.remove_others(release)
        if not removed.ok:
            self._say(
                f"warning: what ran before may still be there: {removed.last()}; the next deploy "
                "removes it"
            )
        self._tidy()
        if self._machine.reboot_required.exists():
            self._say(
                "warning: upgrades of this server wait for a reboot, of about a minute; "
                "next: `flow ssh ENV -- reboot`, or Hetzner's console"
            )
        self._say(f"version {bundle['version']} is live at {bundle['url']}")
        return self._result(release, changed=True, tls=tls)

    def boot(self) -> None:
        """Bring the current release up after a boot, whatever a crash left behind."""
        release = self.store.current()
        if release is None:
            return
        emptied = self._unscrubbed.empty_left(release)
        if not self.caddy.is_serving(release):
            self.caddy.serve(release)
        if emptied:
            self._jobs.begin(release, None)
            self._switch.run_jobs(release)
            self._jobs.end(release)
        ended = self.compose.up(release, release.manifest["start_seconds"])
        self.compose.remove_others(release)
        if not ended.ok:
            raise DeployError(
                self.compose.explain(release) or ended.last(), "look at `flow logs` of this stage"
            )

    def _check_space(self, layers: Mapping[str, int]) -> None:
        path = self._machine.docker_root
        free = shutil.disk_usage(path if path.exists() else self._machine.state).free
        here = self.compose.layers() if layers else set()
        missing = sum(int(size) for name, size in layers.items() if name not in here)
        needed = MINIMUM_FREE + missing * UNPACKED
        if free < needed:
            raise DeployError(
                f"only {free // 1024**2} MiB are free on the server's disk, and this release needs "
                f"{needed // 1024**2}; nothing was changed",
                "free space there (`docker system df` shows what takes it) or take a larger "
                "serverType",
            )

    def _check_volume(self, names: list[str]) -> bool:
        """Have the folders for data; on the server's own disk only where there is no volume.

        Whether there are any, and none was there before.
        """
        device = self._machine.facts().get("VOLUME", "")
        if device and names and not self._machine.data.is_mount():
            raise DeployError(
                f"the data volume {device} is not mounted at /data; nothing was changed",
                "run `pulumi up` again; if it persists, look at `systemctl status data.mount`",
            )
        new = [name for name in names if not (self._machine.data / name).exists()]
        for name in new:
            (self._machine.data / name).mkdir(parents=True)
        # No migration has ever run on what begins anew.
        self._jobs.forget_without(new)
        return bool(names) and len(new) == len(names)

    def _write(self, request: Mapping[str, Any], slot: str) -> Release:
        bundle = request["bundle"]
        release_id = self.store.release_id(request)
        password = str((request.get("auth") or {}).get("password") or "")
        files = dict(bundle["files"])
        # Written as it was understood, so that Docker reads what was checked.
        compose = _parsed(files["compose.yaml"])
        files["compose.yaml"] = json.dumps(compose, indent=2, sort_keys=True)
        refused = refusals(compose)
        if refused:
            raise DeployError(
                f"the release asks for what none may have: {'; '.join(refused)[:400]}",
                "see docs/compose.md; `pulumi preview` says it with remedies",
            )
        exists = Release(self._machine.state / "releases" / release_id, slot)
        if (exists.path / "manifest.json").exists():
            return exists
        if HASH_PLACE in files["Caddyfile"]:
            hashed = self.store.hashed(password, self.caddy.hash_password)
            files["Caddyfile"] = files["Caddyfile"].replace(HASH_PLACE, hashed)
        environment = {**bundle["environment"], **(request.get("secrets") or {})}
        told = marked(compose, environment, self.store.keyed)
        for each in SLOTS:
            rendered = compose_in(each, told, bundle.get("doubled") or [])
            files[f"{each}/compose.yaml"] = json.dumps(rendered, indent=2, sort_keys=True)
        kept = (
            "version", "revision", "url", "hostname", "images", "jobs", "data", "doubled",
            "targets", "start_seconds", "health_seconds",
        )  # fmt: skip
        manifest = {
            **{key: bundle[key] for key in kept if key in bundle},
            "id": release_id,
            "who": str(request.get("who") or "unknown"),
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        self.store.write(release_id, files, environment, manifest)
        return exists

    def _prepare(self, release: Release) -> None:
        """Everything that can fail without touching what runs."""
        ended = self.compose.compose(release, "config", "--quiet")
        if not ended.ok:
            raise DeployError(
                f"docker compose refuses the release: {ended.last()[:400]}",
                "correct the Compose file; `docker compose config` shows the same locally",
            )
        check_ipv6(release, self.compose, self._say)
        self.caddy.check(release)
        pulls = Pulls(self.compose, self._say, self._sleep, self._clock)
        pulls.pull(release.manifest["images"].values())

    def _run_jobs(
        self, release: Release, before: Release | None, *, anew: bool, behind: bool
    ) -> None:
        """The release's jobs, once on this data, after a dump of what they may change.

        None runs on data a newer version's have run on: it may be what they do not know.

        anew    there is no data yet
        behind  the stack's record has a newer version than this one
        """
        if not release.manifest["jobs"] or self._jobs.has_run(release):
            return
        later = self._jobs.later(release)
        if not anew and (later or behind):
            self._say(
                f"no job of version {release.manifest['version']} runs: the data is as "
                f"{f'version {later}' if later else 'a newer version'} left it"
            )
            return
        first_dump = "" if anew else self._dump(before, release)
        self._jobs.begin(release, None if anew else before, first_dump)
        self._switch.run_jobs(release)
        self._jobs.end(release)

    def _dump(self, before: Release | None, release: Release) -> str:
        """Dump what the jobs may change; name of the dump from before any of a version's tries."""
        if self._jobs.first_dump and before is not None and self._jobs.has_run(before):
            self._trust_data()  # which a crash kept that release from saying
        first = first_dump(self._machine, self._jobs)
        made = keep_dumps(
            self.compose, before, release, self._machine.state, self._say, protected=first is None
        )
        return first.name if first is not None else made

    def _trust_data(self) -> None:
        """What jobs have made of the data serves: no dump of it from before has to stay."""
        unprotect_all(self._machine.state)
        self._jobs.serve()

    def _way_back(self) -> str:
        """What to add to a remedy where jobs may have changed data of which there is a dump."""
        dump = first_dump(self._machine, self._jobs)
        if dump is None:
            return ""
        return (
            f"; the data as it was before these jobs is kept in {dump}: as root on the server, "
            f"`{AGENT} --restore {dump.name}` puts it back"
        )

    def _go_back(self, before: Release | None, failed: Release) -> str:
        """Have what ran before serve; what to add to the error about it."""
        if before is None:
            self._say("nothing ran here before; the failed release is left for you to look at")
            return ""
        version = before.manifest["version"]
        if before.id == failed.id:
            return f"; it is the release that ran, version {version}, and it is not well"
        self._say(f"going back to version {version}")
        return self._switch.back(before, failed)

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
