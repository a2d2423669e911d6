"""A team in the sandbox: what its tests do with its stacks and ask of its cloud."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hcloud
import yaml

from flow.publishing import publish
from flow.sandbox_project import SandboxProject


class Team:
    """A team with a Hetzner project, a zone, a registry path and a state of its own."""

    def __init__(
        self, project: SandboxProject, zone: str, client: hcloud.Client, tokens: Mapping[str, str]
    ) -> None:
        """`tokens` are what it has and has not: read_only, another (a project of others)."""
        self.project = project
        self.tokens = tokens
        self.stacks = project.stacks
        self.zone = zone
        self.client = client
        self.trust = Path(str(project.credentials["trust"]))

    def publish(self, version: str, branch: str, fault: str = "") -> None:
        """Build and push a version of the example under this team's registry path."""
        publish(self.project, version, branch, _silent, fault=fault)

    def configure(self, stack: str, **settings: Any) -> None:
        """Write settings into the stack's file; None takes one out."""
        file = self.project.folder / f"Pulumi.{stack}.yaml"
        content = yaml.safe_load(file.read_text())
        config = content.setdefault("config", {})
        for key, value in settings.items():
            config[f"deployment-flow:{key}"] = value
            if value is None:
                del config[f"deployment-flow:{key}"]
        file.write_text(yaml.safe_dump(content))

    def state_file(self, stack: str) -> bytes:
        """The stack's state as it lies on the backend."""
        (file,) = (self.project.directory / "state/.pulumi/stacks").glob(f"*/{stack}.json")
        return file.read_bytes()

    def listed(self, selector: str = "") -> dict[str, list[str]]:
        """Names of everything the API lists of this team, by kind; kinds without any left out."""
        kinds = {
            "servers": self.client.servers,
            "volumes": self.client.volumes,
            "primary_ips": self.client.primary_ips,
            "firewalls": self.client.firewalls,
            "ssh_keys": self.client.ssh_keys,
        }
        found = {
            kind: [each.name for each in of.get_all(label_selector=selector or None)]  # type: ignore[attr-defined]
            for kind, of in kinds.items()
        }
        zone = self.client.zones.get(self.zone)
        found["record sets"] = [
            f"{each.name} {each.type}"
            for each in self.client.zones.get_rrset_all(zone, label_selector=selector or None)
            if each.type not in ("SOA", "NS")
        ]
        return {kind: names for kind, names in found.items() if names}

    def clean(self) -> None:
        """Delete all the team has, so that a failed module costs the next none of its memory."""
        for server in self.client.servers.get_all():
            server.change_protection(delete=False, rebuild=False).wait_until_finished()
            server.delete().wait_until_finished()
        for volume in self.client.volumes.get_all():
            volume.change_protection(delete=False).wait_until_finished()
            volume.delete()
        for address in self.client.primary_ips.get_all():
            address.change_protection(delete=False).wait_until_finished()
            address.delete()
        for firewall in self.client.firewalls.get_all():
            firewall.delete()
        zone = self.client.zones.get(self.zone)
        self.client.zones.delete(zone).action.wait_until_finished()


def _silent(_line: str) -> None:
    """Progress nobody reads in a test."""
