"""A step's last line, which act drops where it does not end in a newline and there is no terminal.

Every script of bash or sh is made to print a newline when it exits; the log leaves it out again
(act_log.py). A script that ends with `exec` or sets a trap of its own goes without.
"""

import json
from pathlib import Path
from typing import Any

from sandbox.github.actions.yaml12 import YamlError, read

#: Before a script's first line, so that its lines keep their numbers.
PREFIX = "trap echo EXIT; "
_SHELLS = ("", "bash", "sh")


def script(run: str, shell: str) -> str:
    """The script with a newline at its end, in whatever it prints."""
    return PREFIX + run if shell in _SHELLS else run


def title(name: str) -> str:
    """The name act gives a step of such a script, as it was written."""
    return name.replace(PREFIX, "", 1)


def prepare(folder: Path) -> None:
    """Do the same in the composite actions below a folder."""
    for path in [*folder.rglob("action.yml"), *folder.rglob("action.yaml")]:
        try:
            action = read(path.read_text()).value
        except (OSError, ValueError, YamlError):
            continue  # act says what is wrong with it, if it is used
        if _prepared(action):
            path.write_text(json.dumps(action, ensure_ascii=False, indent=1))


def _prepared(action: Any) -> bool:
    runs = action.get("runs") if isinstance(action, dict) else None
    steps = runs.get("steps") if isinstance(runs, dict) else None
    changed = False
    for step in steps if isinstance(steps, list) else ():
        if isinstance(step, dict) and isinstance(step.get("run"), str):
            step["run"] = script(step["run"], str(step.get("shell", "")))
            changed = True
    return changed
