"""Every environment as it is now: from the states of all stacks, its URL and Hetzner's prices.

All asked at once, each for a bounded time.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from components import naming
from flow import backends, clock, health, pricing, state
from flow.engine import ENGINES, at_once
from flow.errors import FlowError
from flow.project import Project

REQUESTS = 32


@dataclass(frozen=True)
class Row:
    """One environment. Times are seconds since 1970; None or empty: it has none, or unknown."""

    environment: str
    stage: str
    branch: str
    version: str
    commit: str
    images: str
    """Hash of its images' digests: the same where the same bytes run."""
    url: str
    health: str
    created: int | None
    deployed: int | None
    expires: int | None
    until: int | None
    """A demo's date, where somebody set one."""
    server: str
    cost_a_day: float | None
    currency: str
    problem: str = ""
    """Why it could not be read."""
    asleep: bool = False
    saved_a_day: float | None = None
    """What a demo that sleeps does not cost; None for what is awake, and where it is not known."""

    def output(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def states(project: Project, names: Sequence[str]) -> dict[str, state.State | FlowError]:
    """The state of each stack without its secrets, or why it cannot be read."""
    stacks = project.stacks

    def read(name: str) -> state.State | FlowError:
        try:
            return state.parse(stacks.state(name, secrets=False))
        except FlowError as error:
            return error

    return dict(zip(names, at_once(read, names, ENGINES), strict=True))


def look(project: Project, names: Sequence[str] | None = None) -> list[Row]:
    """Every environment, stages first; or only those of `names`."""
    known, unread = listed(project) if names is None else (list(names), [])
    found = states(project, [each for each in known if naming.stage_of_stack(each)])
    whole = {name: each for name, each in found.items() if isinstance(each, state.State)}
    prices = price_list(providers(project, whole))
    said = at_once(_health, list(whole.values()), REQUESTS)
    healths = dict(zip(whole, said, strict=True))
    rows = [
        _unread(name, each)
        if isinstance(each, FlowError)
        else row(name, each, healths[name], prices)
        for name, each in found.items()
    ]
    return [*rows, *unread]


def listed(project: Project) -> tuple[list[str], list[Row]]:
    """Every stack, stages first; and a row for each group whose state cannot be asked.

    Raises FlowError where none can.
    """
    try:
        return sorted(project.stacks.names(), key=order), []
    except FlowError as error:
        if len(backends.places({**os.environ, **project.environment})) == 1:
            raise
        first = error
    names: list[str] = []
    unread: list[Row] = []
    for group in backends.GROUPS:
        try:
            names += project.stacks.names((group,))
        except FlowError as error:
            unread.append(_unread(group, error))
    if len(unread) == len(backends.GROUPS):
        raise first
    return sorted(names, key=order), unread


def order(stack: str) -> tuple[int, str]:
    """dev, staging, prod, then demos by name."""
    stages = list(naming.STAGE_BRANCHES)
    return (stages.index(stack) if stack in stages else len(stages), stack)


def row(name: str, found: state.State, said: str, prices: pricing.Prices | None) -> Row:
    """One environment's line."""
    outputs = found.outputs
    cost = pricing.a_day(pricing.items(found), prices) if prices else None
    servers = found.find("Server")
    return Row(
        environment=name,
        stage=str(naming.stage_of_stack(name)),
        branch=str(outputs.get("branch") or naming.branch_of_stack(name) or ""),
        version=str(outputs.get("version") or ""),
        commit=str(found.release.get("revision") or ""),
        images=found.images,
        url=str(outputs.get("url") or ""),
        health=said,
        created=found.created,
        deployed=found.deployed,
        expires=found.number("expires"),
        until=found.number("until"),
        server=str(servers[0].get("serverType") or "") if servers else "",
        cost_a_day=0.0 if found.empty else cost,
        currency=prices.currency if prices else "",
        asleep=found.asleep,
        saved_a_day=pricing.saved_a_day(found, prices) if prices else None,
    )


def providers(project: Project, found: Mapping[str, state.State]) -> Iterator[Mapping[str, Any]]:
    """Tokens that may reach Hetzner, {"token", "endpoint"}: the environment's, then stacks' own.

    A stack's is read only when the ones before it were of no use.
    """
    yield {"token": os.environ.get("HCLOUD_TOKEN")}
    for name, each in found.items():
        # Where the state has a token, it is there even when it is left encrypted.
        if "token" in each.provider:
            yield state.parse(project.stacks.state(name)).provider


def price_list(tokens: Iterable[Mapping[str, Any]]) -> pricing.Prices | None:
    """Prices by the first token that reaches the API; three at most are tried."""
    tried: set[tuple[str, str]] = set()
    for provider in tokens:
        token = provider.get("token")
        if not token:
            continue
        endpoint = provider.get("endpoint") or os.environ.get("HCLOUD_ENDPOINT")
        at = (str(endpoint or pricing.HETZNER_API), str(token))
        if at not in tried and (prices := pricing.ask(*at)):
            return prices
        tried.add(at)
        # A dead network is not waited for stack by stack.
        if len(tried) == 3:
            break
    return None


span = clock.span


def day(seconds: int | None) -> str:
    """A time as a person reads it: 2031-05-31 09:00."""
    if seconds is None:
        return ""
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d %H:%M}"


def _health(found: state.State) -> str:
    url = str(found.outputs.get("url") or "")
    if found.asleep:
        return health.ASLEEP
    return health.ask(url, health.paths(found.release)) if url else "not deployed"


def _unread(name: str, error: FlowError) -> Row:
    empty: Mapping[str, Any] = {}
    unknown = row(name, state.State(empty), "unknown", None)
    return Row(**{**asdict(unknown), "cost_a_day": None, "problem": error.problem})
