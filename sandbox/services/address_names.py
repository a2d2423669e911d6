"""Names with an address in them, as sslip.io answers them: web.203-0-113-7.address.sandbox.test.

/etc/hosts knows no wildcards, so this machine gets exactly those names that somebody has asked
the DNS server for, while a server has their address.
"""

import ipaddress

from sandbox.hetzner.addresses import host_address
from sandbox.store import Store

DOMAIN = "address.sandbox.test"
_MOST_NAMES = 200
_ASKED = "asked_address_names"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def address_in(name: str) -> Address | None:
    """The address in a lower-case name under DOMAIN; None where there is none.

    It is the label before the domain, with dashes for dots and colons; any labels may stand
    before it.
    """
    if not name.endswith(f".{DOMAIN}"):
        return None
    label = name.removesuffix(f".{DOMAIN}").rpartition(".")[2]
    for dotted in (label.replace("-", "."), label.replace("-", ":")):
        try:
            return ipaddress.ip_address(dotted)
        except ValueError:
            continue
    return None


def note(store: Store, name: str, address: Address) -> None:
    """Remember that somebody asked for a name of a server there is."""
    asked = store.setting(_ASKED, [])
    if name not in asked and str(address) in _held(store):
        with store.transaction():
            store.set_setting(_ASKED, [*store.setting(_ASKED, []), name][-_MOST_NAMES:])


def published(store: Store) -> dict[str, list[str]]:
    """Name → addresses for this machine; names of servers that are gone are forgotten."""
    asked = store.setting(_ASKED, [])
    if not asked:
        return {}
    held = _held(store)
    names = {name: [str(address_in(name))] for name in asked if str(address_in(name)) in held}
    if len(names) < len(asked):
        store.set_setting(_ASKED, list(names))
    return names


def _held(store: Store) -> set[str]:
    """The addresses servers have."""
    return {host_address(each) for each in store.all("primary_ip") if each["assignee_id"]}
