"""Caddy's configuration of one stage: TLS, redirects, passwords, routes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HASH_PLACE: Final = "@PASSWORD_HASH@"
"""The agent puts the password's bcrypt hash here: a hash made anew in every run would
make every run a change."""
ROOT_FILE: Final = "/etc/caddy/acme-root.pem"
PATIENCE: Final = "30s"
"""How long a request waits for a container that is being replaced."""


@dataclass(frozen=True)
class Route:
    """A public path (`/`, `/api/*`, `/healthz`) and the loopback port that answers it."""

    path: str
    port: int
    is_health: bool = False


@dataclass(frozen=True)
class Site:
    """How a stage faces the public."""

    address: str
    """`https://host` or `http://host`."""
    acme_server: str | None = None
    has_acme_root: bool = False
    acme_email: str | None = None
    auth_user: str | None = None
    """Basic authentication for everything but health paths."""
    noindex: bool = False
    hsts: bool = False


def render(site: Site, routes: Sequence[Route]) -> str:
    """The Caddyfile (Caddy 2.6, Debian's). Health routes come first, then by path length."""
    lines = ["# deployment-flow: written with every release; changes here are lost.", "{"]
    lines += [f"\t{line}" for line in _options(site)]
    lines += ["}", "", f"{site.address} {{"]
    lines += [f"\t{line}" for line in _headers(site)]
    ordered = sorted(routes, key=lambda r: (not r.is_health, -len(r.path), r.path))
    for route in ordered:
        lines += [f"\t{line}" for line in _route(route, site.auth_user)]
    if not any(route.path in ("/", "/*") for route in ordered):
        lines += ["\thandle {", "\t\trespond 404", "\t}"]
    return "\n".join([*lines, "}", ""])


def _options(site: Site) -> list[str]:
    lines = []
    if site.acme_email:
        lines.append(f"email {site.acme_email}")
    if site.acme_server:
        lines.append(f"acme_ca {site.acme_server}")
    if site.has_acme_root:
        lines.append(f"acme_ca_root {ROOT_FILE}")
    return [
        *lines,
        "servers {",
        "\ttimeouts {",
        "\t\tread_header 20s",
        "\t\tidle 5m",
        "\t}",
        "}",
    ]


def _headers(site: Site) -> list[str]:
    lines = []
    if site.address.startswith("https://"):
        lines += ["tls {", "\tprotocols tls1.2 tls1.3", "}"]
    # Removing a header happens late and never on an error's answer, so what must be on a 401,
    # too, stands in a block of its own.
    lines += ["encode zstd gzip", "header -Server", "header {"]
    lines.append("\tX-Content-Type-Options nosniff")
    if site.hsts:
        lines.append('\tStrict-Transport-Security "max-age=31536000"')
    if site.noindex:
        lines.append('\tX-Robots-Tag "noindex, nofollow"')
    return [*lines, "}"]


def _route(route: Route, auth_user: str | None) -> list[str]:
    matcher = "" if route.path in ("/", "/*") else f" {route.path}"
    lines = [f"handle{matcher} {{"]
    if auth_user and not route.is_health:
        lines += ["\tbasicauth {", f"\t\t{auth_user} {HASH_PLACE}", "\t}"]
    return [
        *lines,
        f"\treverse_proxy 127.0.0.1:{route.port} {{",
        f"\t\tlb_try_duration {PATIENCE}",
        "\t\tlb_try_interval 250ms",
        "\t}",
        "}",
    ]
