"""Which demo goes to a machine that exists, as a workflow's run is told in one variable. Pure.

`DEMO_HOSTS` has a line for each such demo; every other demo gets a server of its own:

    feature-demo/map   root@198.51.100.7      ssh-ed25519 AAAAC3…
    feature-demo/old   admin@198.51.100.8:2222 ssh-ed25519 AAAAC3…
"""

import re
from typing import Final

from components import naming

VARIABLE: Final = "DEMO_HOSTS"
KEY: Final = "DEMO_SSH_KEY"
"""The private key that opens them; a secret."""
_LINE: Final = re.compile(
    r"(?P<branch>\S+)\s+(?P<user>[a-z_][a-z0-9_-]*)@"
    r"(?P<host>\[[0-9a-fA-F:]+\]|[0-9.]+)(:(?P<port>\d+))?\s+"
    r"(?P<key>(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+) [A-Za-z0-9+/]+={0,3})(\s.*)?"
)


def settings_of(text: str, stack: str) -> dict[str, str]:
    """The settings host, hostPort, hostUser and hostKey of a stack; empty where no line has it.

    Raises ValueError naming the line that is not as it has to be, or that names a demo twice.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = _LINE.fullmatch(line.strip())
        if parts is None:
            raise ValueError(
                f"line {number} of {VARIABLE} is not <branch> <user>@<address> <host key>, as "
                "feature-demo/map root@198.51.100.7 ssh-ed25519 AAAA…"
            )
        if naming.stack_of_branch(parts["branch"]) != stack:
            continue
        if found:
            raise ValueError(f"line {number} of {VARIABLE} names {parts['branch']} a second time")
        found = {
            "host": parts["host"].strip("[]"),
            "hostUser": parts["user"],
            "hostKey": parts["key"],
            **({"hostPort": parts["port"]} if parts["port"] else {}),
        }
    return found
