"""Starting, stopping and looking at the sandbox.

Everything here is safe to repeat: `up` starts what is missing and leaves alone
what runs. One sandbox runs on a machine, because its addresses are fixed.
"""

import argparse
import json
import os
import shutil
import socket
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import httpx

from sandbox import alone, credentials
from sandbox.alone import Port, Report, SandboxError
from sandbox.hosts import container as description
from sandbox.hosts import docker_daemon, images, network, package_sources
from sandbox.hosts.docker_hosts import DockerHosts
from sandbox.processes import Detached
from sandbox.services import acme, hosts_file, registry, registry_tokens, zones
from sandbox.services.authority import Authority
from sandbox.services.object_store import ObjectStore
from sandbox.store import Store

__all__ = ["Sandbox", "SandboxError"]

ROOT = Path(__file__).resolve().parents[1]
_HEALTH = f"http://127.0.0.1:{credentials.API_PORT}/_sandbox/health"
# Set, a starting API compares every answer with its description; see logs/violations.log.
VALIDATE = "FLOW_SANDBOX_VALIDATE"
_GITHUB_HEALTH = f"{credentials.GITHUB_URL}/_sandbox/health"
_SERVE_SECONDS = 60.0  # servers that ran are started before the API answers
_GITHUB_SECONDS = 30.0
_PEBBLE_SECONDS = 15.0


def _silent(_line: str) -> None:
    """Progress that nobody reads."""


class Sandbox:
    """The sandbox whose state is in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self._authority = Authority(self.directory / "ca")
        self._serve = Detached("serve", f"sandbox.serve\0--dir\0{self.directory}", self.directory)
        self._github = Detached(
            "github", f"sandbox.github.serve\0--dir\0{self.directory}", self.directory
        )
        self._pebble = Detached("pebble", f"{self.directory}/run/pebble.json", self.directory)
        self._objects = ObjectStore(ROOT, self.directory, self._authority)

    def up(self, report: Report = _silent) -> None:
        """Start whatever does not run. Raises `SandboxError` and what its parts raise."""
        if self._is_current():
            return
        docker_daemon.ensure_tools(report)
        acme.program(ROOT)
        self._objects.program()
        with alone.lock(self.directory, report):
            for part in ("ca", "logs", "run"):
                (self.directory / part).mkdir(parents=True, exist_ok=True, mode=0o700)
            credentials.ensure(self.directory)
            self._authority.ensure()
            kept = network.guard(package_sources.from_this_machine().hosts())
            self._reserve(kept)
            if not docker_daemon.is_running():
                self._serve.stop()  # it starts servers that ran when it starts itself
            if self._serve.pid() is None:
                # Before the daemon starts: it remembers for some seconds what it did not find.
                hosts_file.write({name: [at] for name, at in zones.SERVICES.items()})
            with closing(docker_daemon.ensure_running(self.directory, report)) as client:
                alone.refuse_another(client, self.directory)
                images.ensure(client, self.directory / "logs" / "images.log", report)
                network.ensure(client, kept)
                alone.refuse_taken_ports(self._ports())
                registry.ensure(client, self._authority)
            self._start_pebble()
            self._objects.start(self.credentials()["objects"])
            self._start_serve(report)
            self._start_github()
            self._trust_pebble()
            self._objects.wait()
            registry.wait(self._authority)

    def down(self) -> None:
        """Stop everything that was started; servers, images and state are kept."""
        with alone.lock(self.directory, _silent):
            self._serve.stop()
            self._github.stop()
            self._pebble.stop()
            self._objects.stop()
            if client := docker_daemon.connect():
                with closing(client):
                    self._hosts(client).suspend()
                    registry.stop(client)
            hosts_file.write({})
            docker_daemon.process(self.directory).stop(seconds=40)

    def restart(self) -> None:
        """Start the API, DNS and metadata again, on the code as it is now."""
        with alone.lock(self.directory, _silent):
            self._serve.stop()
            self._github.stop()
        self.up()

    def reset(self) -> None:
        """Forget everything but the images hosts are made from."""
        with alone.lock(self.directory, _silent):
            self._serve.stop()
            self._github.stop()
            self._pebble.stop()
            self._objects.stop()
            if (self.directory / "ca").exists():
                with closing(docker_daemon.ensure_running(self.directory, _silent)) as client:
                    self._remove_containers(client)
            hosts_file.write({})
            network.unguard()
            docker_daemon.process(self.directory).stop(seconds=40)
            for part in ("hosts", "volumes", "ca", "logs", "run", "github", "objects"):
                shutil.rmtree(self.directory / part, ignore_errors=True)
            for pattern in ("cloud.db*", "github.db*", "credentials.json"):
                for path in self.directory.glob(pattern):
                    path.unlink()

    def credentials(self) -> dict[str, Any]:
        """Tokens, users and addresses (see sandbox/credentials.py)."""
        try:
            return credentials.read(self.directory)
        except FileNotFoundError as error:
            raise SandboxError("there is no sandbox yet; run `flow sandbox up`") from error

    def status(self) -> dict[str, Any]:
        """What runs; quick, and true whatever state things are in."""
        client = docker_daemon.connect(timeout=10)
        servers = []
        if client is not None:
            with closing(client):
                servers = self._servers(client)
        return {
            "running": client is not None and self._is_whole(),
            "directory": str(self.directory),
            "api": {
                "running": _is_healthy(),
                "url": credentials.ENDPOINT,
                "pid": self._serve.pid(),
                "log": str(self._serve.log),
            },
            "github": {"running": self._github.pid() is not None, "url": credentials.GITHUB_URL},
            "docker": {"running": client is not None},
            "acme": {"running": self._pebble.pid() is not None, "url": acme.DIRECTORY},
            "objects": self._objects.status(),
            "registry": {
                "running": self._serves() and registry.answers(self._authority),
                "url": f"https://{registry.SERVER}",
            },
            "servers": servers,
        }

    # -- parts -----------------------------------------------------------------

    def _servers(self, client: docker.DockerClient) -> list[dict[str, Any]]:
        if not (self.directory / "cloud.db").exists():
            return []
        hosts = self._hosts(client)
        with closing(Store(self.directory / "cloud.db")) as store:
            addresses = {
                ip["assignee_id"]: ip["ip"]
                for ip in store.all("primary_ip")
                if ip["type"] == "ipv4"
            }
            return [
                {
                    "id": server["id"],
                    "name": server["name"],
                    "project": server["project"],
                    "state": hosts.state(server["id"]),
                    "ipv4": addresses.get(server["id"]),
                }
                for server in store.all("server")
            ]

    def _hosts(self, client: docker.DockerClient) -> DockerHosts:
        return DockerHosts(client, self.directory, b"")

    def _has_authority(self) -> bool:
        return self._authority.certificate.exists()

    def _is_whole(self) -> bool:
        """Everything runs and answers, so that there is nothing to do."""
        return (
            self._pebble.pid() is not None
            and self._github.pid() is not None
            and _is_healthy(_GITHUB_HEALTH)
            and self._serves()
            and registry.answers(self._authority)
            and self._objects.runs()
        )

    def _serves(self) -> bool:
        """Its process runs, and is of a version that gives out the registry's tokens."""
        return (
            self._serve.pid() is not None
            and self._has_authority()
            and _is_healthy()
            and registry_tokens.answers(self._authority)
        )

    def _is_current(self) -> bool:
        """Whole, and made of the images as the recipes are now."""
        client = docker_daemon.connect() if self._is_whole() else None
        if client is None:
            return False
        with closing(client):
            return images.are_current(client)

    def _remove_containers(self, client: docker.DockerClient) -> None:
        for found in client.containers.list(all=True, filters={"label": description.LABEL}):
            found.remove(force=True, v=True)
        self._hosts(client).suspend()  # gives the volumes' devices back
        registry.remove(client)
        network.remove(client)

    def _start_pebble(self) -> None:
        command = acme.command(ROOT, self.directory / "run", self._authority)
        self._pebble.start(command, acme.environment(), self.directory)

    def _start_serve(self, report: Report) -> None:
        if self._serves():
            return
        self._serve.stop()
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "sandbox.serve", "--dir", str(self.directory)]
        command += ["--validate"] if os.environ.get(VALIDATE) else []
        self._serve.start(command, environment, ROOT)
        started, told = time.monotonic(), False
        while time.monotonic() < started + _SERVE_SECONDS:
            if self._serves():
                return
            if self._serve.pid() is None:
                break
            if not told and time.monotonic() > started + 2:
                report("starting the cloud's API and the servers that ran")
                told = True
            time.sleep(0.1)
        raise SandboxError(
            f"the cloud's API did not start. The end of {self._serve.log}:\n"
            f"{self._serve.last_words()}"
        )

    def _start_github(self) -> None:
        if self._github.pid() is not None and not _is_healthy(_GITHUB_HEALTH):
            self._github.stop()  # it hangs
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "sandbox.github.serve", "--dir", str(self.directory)]
        command += ["--validate"] if os.environ.get(VALIDATE) else []
        self._github.start(command, environment, ROOT)
        give_up = time.monotonic() + _GITHUB_SECONDS
        while time.monotonic() < give_up and self._github.pid() is not None:
            if _is_healthy(_GITHUB_HEALTH):
                return
            time.sleep(0.1)
        raise SandboxError(
            f"the sandbox's GitHub did not start. The end of {self._github.log}:\n"
            f"{self._github.last_words()}"
        )

    def _trust_pebble(self) -> None:
        give_up = time.monotonic() + _PEBBLE_SECONDS
        while time.monotonic() < give_up:
            if root := acme.root_certificate(self._authority):
                self._authority.trust_root(root)
                return
            if self._pebble.pid() is None:
                break
            time.sleep(0.1)
        raise SandboxError(
            f"Pebble did not start. The end of {self._pebble.log}:\n{self._pebble.last_words()}"
        )

    def _reserve(self, kept: list[str]) -> None:
        """Keep the cloud from handing out addresses that are somebody else's here."""
        with closing(Store(self.directory / "cloud.db")) as store:
            store.set_setting("reserved_addresses", kept)

    def _ports(self) -> list[Port]:
        """Those the processes that do not run will listen on."""
        ports = self._objects.ports()
        if self._serve.pid() is None:
            ports += [
                ("127.0.0.1", credentials.API_PORT, socket.SOCK_STREAM),
                (network.GATEWAY4, network.METADATA_PORT, socket.SOCK_STREAM),
                (network.GATEWAY4, registry_tokens.PORT, socket.SOCK_STREAM),
                (network.GATEWAY4, 53, socket.SOCK_STREAM),
                (network.GATEWAY4, 53, socket.SOCK_DGRAM),
            ]
        if self._github.pid() is None:
            ports.append(("127.0.0.1", credentials.GITHUB_PORT, socket.SOCK_STREAM))
        if self._pebble.pid() is None:
            ports += [
                (network.GATEWAY4, acme.PORT, socket.SOCK_STREAM),
                ("127.0.0.1", acme.MANAGEMENT_PORT, socket.SOCK_STREAM),
            ]
        return ports


def _is_healthy(address: str = _HEALTH) -> bool:
    try:
        return httpx.get(address, timeout=5.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def main() -> None:
    """For working on the sandbox itself; people use `flow sandbox`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("command", choices=["up", "down", "status", "restart", "reset"])
    parser.add_argument("--dir", type=Path, default=Path(".sandbox"))
    arguments = parser.parse_args()
    sandbox = Sandbox(arguments.dir)
    if arguments.command == "status":
        print(json.dumps(sandbox.status(), indent=2))
    elif arguments.command == "up":
        sandbox.up(lambda line: print(line, file=sys.stderr))
    else:
        getattr(sandbox, arguments.command)()


if __name__ == "__main__":
    main()
