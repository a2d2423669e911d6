"""A machine under a temporary folder for the agent's deploys; commands and health are faked."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

from remote.server.agent.commands import LINE_LIMIT, Commands, Ended
from remote.server.agent.deploy import Deployer
from remote.server.agent.health import Answer, Probe
from remote.server.agent.machine import Machine
from remote.server.agent.releases import Store

PINNED = "registry.example/web@sha256:{:064}"


@dataclass
class FakeCommands(Commands):
    """Answers every command with success but those told to fail."""

    failing: dict[str, list[str]] = field(default_factory=dict)
    """Part of a command line → lines it fails with."""
    answers: dict[str, list[str]] = field(default_factory=dict)
    """Part of a command line → what it says, where that is none of the below."""
    containers: list[dict[str, Any]] = field(default_factory=list)
    doubled: set[str] = field(default_factory=set)
    """Services that are called otherwise in slot green."""
    all_containers: list[str] = field(default_factory=list)
    """What `docker ps` lists of the project: "ID service"."""
    dump_labels: dict[str, list[str]] = field(default_factory=dict)
    """Container → lines of its label that says how it is dumped."""
    configured: dict[str, Any] = field(default_factory=dict)
    """Services as `docker compose config` shows them."""
    dumped: str = "dumped"
    local_layers: list[str] = field(default_factory=list)
    """Layers of each image that is there, as Docker lists them."""
    logged: dict[str, list[str]] = field(default_factory=dict)
    """Service, as it is called in its slot → the lines of its log."""
    killed: list[str] = field(default_factory=list)
    """Names of containers that memory was the end of while a release came up."""
    ran: list[str] = field(default_factory=list)
    caddy_said: list[str] = field(default_factory=list)
    """Lines of the web server's journal."""
    stdin: list[str] = field(default_factory=list)
    environments: list[Mapping[str, str]] = field(default_factory=list)

    def run(
        self,
        arguments: Sequence[str],
        *,
        seconds: float,
        environment: Mapping[str, str] | None = None,
        stdin: str | None = None,
        on_line: Callable[[str], None] | None = None,
        line_limit: int = LINE_LIMIT,
        cancelled: Event | None = None,
    ) -> Ended:
        line = " ".join(arguments)
        self.ran.append(line)
        self.environments.append(environment or {})
        if stdin:
            self.stdin.append(stdin)
        for code, told in ((1, self.failing), (0, self.answers)):
            for part, said in told.items():
                if part in line:
                    return Ended(code, tuple(said))
        if " compose " in line:
            return Ended(0, tuple(self._composed(line)))
        if line.startswith("docker image ls"):
            return Ended(0, ("sha256:1",))
        if ".RootFS.Layers" in line:
            return Ended(0, tuple(self.local_layers))
        if line.startswith("docker ps "):
            return Ended(0, tuple(self.all_containers))
        if line.startswith("docker inspect") and "deployment-flow.dump" in line:
            return Ended(0, tuple(self.dump_labels.get(arguments[-1], ["<no value>"])))
        if line.startswith("perl "):
            return Ended(0, (f"{arguments[-1]}hash",))
        if "--unit=caddy" in line:
            return Ended(0, tuple(self.caddy_said))
        return Ended(0, ())

    def save(
        self,
        arguments: Sequence[str],
        into: Path,
        *,
        seconds: float,
        environment: Mapping[str, str] | None = None,
    ) -> Ended:
        into.write_text(self.dumped)
        return self.run(arguments, seconds=seconds, environment=environment)

    def _composed(self, line: str) -> list[str]:
        if " ps " in line:
            return [json.dumps(self._in_slot(each, line)) for each in self.containers]
        if " config --format json" in line:
            return [json.dumps({"services": self.configured})]
        return self.logged.get(line.split()[-1], []) if " logs " in line else []

    def _in_slot(self, container: dict[str, Any], line: str) -> dict[str, Any]:
        moved = "/green/" in line and container["Service"] in self.doubled
        return {**container, "Service": container["Service"] + (".green" if moved else "")}

    @contextmanager
    def watch(
        self, arguments: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> Iterator[Sequence[str]]:
        yield self.killed

    def steps(self) -> list[str]:
        """The commands that change something, in a few words."""
        words = {
            " run --rm": "job", " up --detach": "up", "reload": "caddy", "docker pull": "pull",
            " stop ": "stop", "docker exec": "dump", "docker rm --force c": "remove",
        }  # fmt: skip
        found = []
        for line in self.ran:
            for part, word in words.items():
                if part in line:
                    release = next((p for p in line.split("/") if p.startswith("r-")), "")
                    found.append(f"{word} {release}".strip())
        return found


@dataclass
class FakeProbe(Probe):
    """Health by port, and of the public route."""

    sick: set[int] = field(default_factory=set)
    has_certificate: bool = True
    public_status: int = 200

    def direct(self, port: int, path: str, host: str) -> Answer:
        return Answer(503 if port in self.sick else 200)

    def public(self, host: str, path: str, tls: bool) -> Answer:
        return Answer(self.public_status) if self.has_certificate else Answer(0, "no certificate")


class Bench(NamedTuple):
    """A machine under a temporary folder, and what acts on it."""

    machine: Machine
    commands: FakeCommands
    probe: FakeProbe
    said: list[str]
    open_connections: list[int]
    """How many there are, each time they are counted; none after the last."""

    def deployer(self) -> Deployer:
        clock = iter(range(100_000))
        return Deployer(
            self.machine, self.commands, self.probe, self.said.append,
            sleep=lambda _: None, clock=lambda: float(next(clock)),
            connections=self.count,
        )  # fmt: skip

    def count(self, ports: Collection[int]) -> int:
        """How many connections to `ports` are open, as told beforehand."""
        self.said.append(f"counted {sorted(ports)}")
        return self.open_connections.pop(0) if ports and self.open_connections else 0

    def deploy(self, request: Mapping[str, Any]) -> dict[str, object]:
        return self.deployer().deploy(request)

    def store(self) -> Store:
        return Store(self.machine.state)

    def release(self, request: Mapping[str, Any]) -> Path:
        return self.machine.state / "releases" / self.store().release_id(request)


def make(folder: Path) -> Bench:
    """A bench on which one healthy container runs."""
    machine = Machine(folder)
    (machine.state / "releases").mkdir(parents=True)
    machine.caddy.mkdir(parents=True)
    running = {"Service": "web", "Name": "app-web-1", "State": "running", "Health": "healthy"}
    return Bench(machine, FakeCommands(containers=[running]), FakeProbe(), [], [])


def request(number: int = 1, **bundle: Any) -> dict[str, Any]:
    return {
        "protocol": 1,
        "who": "ada@laptop",
        "secrets": {"TOKEN": "s3cret-token"},
        "registry": None,
        "auth": {"password": None},
        "bundle": {
            "id": f"r-{number:06}",
            "version": f"{number}.0.0",
            "revision": "",
            "url": "https://app.example.org",
            "hostname": "app.example.org",
            "files": {
                "compose.yaml": json.dumps({"services": {"web": {"image": PINNED.format(number)}}}),
                "Caddyfile": f"# {number}\n",
            },
            "environment": {"VERSION": f"{number}.0.0"},
            "images": {"web": PINNED.format(number)},
            "jobs": ["migrate"],
            "data": ["db"],
            "targets": [{"service": "web", "port": 20001, "path": "/healthz"}],
            "start_seconds": 60,
            "health_seconds": 5,
            **bundle,
        },
    }
