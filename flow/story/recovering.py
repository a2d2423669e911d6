"""What is lost with a server, and what is not: a rebuild, and the drill of a restore."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from flow.errors import FlowError
from flow.story.acts import Team, check

STACK = "staging"
_SECONDS = 600


def rebuilt(team: Team) -> None:
    """Staging's server is replaced; what people have mapped is still there."""
    before = team.project.stacks.outputs(STACK)
    with team.act("flow rebuild staging: another server, the same data", "recovery") as stage:
        _api(team, "PUT", "/api/tasks/1", {"status": "validated"})
        done = _flow(team, "rebuild", STACK, "--yes")
        server = done["server"]
        check(server["before"] != server["after"], "it is the server of before")
        after = team.project.stacks.outputs(STACK)
        # The second half of a release's id is the server's own.
        for outputs in (before, after):
            outputs["release"] = outputs["release"].partition("-")[0]
        for name in ("ipv4", "version", "release", "url"):
            check(after[name] == before[name], f"{name} was {before[name]}, is {after[name]}")
        tasks = {each["id"]: each["status"] for each in _api(team, "GET", "/api/tasks")}
        check(tasks[1] == "validated", f"what was mapped is {tasks[1]} again")
        stage.result = (
            f"server {server['after']} for {server['before']}, away for "
            f"{done['down_seconds']:.0f} s; the data is whole"
        )


def drilled(team: Team) -> None:
    """Staging's backup comes back on a server made for that, and is gone again."""
    with team.act("flow backup create staging, flow backup drill staging", "recovery") as stage:
        made = _flow(team, "backup", "create", STACK)
        done = _flow(team, "backup", "drill", STACK, "--from", made["id"])
        check(done["rows"] == made["rows"], f"{made['rows']} were saved, {done['rows']} restored")
        rows = sum(sum(counted.values()) for counted in done["rows"].values())
        check(rows > 0, "nothing was counted in it")
        check(not team.listed(done["server"], "nonprod"), "the drill left something behind")
        stage.result = (
            f"{rows} rows, {done['bytes']} bytes, restored in {done['restore_seconds']:.0f} s"
        )


def _flow(team: Team, *arguments: str) -> Any:
    """What a command of `flow` prints with --json, typed as the team would. Raises FlowError."""
    project = team.project
    done = subprocess.run(
        [sys.executable, "-P", "-m", "flow.app", *arguments, "--json"],
        cwd=project.directory,
        env={**project.surroundings(), "PYTHONPATH": str(project.root)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        said = "\n".join(done.stderr.splitlines()[-10:])
        raise FlowError(f"flow {' '.join(arguments)} ended with {done.returncode}:\n{said}")
    return json.loads(done.stdout)


def _api(team: Team, method: str, path: str, body: object = None) -> Any:
    """One request to staging's application."""
    trust = ssl.create_default_context(cafile=str(Path(str(team.project.credentials["trust"]))))
    url = team.project.stacks.outputs(STACK)["url"]
    with httpx.Client(verify=trust, timeout=30, trust_env=False) as client:
        answer = client.request(method, f"{url}{path}", json=body)
    check(answer.is_success, f"{method} {path} gave {answer.status_code}")
    return answer.json()
