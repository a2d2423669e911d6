"""Caddy's configuration of one stage: TLS, redirects, passwords, routes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HASH_PLACE: Final = "@PASSWORD_HASH@"
"""The agent puts the password's bcrypt hash here: a hash made anew in every run would
make every run a change."""
FOLDER: Final = "/etc/caddy"
ROOT_FILE: Final = f"{FOLDER}/acme-root.pem"
PATIENCE: Final = "30s"
"""How long a request waits for a container that is being replaced."""
SLOT_FILE: Final = "deployment-flow.green"
"""While the agent has put this file beside the Caddyfile, slot green has the traffic. Looked for at
each request: a reload would close connections that a client is about to use again."""
IDLE: Final = "1s"
"""How long an idle connection to a service is kept: less than any server keeps it, so that none is
closed under a request, and a service that is to be stopped has none for long."""


@dataclass(frozen=True)
class Route:
    """A public path (`/`, `/api/*`, `/healthz`) and the loopback port that answers it."""

    path: str
    port: int
    green_port: int | None = None
    """The one that answers while slot green has the traffic; None for a service without slots."""
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
    if route.green_port is None:
        lines += [f"\t{line}" for line in _proxy(route.port)]
    else:
        lines += ["\t@green file {", f"\t\troot {FOLDER}", f"\t\ttry_files /{SLOT_FILE}", "\t}"]
        for matcher, port in ((" @green", route.green_port), ("", route.port)):
            lines += [f"\thandle{matcher} {{", *(f"\t\t{line}" for line in _proxy(port)), "\t}"]
    return [*lines, "}"]


def _proxy(port: int) -> list[str]:
    return [
        f"reverse_proxy 127.0.0.1:{port} {{",
        f"\tlb_try_duration {PATIENCE}",
        "\tlb_try_interval 250ms",
        "\ttransport http {",
        f"\t\tkeepalive {IDLE}",
        "\t}",
        "}",
    ]
