"""A team's stacks without an engine, and what an `up` makes of one in a cloud of this process."""

import base64
import hashlib
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hcloud.servers import ServerCreatePublicNetwork
from hcloud.zones import ZoneRecord

from flow import locks
from flow.engine import OnLine
from flow.errors import FlowError
from flow.project import Project
from flow.results import Result
from flow.stacks import NoStackError
from tests.unit.hetzner_cloud import FSN1, PROJECTS, Cloud

PROJECT = "p"
ZONE = "example.test"
TOKEN = PROJECTS["demo"]["token"]
_KINDS = {
    "hcloud:index/server:Server": "servers",
    "hcloud:index/volume:Volume": "volumes",
    "hcloud:index/primaryIp:PrimaryIp": "primary_ips",
    "hcloud:index/firewall:Firewall": "firewalls",
    "hcloud:index/sshKey:SshKey": "ssh_keys",
}


class Stacks:
    """Stacks by name: what the engine would export of each, or why it cannot."""

    def __init__(self, cloud: Cloud | None = None) -> None:
        self.cloud = cloud
        self.states: dict[str, dict[str, Any] | FlowError] = {}
        self.locked: dict[str, locks.Holder] = {}
        self.marks: dict[tuple[str, str], str] = {}
        self.told: dict[str, dict[str, str]] = {}
        self.elsewhere: dict[str, str] | FlowError = {}
        """Stacks in the state of another group, by the group."""
        self.seconds = 0.0
        """How long a destroy takes."""
        self.broken: set[str] = set()
        """Those whose destroy fails."""
        self.keeps: set[str] = set()
        """Those whose destroy says it is done and leaves the volume."""
        self.at_once, self.most = 0, 0
        """Destroys that run now, and the most there ever were."""
        self._counting = threading.Lock()

    def names(self, _groups: object = ()) -> list[str]:
        return sorted(self.states)

    def astray(self) -> dict[str, str]:
        if isinstance(self.elsewhere, FlowError):
            raise self.elsewhere
        return self.elsewhere

    def state(self, name: str, *, secrets: bool = True) -> dict[str, Any]:
        if name not in self.states:
            raise NoStackError(f"there is no stack {name}")
        found = self.states[name]
        if isinstance(found, FlowError):
            raise found
        return found

    def settings(self, name: str) -> dict[str, str]:
        return self.told.get(name, {})

    def holders(self, name: str) -> list[locks.Holder]:
        return [self.locked[name]] if name in self.locked else []

    def tag(self, name: str, key: str) -> str:
        return self.marks.get((name, key), "")

    def mark(self, name: str, key: str, value: str) -> None:
        self.marks[name, key] = value

    def destroy(self, name: str, _: OnLine | None = None) -> Result:
        with self._counting:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        try:
            time.sleep(self.seconds)
            if name in self.broken:
                raise FlowError(f"the update of {name} failed: no answer")
            resources = self.state(name)["resources"]
            for each in resources:
                self._delete(name, each)
            self.states[name] = {"resources": []}
            return Result({"delete": len(resources)}, "")
        finally:
            with self._counting:
                self.at_once -= 1

    def remove(self, name: str, *, keep_file: bool = False) -> None:
        del self.states[name]

    def _delete(self, name: str, resource: Mapping[str, Any]) -> None:
        kind = _KINDS.get(resource["type"])
        if kind is None or self.cloud is None or (kind == "volumes" and name in self.keeps):
            return
        done = getattr(self.cloud.client, kind).get_by_id(int(resource["id"])).delete()
        if kind == "servers":
            done.wait_until_finished()


def project_of(folder: Path, stacks: Stacks, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of these stacks, whose environment has the cloud's token."""
    (folder / "Pulumi.yaml").write_text(
        f"name: {PROJECT}\nruntime: python\nconfig:\n"
        "  serverType: {type: string, default: cx23}\n"
        "  volumeSize: {type: integer, default: 10}\n"
        "  locations: {type: array, default: [fsn1, nbg1]}\n"
        "  host: {type: string, default: ''}\n"
        "  githubRepository: {type: string, default: ''}\n"
    )
    monkeypatch.setattr(Project, "stacks", property(lambda _: stacks))
    if stacks.cloud is not None:
        monkeypatch.setenv("HCLOUD_TOKEN", TOKEN)
        monkeypatch.setenv("HCLOUD_ENDPOINT", f"{stacks.cloud.url}/v1")
    return Project(folder, folder)


def labels_of(stack: str, **more: str) -> dict[str, str]:
    """What everything of a stack is labelled with."""
    stage = "demo" if stack.startswith("feature-demo-") else stack
    return {
        "managed-by": "deployment-flow",
        "project": PROJECT,
        "stack": stack,
        "stage": stage,
        "branch": stack,
        **more,
    }


def made_by_an_up(cloud: Cloud, stack: str, **more: str) -> list[dict[str, Any]]:
    """Server, volume, address, firewall, key and record set of a stack; their resources."""
    client, labels = cloud.client, labels_of(stack, **more)
    address = client.primary_ips.create(
        type="ipv4", name=f"{stack}-ipv4", location=FSN1, labels=labels
    ).primary_ip
    volume = client.volumes.create(name=f"{stack}-data", size=10, location=FSN1, labels=labels)
    volume.action.wait_until_finished()
    firewall = client.firewalls.create(name=stack, labels=labels).firewall
    key = client.ssh_keys.create(name=stack, public_key=key_of(stack), labels=labels)
    server = cloud.server(
        stack,
        labels=labels,
        volumes=[volume.volume],
        firewalls=[firewall],
        public_net=ServerCreatePublicNetwork(ipv4=address, enable_ipv6=False),
    )
    return [
        resource("server:Server", server.id, serverType="cx23", location="fsn1"),
        resource("volume:Volume", volume.volume.id, size=10, location="fsn1"),
        resource("primaryIp:PrimaryIp", address.id, type="ipv4", location="fsn1"),
        resource("firewall:Firewall", firewall.id),
        resource("sshKey:SshKey", key.id),
    ]


def named(cloud: Cloud, name: str, labels: dict[str, str] | None) -> dict[str, Any]:
    """A record set of ZONE, which is made where it is missing; its resource."""
    client = cloud.client
    if not client.zones.get_all(name=ZONE):
        client.zones.create(name=ZONE, mode="primary").action.wait_until_finished()
    records = [ZoneRecord(value="203.0.113.7")]
    zone = client.zones.get(ZONE)
    zone.create_rrset(name=name, type="A", records=records, labels=labels)
    cloud.settled()
    return resource("zoneRrset:ZoneRrset", f"{name}/A", zone=ZONE, name=name, type="A")


def key_of(stack: str) -> str:
    """A public key of one's own: Hetzner takes none twice."""
    of = hashlib.sha256(stack.encode()).digest()
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + of
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} {stack}"


def resource(kind: str, id_: object, **outputs: Any) -> dict[str, Any]:
    """One resource as the engine exports it."""
    return {"type": f"hcloud:index/{kind}", "urn": kind, "id": str(id_), "outputs": outputs}


def things(cloud: Cloud) -> set[str]:
    """Names of all there is."""
    client = cloud.client
    kinds = (client.servers, client.volumes, client.primary_ips, client.firewalls, client.ssh_keys)
    found = {each.name for kind in kinds for each in kind.get_all()}
    sets = [each for zone in client.zones.get_all() for each in client.zones.get_rrset_all(zone)]
    return found | {f"{each.name}.{ZONE}" for each in sets if each.type not in ("SOA", "NS")}
