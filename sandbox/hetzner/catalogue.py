"""What can be bought: locations, server types, images, prices.

`catalogue.json` holds a compact selection with values as Hetzner publishes
them (EUR, net, per month); this file writes it out in the API's shapes.
"""

import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from sandbox.store import Record

HOURS_A_MONTH = 624  # of billing: a month's price is reached after 26 days.


@cache
def _raw() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(Path(__file__).with_name("catalogue.json").read_text())
    return loaded


@cache
def locations() -> list[Record]:
    """All locations, as the API shows them."""
    return list(_raw()["locations"])


@cache
def server_types() -> list[Record]:
    """All server types, as the API shows them."""
    return [_server_type(entry) for entry in _raw()["server_types"]]


@cache
def images() -> list[Record]:
    """All system images, one for each architecture, as the API shows them."""
    return [
        _image(entry, architecture) for entry in _raw()["images"] for architecture in ("x86", "arm")
    ]


def by_reference(records: list[Record], reference: object) -> Record | None:
    """The entry with this id or name."""
    wanted = str(reference)
    return next((r for r in records if wanted in (str(r["id"]), r["name"])), None)


def price(net: Decimal) -> dict[str, str]:
    """A net price with its gross."""
    gross = net * (1 + Decimal(prices()["vat"]) / 100)
    return {"net": f"{net:.10f}", "gross": f"{gross:.10f}"}


def prices() -> dict[str, str]:
    """Prices of what is not a server, per month and net."""
    found: dict[str, str] = _raw()["prices"]
    return found


def monthly(net: str) -> dict[str, dict[str, str]]:
    """The hourly and monthly price of a monthly net price."""
    amount = Decimal(net)
    return {"price_hourly": price(amount / HOURS_A_MONTH), "price_monthly": price(amount)}


def _server_type(entry: dict[str, Any]) -> Record:
    where = [place for place in locations() if place["name"] in _raw()["networks"][entry["where"]]]
    dedicated = entry.get("cpu_type") == "dedicated"
    # Overseas the included traffic is 1 TB; in Europe it is 20.
    return {
        "id": entry["id"],
        "name": entry["name"],
        "description": entry["name"].upper(),
        "category": "General Purpose" if dedicated else "Shared vCPU",
        "cores": entry["cores"],
        "memory": entry["memory"],
        "disk": entry["disk"],
        "deprecated": False,
        "deprecation": None,
        "storage_type": "local",
        "cpu_type": entry.get("cpu_type", "shared"),
        "architecture": entry.get("architecture", "x86"),
        "locations": [
            {
                "id": place["id"],
                "name": place["name"],
                "deprecation": None,
                # Newer than the description; the official Python client needs both.
                "available": True,
                "recommended": True,
            }
            for place in where
        ],
        "prices": [
            {
                "location": place["name"],
                **monthly(entry["price"]),
                "included_traffic": (20 if place["network_zone"] == "eu-central" else 1) * 1024**4,
                "price_per_tb_traffic": price(Decimal(prices()["traffic_per_tb"])),
            }
            for place in where
        ],
    }


def _image(entry: dict[str, Any], architecture: str) -> Record:
    return {
        "id": entry["id"] if architecture == "x86" else entry["arm_id"],
        "type": "system",
        "status": "available",
        "name": entry["name"],
        "description": entry["description"],
        "image_size": None,
        "disk_size": 5,
        "created": entry["created"],
        "created_from": None,
        "bound_to": None,
        "os_flavor": entry["os_flavor"],
        "os_version": entry["os_version"],
        "rapid_deploy": True,
        "protection": {"delete": False},
        "deprecated": None,
        "deleted": None,
        "labels": {},
        "architecture": architecture,
    }
