"""What a run needs to save one environment's data, and nothing that reaches further.

With the state and its passphrase it could do all the stack can, Hetzner's token among it. A ticket
holds where the server is, its host key, and the deploy key, which can ask that one server's agent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flow import run_environments
from flow.errors import FlowError
from flow.state import State

VARIABLE = "BACKUP_TICKET"
_OUTPUTS = ("deploy_key", "known_hosts", "ssh")


def setting(stack: str, repository: str) -> str:
    """The command that gives nightly runs the ticket of `stack`.

    repository  the application's, as OWNER/NAME; empty where nobody knows it. `gh` would else take
                that of the folder it runs in, which is the deployment's
    """
    return (
        f"flow backup ticket {stack} | gh secret set {VARIABLE} --env {run_environments.BACKUP} "
        f"--repo {repository or 'OWNER/NAME'}"
    )


def issue(stack: str, found: State) -> str:
    """The ticket of an environment that runs: JSON, and secret. Raises FlowError for none."""
    if not found.release or not all(found.outputs.get(name) for name in _OUTPUTS):
        raise FlowError(f"nothing runs on {stack}", f"flow deploy {stack}")
    outputs = {name: str(found.outputs[name]) for name in _OUTPUTS}
    return json.dumps({"environment": stack, **outputs})


def read(text: str, stack: str) -> State:
    """As much of a State as a backup needs. Raises FlowError for what is none, or another's."""
    try:
        given: Mapping[str, Any] = json.loads(text)
        outputs = {name: str(given[name]) for name in _OUTPUTS}
        environment = str(given["environment"])
    except (ValueError, KeyError, TypeError):
        # Not what it holds: that is secret.
        raise FlowError(f"{VARIABLE} is no ticket", f"flow backup ticket {stack}") from None
    if environment != stack:
        raise FlowError(
            f"{VARIABLE} is one of {environment}, not of {stack}", f"flow backup ticket {stack}"
        )
    return State(outputs, release={"environment": stack})
