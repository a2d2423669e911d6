"""IPv6 for containers, which a Compose file asks for and Docker may not have."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable

from .compose import Compose
from .errors import DeployError
from .releases import Release
from .slots import PROJECT

Say = Callable[[str], None]


def check_ipv6(release: Release, compose: Compose, say: Say) -> None:
    """Say which networks stay without the IPv6 their release asks for.

    Raises DeployError where one would have to be made and Docker has no IPv6 addresses for it.
    """
    asking = [
        name
        for name, how in (release.compose.get("networks") or {}).items()
        if (how or {}).get("enable_ipv6")
    ]
    for name in asking:
        called = f"{PROJECT}_{name}"
        made = compose.docker("network", "inspect", "--format", "{{.EnableIPv6}}", called)
        if made.ok and made.last() == "false":
            say(
                f"warning: the network {name} was made without IPv6 and stays so; "
                "next: `flow rebuild` gives this stage a server that makes it anew"
            )
        if not made.ok and not _has_addresses(compose):
            raise DeployError(
                f"the network {name} asks for IPv6 (enable_ipv6), and Docker on this server has no "
                "IPv6 addresses to give; nothing was changed",
                "`flow rebuild` makes a server that has; on a machine of your own see "
                "docs/servers.md, or take enable_ipv6 out of the Compose file",
            )


def _has_addresses(compose: Compose) -> bool:
    listed = compose.docker("info", "--format", "{{json .DefaultAddressPools}}")
    if not listed.ok:
        return True  # it will say what is wrong with it where it is asked to do something
    pools = json.loads(listed.last() or "null") or []
    return any(ipaddress.ip_network(pool["Base"], strict=False).version == 6 for pool in pools)
