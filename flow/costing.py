"""What each environment costs at Hetzner's prices of today, and what one would cost."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from components import given_hosts, naming
from flow import ownerless, pricing, state, survey
from flow.errors import FlowError
from flow.labelled import UNPRICED
from flow.pricing import Item, Prices
from flow.project import Project

NO_STACK = "no stack"


@dataclass(frozen=True)
class Line:
    """One environment; `a_day` is net, and None where it is not known."""

    environment: str
    items: tuple[Item, ...]
    a_day: float | None
    problem: str = ""
    """Why it could not be read."""

    @property
    def a_month(self) -> float | None:
        """Net."""
        return None if self.a_day is None else pricing.a_month(self.a_day)

    def output(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "environment": self.environment,
            "things": [str(each) for each in self.items],
            "a_day": self.a_day,
            "a_month": self.a_month,
            "problem": self.problem,
        }


@dataclass(frozen=True)
class Bill:
    """Every environment's line, and one for what no stack owns where there is any."""

    lines: tuple[Line, ...]
    prices: Prices | None
    lost: int = 0
    """How many things no stack owns, those that cost nothing among them."""
    problems: tuple[str, ...] = ()
    """Hetzner projects that could not be asked."""

    @property
    def total(self) -> Line:
        """All of it together; what is not known is not in it."""
        known = [each.a_day for each in self.lines if each.a_day is not None]
        return Line("total", (), round(sum(known), 4) if self.prices else None)

    def output(self) -> dict[str, Any]:
        """As JSON has it."""
        total = self.total.output()
        month = total["a_month"]
        return {
            **_basis(self.prices),
            "environments": [each.output() for each in self.lines],
            "lost": self.lost,
            "problems": list(self.problems),
            "total": {
                "a_day": total["a_day"],
                "a_month": month,
                "a_month_gross": _gross(month, self.prices),
            },
        }


def bill(project: Project) -> Bill:
    """What everything costs, by states, and by labels what states have lost. Raises FlowError."""
    look = ownerless.look(project)
    prices = ownerless.prices_for(project, look)
    names = sorted((each for each in look.names if naming.stage_of_stack(each)), key=survey.order)
    lost = [each for each in look.lost if not look.unknown(each)]
    return Bill(tuple(lines(names, look, prices)), prices, len(lost), look.problems)


def lines(names: Sequence[str], look: ownerless.Look, prices: Prices | None) -> list[Line]:
    """A line for each of `names`, and one for what is lost; pure."""
    made = []
    for name in names:
        found = look.states[name]
        if isinstance(found, FlowError):
            made.append(Line(name, (), None, found.problem))
        else:
            made.append(_line(name, pricing.items(found), prices))
    made += [Line(group, (), None, problem) for group, problem in look.unread.items()]
    lost = [each for each in look.lost if not look.unknown(each)]
    if lost:
        line = _line(NO_STACK, [each.item for each in lost if each.item], prices)
        if any(each.kind in UNPRICED for each in lost):
            line = replace(line, a_day=None)
        made.append(line)
    return made


def _line(name: str, items: Sequence[Item], prices: Prices | None) -> Line:
    # What is made of nothing costs nothing, whoever tells prices.
    cost = pricing.a_day(items, prices) if prices else (None if items else 0.0)
    return Line(name, tuple(items), cost)


@dataclass(frozen=True)
class Estimate:
    """What an environment would cost after a deploy; `now` is what it costs today."""

    then: Line
    now: Line
    prices: Prices | None = field(repr=False)

    @property
    def more_a_day(self) -> float | None:
        """How much more (less: below zero) that is a day, net; None where it is not known."""
        if self.then.a_day is None or self.now.a_day is None:
            return None
        return round(self.then.a_day - self.now.a_day, 4)

    def output(self) -> dict[str, Any]:
        """As JSON has it."""
        then = self.then.output()
        return {
            **_basis(self.prices),
            **{key: then[key] for key in ("things", "a_day", "a_month")},
            "a_month_gross": _gross(self.then.a_month, self.prices),
            "now_a_day": self.now.a_day,
            "more_a_day": self.more_a_day,
        }

    def __str__(self) -> str:
        things = ", ".join(map(str, self.then.items)) or "nothing at Hetzner"
        if self.then.a_day is None or self.prices is None:
            if self.prices is None and self.then.items:
                return f"what it will cost is not known, as no token tells prices: {things}"
            if self.then.a_day is None:
                return f"what it will cost is not known, as not all is on Hetzner's list: {things}"
            return f"it will cost nothing: {things}"
        told = (
            f"it will cost {self.then.a_day:.2f} {self.prices.currency} a day, "
            f"{self.then.a_month:.2f} a month, net "
            f"({_gross(self.then.a_month, self.prices):.2f} a month with "
            f"{self.prices.vat_percent:g} % VAT): {things}"
        )
        if self.now.items and self.more_a_day:
            word = "more" if self.more_a_day > 0 else "less"
            told += f"; {abs(self.more_a_day):.2f} a day {word} than now"
        return told


def estimate(project: Project, stack: str) -> Estimate:
    """What `stack` would cost by its settings, made or changed, and costs now. Raises FlowError."""
    exists = stack in project.stacks.names()
    found = state.parse(project.stacks.state(stack, secrets=False)) if exists else state.State()
    prices = survey.price_list(_providers(project, stack, found, exists=exists))
    then = wanted(project.settings(stack), found, has_given_host=_is_given(stack))
    return Estimate(_line(stack, then, prices), _line(stack, pricing.items(found), prices), prices)


def wanted(
    settings: Mapping[str, Any], found: state.State, *, has_given_host: bool = False
) -> list[Item]:
    """What would be paid for by these settings; pure. What exists stays where it is.

    has_given_host  the environment names a machine for it, as the setting `host` does
    """
    if settings.get("host") or has_given_host:
        return []
    made = [*found.find("Server"), *found.find("Volume"), *found.find("PrimaryIp")]
    locations = settings.get("locations") or [""]
    location = str(made[0].get("location") if made else locations[0])
    items = [Item("server", str(settings.get("serverType") or ""), location)]
    items += [Item("address", kind, location) for kind in ("ipv4", "ipv6")]
    size = float(settings.get("volumeSize") or 0)
    return [*items, Item("volume", size=size)] if size else items


def _is_given(stack: str) -> bool:
    if naming.stage_of_stack(stack) != "demo":
        return False
    try:
        return bool(given_hosts.settings_of(os.environ.get(given_hosts.VARIABLE, ""), stack))
    except ValueError as error:
        raise FlowError(str(error), "correct that variable (flow-demo)") from None


def _providers(
    project: Project, stack: str, found: state.State, *, exists: bool
) -> Iterator[Mapping[str, Any]]:
    """Tokens that may tell prices: the environment's, the stack's, then any other's."""
    yield from survey.providers(project, {stack: found} if exists else {})
    others = [each for each in project.stacks.names() if each != stack]
    for name in [stack] * exists + others:
        settings = project.stacks.settings(name)
        yield {key: settings.get(f"hcloud:{key}") for key in ("token", "endpoint")}


def _basis(prices: Prices | None) -> dict[str, Any]:
    return {
        "currency": prices.currency if prices else "",
        "net": True,
        "vat_percent": prices.vat_percent if prices else None,
    }


def _gross(net: float | None, prices: Prices | None) -> float | None:
    return None if net is None or prices is None else round(prices.gross(net), 2)
