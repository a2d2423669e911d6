"""What act is given for one job: a workflow file of this job alone, and the files beside it.

The job is put into a called workflow, whose caller hands it the inputs: so they keep their types,
whoever started the run. What it needs stands before it as jobs that do nothing but come out as
the real ones did. A last step writes the job's outputs, and its environment's address, to a file.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.github.actions import last_lines
from sandbox.github.actions.workflow import Job, Step, Workflow

#: The step that writes the outputs; it is in no log.
LAST_STEP = "sandbox-outputs"
#: The name under which the environment's address is among the outputs.
ADDRESS = "sandbox environment address"
_LABEL = "ubuntu-latest"
_TYPES = {bool: "boolean", int: "number", float: "number"}


@dataclass(frozen=True)
class Needed:
    """What a job says to those that need it."""

    result: str
    outputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """One job, ready to run: everything in it that a scheduler knows is decided.

    actions      `owner/repo@ref` of each action it uses → folder with that repository's files
    environment  GITHUB_… variables and what the runner itself has
    """

    workflow: Workflow
    title: str
    name: str
    job: Job
    event: str
    payload: Mapping[str, Any]
    actor: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, Needed] = field(default_factory=dict)
    matrix: Mapping[str, Any] | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    actions: Mapping[str, Path] = field(default_factory=dict)


def write(work: Work, folder: Path) -> list[str]:
    """Write the files below `folder`; returns act's arguments. Secrets are in a file of 0600."""
    secrets = {name: value for name, value in work.secrets.items() if value}
    outputs = folder / "outputs"
    files: dict[str, Any] = {
        "caller.yml": _caller(work),
        "work/called.yml": called(work, outputs),
        "event.json": dict(work.payload),
        "secrets.yml": secrets,
        "variables.yml": dict(work.variables),
        "environment.yml": dict(work.environment),
        "nothing.yml": {},
    }
    (folder / "work").mkdir(mode=0o700)
    for name, content in files.items():
        path = folder / name
        path.touch(mode=0o600)
        # JSON is YAML, and needs no quoting rules.
        path.write_text(json.dumps(content, ensure_ascii=False))
    server = work.environment.get("GITHUB_SERVER_URL", "https://github.com")
    local = [
        word
        for uses, at in work.actions.items()
        for word in ("--local-repository", f"{server}/{uses}={at}")
    ]
    return [
        work.event, "--json", "--action-offline-mode", "--no-skip-checkout", "--no-cache-server",
        "--rm", "--container-daemon-socket", "-",
        "-P", f"{_LABEL}=-self-hosted",
        "-W", str(folder / "caller.yml"), "-C", str(folder / "work"),
        "-e", str(folder / "event.json"),
        "--secret-file", str(folder / "secrets.yml"),
        "--var-file", str(folder / "variables.yml"),
        "--env-file", str(folder / "environment.yml"),
        "--input-file", str(folder / "nothing.yml"),
        "--action-cache-path", str(folder / "cache"),
        "--actor", work.actor,
        *local,
    ]  # fmt: skip


def _caller(work: Work) -> dict[str, Any]:
    given = {
        name: _literal(value) if isinstance(value, str) else value
        for name, value in work.inputs.items()
        if value is not None
    }
    call = {"uses": "./called.yml", "secrets": "inherit", **({"with": given} if given else {})}
    return {"name": work.title, "on": work.event, "jobs": {"caller": call}}


def called(work: Work, outputs: Path) -> dict[str, Any]:
    """The workflow file with the job."""
    inputs = {
        name: {"type": _TYPES.get(type(value), "string")}
        for name, value in work.inputs.items()
        if value is not None
    }
    job = work.job
    alone: dict[str, Any] = {
        "name": work.name,
        "runs-on": _LABEL,
        "if": "always()",
        "steps": [
            *(_step(step) for step in job.steps),
            _last_step(job, outputs),
        ],
    }
    if work.needs:
        alone["needs"] = list(work.needs)
    if work.matrix is not None:
        alone["strategy"] = {"matrix": {"include": [dict(work.matrix)]}}
    for key in ("env", "defaults", "container", "services"):
        if getattr(job, key):
            alone[key] = getattr(job, key)
    whole: dict[str, Any] = {
        "name": work.title,
        "on": {"workflow_call": {"inputs": inputs} if inputs else None},
        "jobs": {**{n: _stub(n, each) for n, each in work.needs.items()}, work.name: alone},
    }
    for key in ("env", "defaults"):
        if getattr(work.workflow, key):
            whole[key] = getattr(work.workflow, key)
    return whole


def _step(step: Step) -> dict[str, Any]:
    written = step.model_dump(by_alias=True, exclude_unset=True)
    if step.run:
        written["run"] = last_lines.script(step.run, step.shell)
    return written


def _stub(name: str, needed: Needed) -> dict[str, Any]:
    stub: dict[str, Any] = {
        "name": name,
        "runs-on": _LABEL,
        "steps": [{"run": "true" if needed.result == "success" else "false"}],
    }
    if needed.result == "skipped":
        stub["if"] = False
    if needed.outputs:
        stub["outputs"] = {key: _literal(value) for key, value in needed.outputs.items()}
    return stub


def _literal(value: str) -> str:
    """A value that is text even where it looks like an expression."""
    if "${{" not in value:
        return value
    quoted = value.replace("'", "''")
    return f"${{{{ '{quoted}' }}}}"


def _last_step(job: Job, outputs: Path) -> dict[str, Any]:
    wanted = dict(job.outputs)
    if job.environment and job.environment.url:
        wanted[ADDRESS] = job.environment.url
    names = {f"SANDBOX_OUTPUT_{number}": name for number, name in enumerate(wanted)}
    prints = [f'printf "%s\\0%s\\0" {shlex.quote(name)} "${key}"' for key, name in names.items()]
    return {
        "id": LAST_STEP,
        "name": LAST_STEP,
        "if": "always()",
        "shell": "sh",
        "env": {key: wanted[name] for key, name in names.items()},
        "run": "{\n" + "\n".join([*prints, ":"]) + f"\n}} > {shlex.quote(str(outputs))}",
    }


def read_outputs(folder: Path) -> dict[str, str]:
    """What the last step wrote; nothing when it did not come so far."""
    try:
        parts = (folder / "outputs").read_text(errors="replace").split("\0")
    except OSError:
        return {}
    return dict(zip(parts[0:-1:2], parts[1:-1:2], strict=False))
