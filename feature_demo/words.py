"""What is said to the person, and the one error everything ends with."""

import sys
from collections.abc import Callable
from typing import Final

Say = Callable[[str], None]

NAME: Final = "feature-demo.sh"


class DemoError(Exception):
    """What is wrong and where (the message), and what to do next (`remedy`)."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def say(line: str) -> None:
    """Progress, on stderr: stdout is for what a script may read."""
    print(line, file=sys.stderr, flush=True)


def step(line: str) -> None:
    """The beginning of something that takes a while."""
    say(f"==> {line}")


def here(text: str) -> str:
    """Words of the agent and of provision.sh, which name the command a stack is deployed with."""
    for theirs in ("`pulumi up` of the whole stack", "`pulumi up`", "'pulumi up'"):
        text = text.replace(theirs, f"`{NAME} update`")
    return text.replace("`pulumi preview`", f"`{NAME} update`").replace(
        "registryUsername and registryPassword in the settings", "the registry's user and password"
    )
