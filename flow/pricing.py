"""What things cost, by Hetzner's own price list of today; net, in its currency.

A read-only token suffices. Traffic, DNS and what is not listed here cost nothing by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from flow.state import State

HETZNER_API = "https://api.hetzner.cloud/v1"
HOURS_A_DAY = 24
MONTHS_A_DAY = 12 / 365.25
_TIMEOUT = httpx.Timeout(5.0)


@dataclass(frozen=True)
class Prices:
    """A price list, net. Hours have a monthly cap: what stays a month costs that at most."""

    currency: str
    servers: Mapping[tuple[str, str], tuple[float, float]]
    """(type, location) → (an hour, a month)."""
    addresses: Mapping[tuple[str, str], tuple[float, float]]
    """(type, location) → (an hour, a month)."""
    volume: float
    """A GB and month."""
    vat_percent: float = 0.0
    """What comes on top of net for the account that asked."""

    def gross(self, net: float) -> float:
        """A net price with the value added tax on it."""
        return net * (1 + self.vat_percent / 100)


@dataclass(frozen=True)
class Item:
    """One thing that is paid for. `type` as "cx23" or "ipv4"; `size` in GB, of a volume."""

    kind: Literal["server", "volume", "address"]
    type: str = ""
    location: str = ""
    size: float = 0.0

    def __str__(self) -> str:
        return f"volume {self.size:g} GB" if self.kind == "volume" else self.type


def ask(endpoint: str, token: str) -> Prices | None:
    """The price list as the API tells it; None when it does not answer, or not this token."""
    try:
        answer = httpx.get(
            f"{endpoint.rstrip('/')}/pricing",
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT,
        )
        answer.raise_for_status()
        return parse(answer.json()["pricing"])
    except (httpx.HTTPError, KeyError, TypeError, ValueError):
        return None


def parse(pricing: Mapping[str, Any]) -> Prices:
    """A price list from the API's answer. Raises KeyError or ValueError for another shape."""

    def net(price: Mapping[str, Any]) -> float:
        return float(price["net"])

    def rented(key: str, name: str) -> dict[tuple[str, str], tuple[float, float]]:
        return {
            (str(each[name]), str(price["location"])): (
                net(price["price_hourly"]),
                net(price["price_monthly"]),
            )
            for each in pricing[key]
            for price in each["prices"]
        }

    return Prices(
        currency=str(pricing["currency"]),
        servers=rented("server_types", "name"),
        addresses=rented("primary_ips", "type"),
        volume=net(pricing["volume"]["price_per_gb_month"]),
        vat_percent=float(pricing["vat_rate"]),
    )


def items(found: State) -> list[Item]:
    """What is paid for of a state's things."""
    made = [
        Item("server", str(each.get("serverType")), str(each.get("location")))
        for each in found.find("Server")
    ]
    made += [
        Item("address", str(each.get("type")), str(each.get("location")))
        for each in found.find("PrimaryIp")
    ]
    return made + [
        Item("volume", size=float(each.get("size") or 0)) for each in found.find("Volume")
    ]


def a_day(found: Iterable[Item], prices: Prices) -> float | None:
    """What `found` costs a day together; None when something of it is not on the list."""
    total = 0.0
    for each in found:
        cost = _one(each, prices)
        if cost is None:
            return None
        total += cost
    return round(total, 4)


def saved_a_day(found: State, prices: Prices) -> float | None:
    """What the server of a demo that sleeps would cost; None for what is awake, or not known."""
    asleep = found.outputs["asleep"] if found.asleep else {}
    server = Item("server", str(asleep.get("serverType")), str(asleep.get("location")))
    cost = _one(server, prices)
    return None if cost is None else round(cost, 4)


def a_month(of_a_day: float) -> float:
    """What a day's cost is in a month, which is a twelfth of a year."""
    return round(of_a_day / MONTHS_A_DAY, 2)


def _one(item: Item, prices: Prices) -> float | None:
    if item.kind == "volume":
        return item.size * prices.volume * MONTHS_A_DAY
    listed = prices.servers if item.kind == "server" else prices.addresses
    price = listed.get((item.type, item.location))
    if price is None:
        # What is free need not be on the list.
        return 0.0 if item.type == "ipv6" else None
    return min(price[0] * HOURS_A_DAY, price[1] * MONTHS_A_DAY)
