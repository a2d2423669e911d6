"""The Go compiler: is it here, and is it new enough for our modules?"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from toolchain.errors import InstallError
from toolchain.versions import parse_version

#: From this version on Go fetches the version a module asks for by itself.
FETCHES_ITSELF = (1, 21, 0)


def required_version(go_mod: Path) -> tuple[int, int, int]:
    """Return the version in the `go` line of a go.mod."""
    match = re.search(r"^go ([\d.]+)$", go_mod.read_text(), flags=re.MULTILINE)
    if match is None:
        raise InstallError(f"{go_mod} has no `go` line; restore it from git.")
    return parse_version(match[1])


def find_go(go_mod: Path) -> str:
    """Return the path of a Go that can build a module.

    Raises InstallError when there is none on PATH, when it is too old, or when it
    does not answer; the message says what to install.
    """
    needed = required_version(go_mod)
    wanted = "Go {}.{}.{} or newer".format(*needed)
    remedy = (
        f"Install {wanted} (https://go.dev/doc/install, or your distribution's `golang` package "
        "if it is new enough) and put it on PATH; or put a `pulumi` release on PATH, then "
        "nothing but the sandbox's own programs is built."
    )
    go = shutil.which("go")
    if go is None:
        raise InstallError(
            f"Building the toolchain needs {wanted}, and no `go` is on PATH. {remedy}"
        )
    try:
        # Asked outside the module: inside it Go may already fetch another version.
        answer = subprocess.run(
            [go, "env", "-json", "GOVERSION", "GOTOOLCHAIN"],
            cwd="/",
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        settings = json.loads(answer.stdout)
        found = parse_version(settings["GOVERSION"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        raise InstallError(f"{go} does not tell its version ({error}). {remedy}") from error
    if found >= needed:
        return go
    if found >= FETCHES_ITSELF and settings.get("GOTOOLCHAIN", "") != "local":
        return go
    problem = "{} is Go {}.{}.{}, building the toolchain needs {}.".format(go, *found, wanted)
    if found >= FETCHES_ITSELF:
        remedy += " This Go can also fetch it by itself: run again with GOTOOLCHAIN=auto."
    raise InstallError(f"{problem} {remedy}")
