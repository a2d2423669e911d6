"""Docker and Docker Compose, for one release at a time."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from .commands import DATA_LIMIT, LINE_LIMIT, Commands, Ended
from .machine import Machine
from .releases import Release, write_private
from .slots import PROJECT, plain

_LABEL = "com.docker.compose"
_LAST_LINES = 20
_OUT_OF_MEMORY = " (killed: out of memory)"
Say = Callable[[str], None]


class Compose:
    """Runs the one Compose project of this server."""

    def __init__(self, commands: Commands, machine: Machine, say: Say) -> None:
        self._commands = commands
        self._machine = machine
        self._say = say
        # Containers that were killed for their memory while a release came up, by name.
        self._killed: frozenset[str] = frozenset()

    def remember_credential(self, registry: dict[str, str]) -> None:
        """Keep the registry's credential for pulls of today and of a boot in a year."""
        pair = f"{registry['username']}:{registry['password']}".encode()
        server = registry["server"]
        name = "https://index.docker.io/v1/" if server in ("docker.io", "") else server
        folder = self._machine.docker_config
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = json.dumps({"auths": {name: {"auth": base64.b64encode(pair).decode()}}})
        write_private(folder / "config.json", text)

    def docker(
        self,
        *arguments: str,
        seconds: float = 60,
        line_limit: int = LINE_LIMIT,
        cancelled: Event | None = None,
    ) -> Ended:
        """A plain docker command."""
        return self._commands.run(
            ["docker", *arguments],
            seconds=seconds,
            environment=self._environment(),
            line_limit=line_limit,
            cancelled=cancelled,
        )

    def compose(
        self,
        release: Release,
        *arguments: str,
        seconds: float = 60,
        loud: bool = False,
        line_limit: int = LINE_LIMIT,
    ) -> Ended:
        """A Compose command on a release; `loud` shows its lines as they come."""
        command, environment = self.command(release, *arguments)
        return self._commands.run(
            command,
            seconds=seconds,
            environment=environment,
            on_line=self._say if loud else None,
            line_limit=line_limit,
        )

    def command(self, release: Release, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """A Compose command on a release as it is run, and its variables; secrets are in these."""
        return [
            "docker", "compose", "--progress", "quiet", "--project-name", PROJECT,
            "--project-directory", str(release.path),
            "--file", str(release.folder / "compose.yaml"), *arguments,
        ], {**release.environment, **self._environment()}  # fmt: skip

    def up(self, release: Release, seconds: int, services: Sequence[str] = ()) -> Ended:
        """Start everything of a release and wait until it is up.

        services  these alone, and what they wait for
        """
        # Docker keeps its last 256 events, which health checks fill in seconds.
        watching = [
            "docker", "events", "--filter", "event=oom", "--format", "{{.Actor.Attributes.name}}"
        ]  # fmt: skip
        with self._commands.watch(watching, environment=self._environment()) as killed:
            ended = self.compose(
                release,
                "up", "--detach", "--no-build", "--pull", "missing",
                "--wait", "--wait-timeout", str(seconds), *release.called(services),
                seconds=seconds + 120,
                loud=True,
            )  # fmt: skip
            self._killed = frozenset(killed)
        return ended

    def stop(self, release: Release, services: Sequence[str]) -> Ended:
        """Stop services, and leave them there to be started again."""
        return self.compose(release, "stop", *release.called(services), seconds=300)

    def remove_others(self, release: Release) -> Ended:
        """Remove every container that is none of this release's, as it runs in its slot."""
        listed = self.docker(
            "ps", "--all", "--no-trunc", "--filter", f"label={_LABEL}.project={PROJECT}",
            "--format", f'{{{{.ID}}}} {{{{.Label "{_LABEL}.service"}}}}',
        )  # fmt: skip
        own = set(release.called(release.compose["services"]))
        pairs = [line.split(" ", 1) for line in listed.lines if " " in line]
        others = [container for container, service in pairs if service not in own]
        if not others:
            return listed
        self.docker("stop", *others, seconds=300)
        return self.docker("rm", "--force", *others, seconds=300)

    def keep_only(self, release: Release, services: Sequence[str], stop_seconds: int) -> Ended:
        """Stop and remove every container but these services', of whatever release or job.

        Removed, because a restart policy brings back what is only stopped. A list that could not
        be read is a failure.
        """
        listed = self.docker(
            "ps", "--all", "--filter", f"label={_LABEL}.project={PROJECT}",
            "--format", f'{{{{.Names}}}} {{{{.Label "{_LABEL}.service"}}}}',
        )  # fmt: skip
        kept = set(release.called(services))
        pairs = [line.split(" ", 1) for line in listed.lines if " " in line]
        others = [name for name, service in pairs if service not in kept]
        if not listed.ok or not others:
            return listed
        self._say(f"removing what uses the data: {', '.join(others)}")
        patience = stop_seconds * len(others) + 60
        ended = self.docker("stop", "--time", str(stop_seconds), *others, seconds=patience)
        if not ended.ok:
            return ended
        return self.docker("rm", "--force", "--volumes", *others, seconds=300)

    def down(self, release: Release) -> Ended:
        """Remove every container, and every volume but the folders on the data volume."""
        # One of a job that was killed, too, which Compose leaves there.
        listed = self.docker(
            "ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={_LABEL}.project={PROJECT}"
        )
        gone = listed
        if listed.lines:
            gone = self.docker("rm", "--force", "--volumes", *listed.lines, seconds=300)
        if not listed.ok or not gone.ok:
            return gone
        return self.compose(
            release, "down", "--volumes", "--remove-orphans", "--timeout", "30", seconds=600
        )

    def save(self, container: str, command: str, file: Path, seconds: float) -> Ended:
        """Run a shell command in a container; what it writes goes to `file`, its words are kept."""
        return self._commands.save(
            ["docker", "exec", container, "sh", "-c", command],
            file,
            seconds=seconds,
            environment=self._environment(),
        )

    def layers(self) -> set[str]:
        """Digests of every layer, unpacked, that is on this server."""
        images = sorted(set(self.docker("image", "ls", "--quiet", "--no-trunc").lines))
        if not images:
            return set()
        listed = self.docker(
            "image", "inspect", "--format", "{{json .RootFS.Layers}}", *images,
            line_limit=DATA_LIMIT,
        )  # fmt: skip
        return {
            layer for line in listed.lines if line.startswith("[") for layer in json.loads(line)
        }

    def run_job(self, release: Release, job: str, seconds: float) -> Ended:
        """Run a one-shot job to its end. None of it goes on when its time has run out.

        A job that ignores SIGTERM outlives the command that started it: under a name it can be
        found again, also by the next deploy when this one was killed.
        """
        name = f"{PROJECT}-job-{job}"
        self.docker("rm", "--force", name)
        ended = self.compose(
            release, "run", "--rm", "--name", name, "--no-TTY", "--quiet-pull", job,
            seconds=seconds, loud=True,
        )  # fmt: skip
        if not ended.ok:
            self.docker("rm", "--force", name)
        return ended

    def containers(self, release: Release) -> list[dict[str, Any]]:
        """`docker compose ps` of a release: Service, State, Health, ExitCode and more."""
        ended = self.compose(release, "ps", "--all", "--format", "json", line_limit=DATA_LIMIT)
        found: list[dict[str, Any]] = []
        for line in ended.lines:
            if line.startswith("["):  # one list in some versions, an object a line in others
                found += json.loads(line)
            elif line.startswith("{"):
                found.append(json.loads(line))
        own = set(release.called(release.compose["services"]))
        return [
            {**each, "Service": plain(each["Service"])} for each in found if each["Service"] in own
        ]

    def unwell(self, release: Release) -> list[dict[str, Any]]:
        """Containers that are not running or whose health check fails, jobs left out."""
        jobs = release.manifest["jobs"]
        return [
            container
            for container in self.containers(release)
            if container["Service"] not in jobs
            and (
                container["State"] != "running"
                or container.get("Health") in ("unhealthy", "starting")
            )
        ]

    def explain(self, release: Release, failed: Sequence[str] = ()) -> str:
        """Say the last lines of every service that is not well; returns the cause in one line.

        failed  services that are not well for a reason Docker does not know: their lines, too
        """
        unwell = self.unwell(release)
        causes = []
        for container in unwell:
            state = container.get("Health") or container["State"]
            code = container.get("ExitCode")
            causes.append(
                f"service {container['Service']} is {state}"
                f"{f', exit code {code}' if code else ''}{self._ends(container['Name'])}"
            )
        for service in dict.fromkeys([*failed, *(each["Service"] for each in unwell)]):
            self._say(f"--- last lines of {service} ---")
            ended = self.compose(
                release, "logs", "--no-color", "--no-log-prefix", "--tail", str(_LAST_LINES),
                *release.called([service]),
            )  # fmt: skip
            for line in ended.lines[-_LAST_LINES:] or ("(it has said nothing)",):
                self._say(f"  {line}")
        return "; ".join(causes)

    def _ends(self, name: str) -> str:
        """How a container ended before: how often it was started again, and if memory was why.

        Docker forgets the reason of an end as it starts a container again; its events know.
        """
        seen = self.docker(
            "inspect", "--format", "{{.State.OOMKilled}} {{.RestartCount}} {{.Created}}", name
        ).last()
        killed, restarts, created = [*seen.split(), "", "", ""][:3]
        if not restarts.isdigit() or int(restarts) == 0:
            return _OUT_OF_MEMORY if killed == "true" else ""
        if name in self._killed:
            killed = "true"
        if killed != "true":
            events = self.docker(
                "events", "--since", created, "--until", "0s", "--format", "{{.Action}}",
                "--filter", f"container={name}", "--filter", "event=oom",
            )  # fmt: skip
            killed = "true" if "oom" in events.lines else killed
        times = "once" if restarts == "1" else f"{restarts} times"
        return f", started again {times}{_OUT_OF_MEMORY if killed == 'true' else ''}"

    def _environment(self) -> dict[str, str]:
        return {"HOME": "/root", "DOCKER_CONFIG": str(self._machine.docker_config)}
