"""`make bench`: a demo's ups, rebuild, sleep and end, redeploys against Compose by hand; pushes.

Everything runs in one go on one machine, so that the ratios mean something where the seconds
do not. Writes bench/results/<time>.json and prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import hcloud
from rich.table import Table

from bench import by_hand, limits, measure
from bench.measure import Measured, Watch
from bench.pushing import Pushes
from flow import backends, load, terminal
from flow.commands import sandbox
from flow.publishing import publish
from flow.sandbox_project import DEMO_PROJECT, SandboxProject

ROOT = Path(__file__).resolve().parents[1]
STACK = "feature-demo-bench"
BRANCH = "feature-demo/bench"


class Bench:
    """One run; `results` maps what was measured to its repetitions."""

    def __init__(self, project: SandboxProject, repeats: int, folder: Path) -> None:
        self.project = project
        self.repeats = repeats
        self.results: dict[str, list[Measured]] = {}
        self._environment = backends.opening(STACK, project.surroundings())
        self._folder = folder
        self._run = secrets.token_hex(2)
        self._load = os.getloadavg()[0]
        self._published = 0
        self.requests: dict[str, float] = {}
        """Under load: how many were lost, how many sent, and the slowest answer in seconds."""

    def run(self) -> None:
        """Everything, in order; the demo is destroyed whatever happens."""
        stacks = self.project.stacks
        key, public = by_hand.key_pair(self._folder)
        version, _ = self._publish()
        stacks.create(STACK)
        try:
            # By hand needs a login of one's own.
            self._pulumi("config", "set", "--path", "adminKeys[0]", public)
            # Its password is made by this up, so that looking starts when it has ended.
            self._up("first up", version, look_after=True)
            outputs = stacks.outputs(STACK)
            known_hosts = self._folder / "known_hosts"
            known_hosts.write_text(outputs["known_hosts"])
            login = by_hand.ssh(outputs["ipv4"], key, known_hosts)
            for _ in range(self.repeats):
                self._up("no-op up")
            for _ in range(self.repeats):
                version, _ = self._publish()
                self._up("redeploy", version)
                by_then, images = self._publish()
                typed = by_hand.script(by_then, images, self.project.images)
                self._measure("Compose by hand", login, by_then, given=typed)
            self._under_load(version)
            self._measure("rebuild", ["flow", "rebuild", STACK, "--yes"])
            self._measure("sleep", ["flow", "demo", "sleep", BRANCH, "--yes", "--no-dump"])
            self._measure("wake", ["flow", "demo", "wake", BRANCH], version)
        finally:
            self._measure("destroy", ["pulumi", "destroy", "--yes", "--stack", STACK])
            stacks.remove(STACK)

    def _under_load(self, before: str) -> None:
        """A redeploy and a rollback to `before`, while requests never stop."""
        outputs = self.project.stacks.outputs(STACK)
        trust = Path(str(self.project.credentials["trust"]))
        with load.on(str(outputs["url"]), trust, str(outputs["password"])) as seen:
            version, _ = self._publish()
            self._up("redeploy under load", version)
            self._measure("rollback under load", ["flow", "rollback", STACK], before)
        # Each `up` has left its version in the stack's file.
        self._pulumi("config", "set", "version", before)
        self.requests = {"lost": len(seen.lost), "sent": seen.sent, "slowest": seen.slowest}

    def report(self) -> dict[str, Any]:
        """Every figure, the medians, and the ratios of interest."""
        medians = {name: median(all_) for name, all_ in self.results.items()}
        shown = {name: asdict(value) for name, value in medians.items()}
        extra = {}
        if "redeploy" in medians and "Compose by hand" in medians:
            ours, hand = medians["redeploy"], medians["Compose by hand"]
            if ours.live is not None and hand.live is not None:
                extra = {
                    "redeploy to live ÷ by hand": round(ours.live / hand.live, 2),
                    "redeploy to live − by hand, seconds": round(ours.live - hand.live, 2),
                }
        return {
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": {
                "cores": os.cpu_count(),
                "load before": self._load,
                "kernel": platform.release(),
                "python": platform.python_version(),
            },
            "medians": shown,
            "ratios": extra,
            "limits": limits.rows(shown),
            "requests": self.requests,
            "all": {name: [asdict(each) for each in all_] for name, all_ in self.results.items()},
        }

    def _up(self, name: str, version: str | None = None, *, look_after: bool = False) -> None:
        command = ["pulumi", "up", "--yes", "--stack", STACK, "--color", "never"]
        if version:
            command += ["-c", f"version={version}"]
        self._measure(name, command, version, look_after=look_after)

    def _measure(
        self,
        name: str,
        command: Sequence[str],
        version: str | None = None,
        *,
        given: str = "",
        look_after: bool = False,
    ) -> None:
        watch = None if version is None else partial(self._watch, version)
        number = server_number(self.project)
        measured = measure.run(
            command,
            self._environment,
            watch=watch,
            look_after=look_after,
            server=None if number is None else f"flow-server-{number}",
            given=given,
        )
        self._note(name, measured)

    def _note(self, name: str, measured: Measured) -> None:
        self.results.setdefault(name, []).append(measured)
        live = "" if measured.live is None else f", live after {measured.live:.1f} s"
        terminal.say(f"{name}: {measured.seconds:.1f} s{live}, {measured.cpu:.1f} s of CPU")

    def _watch(self, version: str) -> Watch:
        outputs = self.project.stacks.outputs(STACK)
        trust = Path(str(self.project.credentials["trust"]))
        return Watch(str(outputs["url"]), version, trust, str(outputs["password"]))

    def _publish(self) -> tuple[str, dict[str, str]]:
        self._published += 1
        version = f"0.{self._published}.0-{self._run}"
        built = publish(self.project, version, BRANCH, lambda _line: None)
        images = built["images"]
        return version, {name: images[name]["digest"] for name in ("api", "web")}

    def _pulumi(self, *arguments: str) -> None:
        measure.run(["pulumi", *arguments, "--stack", STACK], self._environment)


def server_number(project: SandboxProject) -> int | None:
    """The API's id of the demo's server; None where it has none."""
    client = hcloud.Client(
        token=str(project.credentials["projects"][DEMO_PROJECT]["token"]),
        api_endpoint=str(project.credentials["endpoint"]),
    )
    found = client.servers.get_all(label_selector=f"stack={STACK}")
    return found[0].id if found else None


def median(all_: Sequence[Measured]) -> Measured:
    """The median of each figure by itself; None where any repetition has none."""

    def middle(figures: Sequence[float | None]) -> float | None:
        known = [figure for figure in figures if figure is not None]
        return round(statistics.median(known), 2) if len(known) == len(figures) else None

    return Measured(
        seconds=middle([each.seconds for each in all_]) or 0.0,
        live=middle([each.live for each in all_]),
        cpu=middle([each.cpu for each in all_]) or 0.0,
        server_cpu=middle([each.server_cpu for each in all_]),
    )


def told(requests: Mapping[str, float]) -> str:
    """What became of the requests under load."""
    return (
        f"requests lost: {requests['lost']:.0f} of {requests['sent']:.0f} "
        f"(the slowest took {requests['slowest']:.1f} s)"
    )


def table(report: Mapping[str, Any]) -> Table:
    """The medians for people."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("")
    for title in ("seconds", "until live", "CPU here", "CPU of the server", "repeated"):
        shown.add_column(title, justify="right")
    for name, figures in report["medians"].items():
        cells = [figures[key] for key in ("seconds", "live", "cpu", "server_cpu")]
        shown.add_row(
            name,
            *("–" if cell is None else f"{cell:.1f}" for cell in cells),
            str(len(report["all"][name])),
        )
    return shown


def limits_table(rows: Mapping[str, Mapping[str, Any]]) -> Table:
    """What is meant to stay under a limit, for people."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("")
    for title in ("seconds", "limit"):
        shown.add_column(title, justify="right")
    for name, figures in rows.items():
        seconds = figures["seconds"]
        shown.add_row(name, "–" if seconds is None else f"{seconds:.1f}", _judged(figures))
    return shown


def _judged(figures: Mapping[str, Any]) -> str:
    return f"{figures['limit']:.0f} {'kept' if figures['kept'] else 'MISSED'}"


def pushes_table(pushes: Mapping[str, Mapping[str, Any]]) -> Table:
    """Pushes to live URLs for people, with the limits they are meant to stay under."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("")
    titles = ("seconds", "build job", "deploy job", "beyond the build", "limit", "repeated")
    for title in titles:
        shown.add_column(title, justify="right")
    for name, figures in pushes.items():
        shown.add_row(
            name,
            *(f"{figures[key]:.1f}" for key in ("total", "build", "deploy", "beyond")),
            _judged(figures),
            str(figures["repeated"]),
        )
    return shown


def conclude(report: Mapping[str, Any], folder: Path) -> None:
    """Write a report into a folder; then, where a limit was missed, exit with 1 and say which."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{report['when'].replace(':', '')}.json"
    file.write_text(json.dumps(report, indent=2))
    terminal.say(f"written to {file}")
    if names := limits.missed(report):
        terminal.say(f"limits missed: {'; '.join(names)}")
        raise SystemExit(1)


def main() -> None:
    """Run it all, print the tables, write the JSON; exit with 1 where a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="of no-op, redeploy and push (3)")
    parser.add_argument("--only-pushes", action="store_true", help="pushes to live URLs alone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(sandbox.project(), given.repeats, Path(folder))
        pushes = Pushes(bench.project, given.repeats, Path(folder))
        if not given.only_pushes:
            bench.run()
        pushes.run()
    report = {**bench.report(), "pushes": pushes.report()}
    if not given.only_pushes:
        terminal.data.print(table(report))
        terminal.data.print(limits_table(report["limits"]))
    terminal.data.print(pushes_table(report["pushes"]))
    if requests := report["requests"]:
        terminal.data.print(told(requests))
    for name, ratio in report["ratios"].items():
        terminal.data.print(f"{name}: {ratio}")
    conclude(report, ROOT / "bench/results")


if __name__ == "__main__":
    main()
