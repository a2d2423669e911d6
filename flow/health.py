"""Whether an environment answers now: its own health paths, asked from here as anybody could."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import httpx
import yaml

from components import compose as rules
from components import plain_yaml

SECONDS = 5.0
HEALTHY = "healthy"
ASLEEP = "asleep"


def paths(release: Mapping[str, Any]) -> list[str]:
    """Health paths of a release's public services, sorted; ["/"] where none has one.

    They are open without a password, a demo's too.
    """
    try:
        compose = plain_yaml.load(str(release.get("compose") or ""))
    except yaml.YAMLError:
        compose = None
    services = rules.services_of(compose) if isinstance(compose, dict) else {}
    labels = [rules.labels_of(service) for service in services.values()]
    found = {each[rules.HEALTH] for each in labels if rules.HTTP in each and rules.HEALTH in each}
    return sorted(found) or ["/"]


def ask(url: str, paths_: list[str]) -> str:
    """`healthy`, or what is wrong: "/api/heartbeat answers 503", "no answer: …"."""
    try:
        # Ours or the system's authorities, by SSL_CERT_FILE as everywhere.
        with httpx.Client(verify=ssl.create_default_context(), timeout=SECONDS) as client:
            for path in paths_:
                code = client.get(url.rstrip("/") + path).status_code
                # Without a health path of its own a demo asks for its password: it is there.
                if code >= 400 and not (code == 401 and path == "/"):
                    return f"{path} answers {code}"
    except httpx.TimeoutException:
        return f"no answer within {SECONDS:.0f} s"
    except (httpx.HTTPError, OSError) as error:
        return f"no answer: {error}"
    return HEALTHY
