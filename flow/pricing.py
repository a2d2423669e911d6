"""What a stack costs a day, by Hetzner's own price list; net, in its currency.

A read-only token suffices. Traffic, DNS and what is not listed here cost nothing by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from flow.state import State

HETZNER_API = "https://api.hetzner.cloud/v1"
HOURS_A_DAY = 24
MONTHS_A_DAY = 12 / 365.25
_TIMEOUT = httpx.Timeout(5.0)


@dataclass(frozen=True)
class Prices:
    """A price list. Hours have a monthly cap, so what stays a month costs that at most."""

    currency: str
    servers: Mapping[tuple[str, str], tuple[float, float]]
    """(type, location) → (an hour, a month)."""
    addresses: Mapping[tuple[str, str], float]
    """(type, location) → an hour."""
    volume: float
    """A GB and month."""


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

    return Prices(
        currency=str(pricing["currency"]),
        servers={
            (str(each["name"]), str(price["location"])): (
                net(price["price_hourly"]),
                net(price["price_monthly"]),
            )
            for each in pricing["server_types"]
            for price in each["prices"]
        },
        addresses={
            (str(each["type"]), str(price["location"])): net(price["price_hourly"])
            for each in pricing["primary_ips"]
            for price in each["prices"]
        },
        volume=net(pricing["volume"]["price_per_gb_month"]),
    )


def a_day(found: State, prices: Prices) -> float | None:
    """What `found` costs a day; None when something of it is not on the list."""
    total = 0.0
    for server in found.find("Server"):
        price = prices.servers.get((str(server.get("serverType")), str(server.get("location"))))
        if price is None:
            return None
        total += min(price[0] * HOURS_A_DAY, price[1] * MONTHS_A_DAY)
    for address in found.find("PrimaryIp"):
        hour = prices.addresses.get((str(address.get("type")), str(address.get("location"))))
        total += (hour or 0.0) * HOURS_A_DAY  # IPv6 is not on the list: it is free
    for volume in found.find("Volume"):
        total += float(volume.get("size") or 0) * prices.volume * MONTHS_A_DAY
    return round(total, 4)


def saved_a_day(found: State, prices: Prices) -> float | None:
    """What the server of a demo that sleeps would cost; None for what is awake, or not known."""
    asleep = found.outputs["asleep"] if found.asleep else {}
    price = prices.servers.get((str(asleep.get("serverType")), str(asleep.get("location"))))
    return None if price is None else round(min(price[0] * HOURS_A_DAY, price[1] * MONTHS_A_DAY), 4)
