"""git, with a token that stands in no file and no argument."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from flow.errors import FlowError

_SECONDS = 120
# Reads the environment, which `ps` shows to nobody else. Any name does beside a token.
_HELPER = '!f() { echo username=x-access-token; echo "password=$FLOW_GIT_TOKEN"; }; f'


def run(
    folder: Path,
    *arguments: str,
    token: str = "",
    site: str = "",
    environment: Mapping[str, str] | None = None,
    check: bool = True,
) -> str:
    """What a git command says, without the last line's end. Raises FlowError where it fails.

    token        is offered where a person's own credentials do not do
    site         to whom alone, as https://github.com; empty: to whoever asks
    environment  more variables
    """
    key = f"credential.{site}.helper" if site else "credential.helper"
    offered = ["-c", f"{key}={_HELPER}"] if token else []
    done = subprocess.run(
        ["git", *offered, *arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=_SECONDS,
        check=False,
        env={
            **os.environ,
            **(environment or {}),
            "FLOW_GIT_TOKEN": token,
            "GIT_TERMINAL_PROMPT": "0",
        },
    )
    if check and done.returncode:
        raise FlowError(f"git {arguments[0]}: {done.stderr.strip()}", "mend that, run it again")
    return done.stdout.rstrip("\n")
