"""The rehearsal: every stage of the flow once, with the real engine, in the sandbox.

Every stage asserts something and ends the rehearsal where it does not hold.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hcloud

from components import naming
from flow.errors import FlowError
from flow.looking import look
from flow.publishing import publish
from flow.sandbox_project import DEMO_PROJECT, SandboxProject
from flow.stages import Stages
from sandbox.lifecycle import Sandbox

DEMO_BRANCH = "feature-demo/hello"
STAGES = {"dev": "development", "staging": "staging"}
# Images for these: for what is brought up here, for a preview of prod, and for the demo the
# README has its reader make next.
BRANCHES = (*STAGES.values(), "main", DEMO_BRANCH, "feature-demo/x")


class Rehearsal:
    """One run. `version` names the images it builds; unique, so that each run deploys."""

    def __init__(self, root: Path, directory: Path, stages: Stages, version: str = "") -> None:
        self._root = root
        self._directory = directory
        self._stages = stages
        self._version = version or time.strftime("1.0.%Y%m%d%H%M%S", time.gmtime())
        self.urls: dict[str, str] = {}

    def run(self) -> None:
        """All of it, in order; raises FlowError at the first thing that is not as it should be."""
        project = self._start()
        demo = naming.stack_of_branch(DEMO_BRANCH)
        self._publish(project)
        for stack in STAGES:
            self._bring_up(project, stack)
        self._unchanged(project, "staging")
        self._preview(project, "prod")
        with self._stages.stage(f"{demo}: pulumi stack init") as stage:
            project.stacks.create(demo)
            stage.result = "no settings of its own"
        self._bring_up(project, demo)
        self._end_demo(project, demo)

    def _start(self) -> SandboxProject:
        with self._stages.stage("sandbox: API, DNS, certificates, registry") as stage:
            sandbox = Sandbox(self._directory)
            sandbox.up(stage.note)
            project = SandboxProject(self._root, self._directory, sandbox.credentials())
            stage.result = str(project.credentials["endpoint"])
        with self._stages.stage("dev, staging, prod: stacks") as stage:
            project.write()
            made = set(project.stacks.names())
            missing = {"dev", "staging", "prod"} - made
            if missing:
                raise FlowError(f"stacks were not made: {', '.join(sorted(missing))}")
            stage.result = ", ".join(sorted(made))
        return project

    def _publish(self, project: SandboxProject) -> None:
        with self._stages.stage(f"images of version {self._version}") as stage:
            for branch in BRANCHES:
                built = publish(project, self._version, branch, stage.note)
            unpushed = [name for name, image in built["images"].items() if not image["digest"]]
            if unpushed:
                raise FlowError(f"not in the registry: {', '.join(unpushed)}")
            stage.result = f"{', '.join(built['images'])} in {project.images}"

    def _bring_up(self, project: SandboxProject, stack: str) -> None:
        with self._stages.stage(f"{stack}: pulumi up") as stage:
            done = project.stacks.up(stack, stage.note, version=self._version)
            outputs = project.stacks.outputs(stack)
            self.urls[stack] = str(outputs["url"])
            stage.result = ", ".join(f"{n} {kind}" for kind, n in sorted(done.changes.items()))
        with self._stages.stage(f"{stack}: look at it over HTTPS") as stage:
            password = str(outputs.get("password") or "")
            trust = Path(str(project.credentials["trust"]))
            sight = look(self.urls[stack], self._version, trust, password=password)
            demo = naming.stage_of_stack(stack) == "demo"
            if demo and not (password and "noindex" in sight.robots):
                raise FlowError("the demo is open to the public or to search engines")
            told = ", behind a password, noindex" if demo else ""
            stage.result = f"{sight.url} serves {sight.version}, {sight.tls}{told}"

    def _unchanged(self, project: SandboxProject, stack: str) -> None:
        with self._stages.stage(f"{stack}: pulumi up once more") as stage:
            done = project.stacks.up(stack, stage.note)
            if done.changed:
                raise FlowError(f"a second up of {stack} changed something: {dict(done.changes)}")
            stage.result = "no change"

    def _preview(self, project: SandboxProject, stack: str) -> None:
        with self._stages.stage(f"{stack}: pulumi preview") as stage:
            planned = project.stacks.preview(stack)
            stage.result = f"{planned.changed} to change, nothing touched"

    def _end_demo(self, project: SandboxProject, stack: str) -> None:
        with self._stages.stage(f"{stack}: what the API lists") as stage:
            before = labelled(project, stack)
            if not before:
                raise FlowError(f"the API lists nothing labelled stack={stack} while it runs")
            stage.result = ", ".join(before)
        with self._stages.stage(f"{stack}: pulumi destroy") as stage:
            done = project.stacks.destroy(stack, stage.note)
            project.stacks.remove(stack)
            stage.result = ", ".join(f"{n} {kind}" for kind, n in sorted(done.changes.items()))
        with self._stages.stage(f"{stack}: what the API lists now") as stage:
            left = labelled(project, stack)
            if left:
                raise FlowError(f"the destroy left behind: {', '.join(left)}")
            stage.result = "nothing"


def labelled(project: SandboxProject, stack: str) -> list[str]:
    """What Hetzner's API lists with the label `stack`, by the official client: "server x", …"""
    client = hcloud.Client(
        token=str(project.credentials["projects"][DEMO_PROJECT]["token"]),
        api_endpoint=str(project.credentials["endpoint"]),
    )
    selector = f"stack={naming.label_value(stack)}"
    kinds: dict[str, Callable[[], list[Any]]] = {
        "server": lambda: list(client.servers.get_all(label_selector=selector)),
        "volume": lambda: list(client.volumes.get_all(label_selector=selector)),
        "primary IP": lambda: list(client.primary_ips.get_all(label_selector=selector)),
        "firewall": lambda: list(client.firewalls.get_all(label_selector=selector)),
        "SSH key": lambda: list(client.ssh_keys.get_all(label_selector=selector)),
        "record set": lambda: [
            record
            for zone in client.zones.get_all()
            for record in client.zones.get_rrset_all(zone, label_selector=selector)
        ],
    }
    return [f"{kind} {found.name}" for kind, find in kinds.items() for found in find()]
