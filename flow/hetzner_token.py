"""Whether a stack's Hetzner token will do, asked before the engine is started."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from flow import backends, state
from flow.errors import FlowError
from flow.pricing import HETZNER_API
from planning import access

ONLY_PREVIEW = "FLOW_ONLY_PREVIEW"
"""A variable that tells the program that nothing will follow: a token that reads will do."""


class Known(Protocol):
    """What Stacks say of one."""

    def state(self, name: str, *, secrets: bool = True) -> dict[str, Any]:
        """Its state as the engine exports it."""

    def settings(self, name: str) -> dict[str, str]:
        """Its settings, secrets in clear."""


def of_state(stacks: Known, name: str, environment: Mapping[str, str]) -> None:
    """Check the token of the state, else the environment's; raises FlowError.

    That is what a refresh and a destroy take, which run no program that could look.
    """
    found = state.parse(stacks.state(name))
    check(name, found, found.provider, environment)


def of_settings(stacks: Known, name: str, environment: Mapping[str, str]) -> None:
    """Check the token of the settings, else the environment's, which an `up` takes.

    Where they cannot be read nothing is said: the `up` does, or another writes them just now.
    """
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(stacks.settings, name)
        try:
            found = state.parse(stacks.state(name, secrets=False))
            own = asked.result()
        except FlowError:
            return
    given = {each.removeprefix("hcloud:"): value for each, value in own.items()}
    check(name, found, given, environment, finished=bool(found.outputs))


def check(
    stack: str,
    found: state.State,
    given: Mapping[str, Any],
    environment: Mapping[str, str],
    *,
    finished: bool = True,
) -> None:
    """Raise FlowError for one that has expired, may only read, or reaches nothing of the stack.

    A stack that holds nothing yet is not asked about: its first `up` asks itself.

    given        `token` and `endpoint` as the engine will take them, of the settings or the state
    environment  on top of ours; has them where they are not given
    """
    around = {**os.environ, **environment}
    token = given.get("token") or around.get("HCLOUD_TOKEN")
    endpoint = given.get("endpoint") or around.get("HCLOUD_ENDPOINT") or HETZNER_API
    held = [(each.kind, each.properties) for each in found.resources]
    where = access.places(held, finished=finished)
    if not token or not where:
        return
    wrong = access.mistake(str(token), str(endpoint), stack, where, writes=True)
    if wrong is not None:
        raise FlowError(wrong.problem, backends.as_commands(wrong.remedy))
