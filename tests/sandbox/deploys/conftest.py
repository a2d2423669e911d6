"""A server and small applications to deploy on it, by the hand-over as `pulumi up` runs it."""

import io
import secrets
import socket
import ssl
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from hcloud import Client
from hcloud.servers import BoundServer
from hcloud.zones import BoundZone, ZoneRecord

from components import bundle, cloud_init
from planning import images
from remote import deploying, provisioning
from sandbox.hosts.images import BASE
from sandbox.lifecycle import Sandbox
from tests.sandbox.conftest import Cloud, ipv4, ipv6

APPLICATION = Path(__file__).parent / "application"
SECRET = "canary-7f3b-secret"
PASSWORD = "canary-open-sesame"


@dataclass(frozen=True)
class Key:
    """An ed25519 pair as OpenSSH writes it."""

    private: str
    public: str

    @classmethod
    def make(cls) -> "Key":
        made = ed25519.Ed25519PrivateKey.generate()
        return cls(
            made.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.OpenSSH,
                serialization.NoEncryption(),
            ).decode(),
            made.public_key()
            .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
            .decode(),
        )


@dataclass
class Host:
    """A server with a pinned host key, and the keys a stack has for it."""

    server: BoundServer
    host_key: Key
    maintenance: Key
    deploy_key: Key
    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return ipv4(self.server)

    @property
    def address6(self) -> str:
        return ipv6(self.server)

    def connection(self, user: str, key: Key, **more: Any) -> dict[str, Any]:
        line = f"{self.address} {self.host_key.public}"
        return {
            "host": self.address, "user": user, "key": key.private, "known_hosts": line, **more,
        }  # fmt: skip

    def hear(self, line: str) -> None:
        """Keep what a hand-over says, and show it when the test fails."""
        print(line)
        self.said.append(line)

    def provision(self, **more: Any) -> dict[str, Any]:
        """Run the hand-over's `provision`; raises HandOverError."""
        request = {
            "connection": self.connection("root", self.maintenance),
            "deploy_public_key": self.deploy_key.public,
            "boot_deadline": 60,
            **more,
        }
        return provisioning.provision(request, self.hear)

    def deploy(self, made: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Run the hand-over's `deploy`; raises HandOverError."""
        self.said.clear()
        request = {
            "connection": self.connection("flow", self.deploy_key),
            "bundle": made,
            "secrets": {"TOKEN": SECRET},
            "auth": {"password": PASSWORD},
            "who": "test@here",
            **more,
        }
        return deploying.deploy(request, self.hear)

    def ssh(self, command: str, *, user: str = "root", key: Key | None = None,
            text: str | None = None) -> "subprocess.CompletedProcess[str]":  # fmt: skip
        """One command with the pinned host key; the caller looks at the exit code."""
        key_file, pins = self.folder / secrets.token_hex(4), self.folder / "known_hosts"
        key_file.touch(mode=0o600)
        key_file.write_text((key or self.maintenance).private)
        pins.write_text(f"{self.address} {self.host_key.public}\n")
        return subprocess.run(
            ["ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
             "-o", "ConnectTimeout=5", "-o", f"UserKnownHostsFile={pins}",
             "-i", str(key_file), f"{user}@{self.address}", command],
            capture_output=True, text=True, input=text, timeout=90, check=False,
        )  # fmt: skip

    def run(self, command: str) -> str:
        """One command as root that must succeed; its output."""
        done = self.ssh(command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def wait(self, seconds: float = 60) -> None:
        """Until SSH answers."""
        give_up = time.monotonic() + seconds
        while self.ssh("true").returncode:
            assert time.monotonic() < give_up, "no SSH"
            time.sleep(0.5)

    def get(self, made: Mapping[str, Any], path: str = "/", **more: Any) -> httpx.Response:
        """Ask the public route, from outside, by the server's address and the site's name."""
        name = made["hostname"]
        with httpx.Client(verify=False, timeout=10, trust_env=False) as client:  # noqa: S501
            return client.get(
                f"https://{self.address}{path}",
                headers={"Host": name},
                extensions={"sni_hostname": name},
                **more,
            )

    def certificate(self, made: Mapping[str, Any]) -> bytes:
        """The certificate a site shows, from outside, by the server's address and its name."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection((self.address, 443), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=made["hostname"]) as secure,
        ):
            return secure.getpeercert(binary_form=True) or b""

    def serves_itself(self, made: Mapping[str, Any]) -> str:
        """What the public route answers on the server itself, whatever its network does."""
        name = made["hostname"]
        return subprocess.run(
            ["docker", "exec", f"flow-server-{self.server.id}", "curl", "-sk", "--max-time", "5",
             "--resolve", f"{name}:443:127.0.0.1", f"https://{name}/"],
            capture_output=True, text=True, timeout=30, check=False,
        ).stdout  # fmt: skip


class MakeHost:
    """Makes servers as the program does; they end with the module."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self._cloud = cloud
        self._folder = folder
        self.made: list[BoundServer] = []

    def __call__(self, name: str, **more: Any) -> Host:
        host_key, maintenance = Key.make(), Key.make()
        user_data = cloud_init.render(
            host_private_key=host_key.private,
            host_public_key=host_key.public,
            maintenance_public_key=maintenance.public,
        )
        server = self._cloud.create(name, user_data=user_data, **more)
        self.made.append(server)
        folder = self._folder / name
        folder.mkdir()
        return Host(server, host_key, maintenance, Key.make(), folder)


@pytest.fixture(scope="module")
def make_host(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeHost]:
    make = MakeHost(cloud, tmp_path_factory.mktemp("hosts"))
    yield make
    for server in make.made:
        found = cloud.client.servers.get_by_name(str(server.name))
        if found is not None:
            found.delete().wait_until_finished()


@dataclass(frozen=True)
class Applications:
    """Builds small applications, pushes them and renders their bundles."""

    registry: Mapping[str, Any]
    acme: Mapping[str, Any]
    authority: str
    zone: BoundZone
    client: Client

    @property
    def prefix(self) -> str:
        return f"{self.registry['server']}/deploys"

    @property
    def pull(self) -> dict[str, str]:
        return {"server": self.registry["server"], **self.registry["pull"]}

    def build(self, version: str, variant: str = "") -> None:
        """Push deploys/web:<version>, acting as `variant` says (see application/)."""
        name = f"{self.prefix}/web"
        with closing(docker.from_env()) as client:
            client.images.build(
                fileobj=_context(),
                custom_context=True,
                tag=f"{name}:{version}",
                buildargs={"BASE_IMAGE": BASE, "VERSION": version, "VARIANT": variant},
                rm=True,
            )
            sent = client.images.push(
                name, version, auth_config=dict(self.registry["push"]), stream=True, decode=True
            )
            assert not [line for line in sent if "error" in line]
            client.images.remove(f"{name}:{version}", noprune=True)

    def bundle(
        self, version: str, variant: str = "", *, hostname: str = "app",
        environment: Mapping[str, str] | None = None, folder: Path = APPLICATION, **public: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """The bundle of a version, built and pushed; `folder` has its Compose file."""
        self.build(version, variant)
        compose = bundle.load(bundle.carried(folder / "compose.yaml", folder))
        pins = images.resolve(
            compose, self.prefix, version=version,
            credentials=images.Credentials(**self.registry["pull"]),
        )  # fmt: skip
        return bundle.render(
            bundle.Release(compose, pins["version"], pins["images"], self.prefix),
            bundle.Public(
                f"{hostname}.{self.zone.name}",
                acme_server=self.acme["directory"],
                acme_root=self.authority,
                **public,
            ),
            bundle.Variables(environment or {}, ["TOKEN"]),
        )

    def point(self, name: str, address: str) -> None:
        """Make <name>.<zone> resolve to a server."""
        self.client.zones.create_rrset(
            self.zone, name=name, type="A", ttl=60, records=[ZoneRecord(address)]
        )


def _context() -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(APPLICATION.iterdir()):
            archive.add(path, path.name)
    buffer.seek(0)
    return buffer


@pytest.fixture(scope="module")
def applications(
    sandbox: Sandbox, cloud: Cloud, monkeypatch_module: pytest.MonkeyPatch
) -> Iterator[Applications]:
    credentials = sandbox.credentials()
    monkeypatch_module.setenv("CURL_CA_BUNDLE", str(credentials["trust"]))
    name = f"deploys-{secrets.token_hex(3)}.test"
    zone = cloud.client.zones.create(name=name, mode="primary").zone
    yield Applications(
        credentials["registry"],
        credentials["acme"],
        Path(credentials["ca"]).read_text(),
        zone,
        cloud.client,
    )
    cloud.client.zones.delete(zone)


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture
def fault(sandbox: Sandbox) -> Iterator[Callable[[dict[str, Any]], Callable[[], None]]]:
    """Puts a fault in force; what it gives back ends it, and the test's end does so, too."""
    control = sandbox.credentials()["endpoint"].removesuffix("/v1") + "/_sandbox/faults"
    open_ones: set[int] = set()

    def strike(do: dict[str, Any]) -> Callable[[], None]:
        made = httpx.post(control, json={"do": do}, timeout=20, trust_env=False)
        number = int(made.raise_for_status().json()["fault"]["id"])
        open_ones.add(number)

        def end() -> None:
            open_ones.discard(number)
            # Already gone when another test of this sandbox ended all faults.
            httpx.delete(f"{control}/{number}", timeout=20, trust_env=False)

        return end

    yield strike
    for number in open_ones:
        httpx.delete(f"{control}/{number}", timeout=20, trust_env=False)


def canaries_in(text: str) -> list[str]:
    """Which secrets of these tests a text shows."""
    return [each for each in (SECRET, PASSWORD) if each in text]


def serves(host: Host, made: dict[str, Any], version: str) -> bool:
    """Whether a bundle's page says this version."""
    return host.get(made).text.startswith(f"version {version} ")


def await_version(host: Host, made: dict[str, Any], version: str) -> None:
    """Until a bundle's page says this version."""
    give_up = time.monotonic() + 100
    while True:
        try:
            if serves(host, made, version):
                return
        except (OSError, ValueError, httpx.HTTPError):
            pass
        assert time.monotonic() < give_up, f"{version} does not answer"
        time.sleep(1)
