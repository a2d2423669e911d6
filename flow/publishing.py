"""Images of the example application, built and pushed into the sandbox's registry."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from flow.errors import FlowError
from flow.sandbox_project import SandboxProject

BASE_IMAGE = "deployment-flow/base:trixie"
BUILD_SECONDS = 1800  # a first build downloads packages; bounded all the same


def publish(
    project: SandboxProject,
    version: str,
    branch: str,
    report: Callable[[str], Any],
    *,
    fault: str = "",
) -> dict[str, Any]:
    """Build the example as `version`, tag it for `branch`, push it; the builder's JSON.

    fault  a fault to bake in (example/build.py names them), for trying what a bad release does
    """
    command = [
        sys.executable,
        str(project.root / "example/build.py"),
        f"--version={version}",
        f"--branch={branch}",
        f"--prefix={project.images}",
        f"--base={BASE_IMAGE}",
        *([f"--fault={fault}"] if fault else []),
        "--push",
    ]
    process = subprocess.Popen(
        command,
        env=project.surroundings(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    said: list[str] = []
    try:
        for line in process.stderr or ():
            said.append(line.rstrip())
            report(said[-1])
        output, _ = process.communicate(timeout=BUILD_SECONDS)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)
    if process.returncode:
        raise FlowError(
            "the images were not built:\n" + "\n".join(said[-20:]),
            "put the cause right and run it again; what was built is cached",
        )
    built: dict[str, Any] = json.loads(output)
    return built
