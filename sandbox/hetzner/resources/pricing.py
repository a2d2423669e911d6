"""Prices of everything, in euros."""

from decimal import Decimal

from sandbox.hetzner import catalogue
from sandbox.hetzner.cloud import Call
from sandbox.hetzner.listing import Answer
from sandbox.hetzner.routing import Routes

routes = Routes()


@routes.get("/pricing")
def get_pricing(_call: Call) -> Answer:
    """The price list."""
    prices = catalogue.prices()
    places = [place["name"] for place in catalogue.locations()]

    def floating(net: str) -> list[dict[str, object]]:
        price = catalogue.price(Decimal(net))
        return [{"location": place, "price_monthly": price} for place in places]

    def primary(net: str) -> list[dict[str, object]]:
        return [{"location": place, **catalogue.monthly(net)} for place in places]

    pricing = {
        "currency": "EUR",
        "vat_rate": f"{Decimal(prices['vat']):.6f}",
        "image": {"price_per_gb_month": catalogue.price(Decimal(prices["image"]))},
        "volume": {"price_per_gb_month": catalogue.price(Decimal(prices["volume"]))},
        "server_backup": {"percentage": f"{Decimal(prices['backup_percentage']):.10f}"},
        "floating_ip": {"price_monthly": catalogue.price(Decimal(prices["floating_ipv4"]))},
        "floating_ips": [
            {"type": "ipv4", "prices": floating(prices["floating_ipv4"])},
            {"type": "ipv6", "prices": floating(prices["floating_ipv6"])},
        ],
        "primary_ips": [
            {"type": "ipv4", "prices": primary(prices["primary_ipv4"])},
            {"type": "ipv6", "prices": primary("0")},
        ],
        "load_balancer_types": [],
        "server_types": [
            {"id": kind["id"], "name": kind["name"], "prices": kind["prices"]}
            for kind in catalogue.server_types()
        ],
    }
    return Answer(200, {"pricing": pricing})
