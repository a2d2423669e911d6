"""A release as data: Compose file and Caddyfile for one server, from a checked Compose file.

Pure: the same input gives the same bytes, so an `up` that changes nothing changes nothing.
Secrets are not in it; only the names of their variables are needed.
"""

import hashlib
import json
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from components import caddyfile, compose_advice, compose_check, compose_files, plain_yaml
from components import compose as rules
from components.caddyfile import Route, Site

FIRST_PORT: Final = 20000
PORTS: Final = 10000
GREEN_BELOW: Final = 10000
"""How far below its port the other one of a service is that runs twice; the agent's, too."""
HEALTH_SECONDS: Final = 60
START_SECONDS: Final = 300
DATA_FOLDER: Final = "/data"
_KEPT: Final = compose_check.SERVICE_KEYS - {"ports", "profiles", "depends_on"}


class ComposeError(ValueError):
    """A Compose file that cannot be deployed; `mistakes` are sentences with remedies."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__(
            "the Compose file cannot be deployed:\n" + "\n".join(f"  - {each}" for each in mistakes)
        )
        self.mistakes = mistakes


@dataclass(frozen=True)
class Release:
    """What is released: `images` maps every service to `name@sha256:…`."""

    compose: Mapping[str, Any]
    version: str
    images: Mapping[str, str]
    prefix: str
    """Registry and path of the team's images, as ghcr.io/example/app; variable IMAGES."""
    revision: str = ""
    """Git commit, when the image says it."""
    layers: Mapping[str, int] = field(default_factory=dict)
    """What the images consist of, each layer once: digest → bytes as they are sent."""


@dataclass(frozen=True)
class Public:
    """How a stage faces the public."""

    hostname: str
    acme_server: str | None = None
    acme_root: str | None = None
    """PEM of a private authority's root; None for public ones."""
    acme_email: str | None = None
    auth_user: str | None = None
    noindex: bool = False
    hsts: bool = False


@dataclass(frozen=True)
class Variables:
    """What the application gets besides VERSION, IMAGES and PUBLIC_URL."""

    environment: Mapping[str, str] = field(default_factory=dict)
    secret_names: Collection[str] = ()


def load(text: str) -> dict[str, Any]:
    """A Compose file's text as a dict. Raises ComposeError when it is not YAML."""
    try:
        loaded = plain_yaml.load(text)
    except yaml.YAMLError as error:
        raise ComposeError([f"it is not YAML: {str(error).splitlines()[0]}"]) from None
    if not isinstance(loaded, dict):
        raise ComposeError(["it is empty, or no mapping"])
    return loaded


def carried(file: Path, within: Path) -> str:
    """A Compose file's text, with the files it takes from the application's folder in it.

    As it is written where it takes none. Raises ComposeError with every mistake of the Compose
    file where one of its files cannot be in a release, and OSError.
    """
    text = file.read_text("utf-8")
    compose = load(text)
    if compose_check.misshapen(compose):
        return text  # which the check of the release says in full
    whole, mistakes = compose_files.carry(compose, file.parent, within)
    if mistakes:
        raise ComposeError(mistakes + check(whole))
    return text if whole == compose else plain_yaml.dump(whole)


def check(compose: Any) -> list[str]:
    """Why a Compose file cannot be deployed; empty when it can. See docs/compose.md."""
    return compose_check.check(compose)


def advice(compose: Mapping[str, Any]) -> list[str]:
    """What a Compose file that can be deployed may not mean: warnings, each with its remedy."""
    return compose_advice.advice(compose)


def ports(names: Collection[str]) -> dict[str, int]:
    """A loopback port for each public service, the same in every release of that service."""
    taken: dict[str, int] = {}
    for name in sorted(names):
        port = zlib.crc32(name.encode()) % PORTS
        while FIRST_PORT + port in taken.values():
            port = (port + 1) % PORTS
        taken[name] = FIRST_PORT + port
    return taken


def render(release: Release, public: Public, variables: Variables) -> dict[str, Any]:
    """The bundle `Deployment` hands over. Raises ComposeError naming every mistake.

    Keys: id (hash of the rest), version, revision, url, hostname, files (name → text),
    environment, images (service → reference), layers (digest → bytes to send), jobs (in the
    order they run), data (folders under /data), doubled (services of which the next version
    starts beside this one), targets (service, port, path of each health check), and two deadlines.
    """
    url = f"https://{public.hostname}"
    environment = {
        **variables.environment,
        "IMAGES": release.prefix,
        "PUBLIC_URL": url,
        "VERSION": release.version,
    }
    names = {*environment, *variables.secret_names}
    mistakes = check(release.compose) or _variable_mistakes(release.compose, names)
    if mistakes:
        raise ComposeError(mistakes)
    services = rules.services_of(release.compose)
    public_ports = ports([n for n, s in services.items() if rules.HTTP in rules.labels_of(s)])
    jobs = _jobs(services)
    rendered = {
        "services": {
            name: _service(
                service,
                release.images[name],
                sorted(names),
                jobs,
                services.keys(),
                public_ports.get(name),
            )
            for name, service in services.items()
        },
        **{
            kind: _shared(kind, release.compose[kind])
            for kind in ("networks", "configs", "secrets")
            if release.compose.get(kind)
        },
    }
    if volumes := _volumes(release.compose):
        rendered["volumes"] = volumes
    doubled = rules.doubled(release.compose)
    routes, targets = _routes(services, public_ports, doubled)
    site = Site(
        address=url,
        acme_server=public.acme_server,
        has_acme_root=bool(public.acme_root),
        acme_email=public.acme_email,
        auth_user=public.auth_user,
        noindex=public.noindex,
        hsts=public.hsts,
    )
    files = {
        # JSON is YAML, and the agent can read it to check it without a library.
        "compose.yaml": json.dumps(rendered, sort_keys=True, indent=2, ensure_ascii=False),
        "Caddyfile": caddyfile.render(site, routes),
        **({"acme-root.pem": public.acme_root} if public.acme_root else {}),
    }
    bundle: dict[str, Any] = {
        "version": release.version,
        "revision": release.revision,
        "url": url,
        "hostname": public.hostname,
        "files": files,
        "environment": environment,
        "images": {name: release.images[name] for name in sorted(services)},
        "layers": dict(sorted(release.layers.items())),
        "jobs": jobs,
        "data": rules.data_volumes(release.compose),
        "doubled": doubled,
        "targets": targets,
        "health_seconds": HEALTH_SECONDS,
        "start_seconds": START_SECONDS,
    }
    text = json.dumps(bundle, sort_keys=True)
    return {"id": hashlib.sha256(text.encode()).hexdigest()[:12], **bundle}


def _variable_mistakes(compose: Mapping[str, Any], names: Collection[str]) -> list[str]:
    mistakes = [
        f"{name}: would steer Docker or the shell; rename the variable in the settings"
        for name in sorted(names)
        if rules.RESERVED.fullmatch(name)
    ]
    used = {
        (name, where)
        for part in ("services", "configs", "secrets")
        for name, where in rules.required_variables(_server_part(compose, part), part)
        if name not in names
    }
    return mistakes + [
        f"{where}: the variable {name} has no value; give it as environment.{name} or "
        f"secrets.{name} in the settings, or a default as ${{{name}:-…}}"
        for name, where in sorted(used)
    ]


def _server_part(compose: Mapping[str, Any], part: str) -> Any:
    if part != "services":
        return compose.get(part)
    return {
        name: {key: value for key, value in service.items() if key in _KEPT}
        for name, service in rules.services_of(compose).items()
    }


def _jobs(services: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Jobs so that each comes after those it depends on."""
    ordered: list[str] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name in seen:  # a circle: Compose itself refuses it
            return
        seen.add(name)
        for other in sorted(rules.depends_on(services[name])):
            if rules.is_job(services.get(other) or {}):
                visit(other)
        ordered.append(name)

    for name in sorted(name for name, service in services.items() if rules.is_job(service)):
        visit(name)
    return ordered


def _service(
    service: Mapping[str, Any],
    image: str,
    names: list[str],
    jobs: list[str],
    running: Collection[str],
    port: int | None,
) -> dict[str, Any]:
    kept = {key: value for key, value in service.items() if key in _KEPT}
    waits = {n: o for n, o in rules.depends_on(service).items() if n in running and n not in jobs}
    # Jobs run before services are replaced, so no service waits for one here.
    if waits:
        kept["depends_on"] = waits
    kept["image"] = image
    is_job = rules.is_job(service)
    kept["restart"] = "no" if is_job else "unless-stopped"
    if (kept.get("deploy") or {}).get("restart_policy"):
        # Compose would take this one's word.
        kept["deploy"] = {k: v for k, v in kept["deploy"].items() if k != "restart_policy"}
    if is_job:
        kept["profiles"] = ["job"]
    if port is not None:
        kept["ports"] = [f"127.0.0.1:{port}:{rules.labels_of(service)[rules.HTTP]}"]
    if rules.env_files(service):
        kept["environment"] = _with_all(kept.get("environment"), names)
    for kind in ("configs", "secrets"):
        if isinstance(kept.get(kind), list):
            kept[kind] = [_with_number(each) for each in kept[kind]]
    kept.setdefault(
        "logging", {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}
    )
    return kept


def _with_number(entry: Any) -> Any:
    """A file's mode as a number: Debian's Compose takes "0440" for a decimal one."""
    if isinstance(entry, Mapping) and isinstance(mode := entry.get("mode"), str):
        return {**entry, "mode": int(mode, 8)}
    return entry


def _with_all(environment: Any, names: list[str]) -> dict[str, Any]:
    """`env_file: .env` as Compose means it: every variable, explicit ones winning."""
    if isinstance(environment, list):
        pairs = [str(entry).partition("=") for entry in environment]
        environment = {key: value if sign else None for key, sign, value in pairs}
    return {**dict.fromkeys(names), **(environment or {})}


def _shared(kind: str, parts: Mapping[str, Any]) -> dict[str, Any]:
    allowed = compose_check.SHARED_KEYS[kind]
    return {
        name: {key: value for key, value in (part or {}).items() if key in allowed}
        for name, part in parts.items()
    }


def _volumes(compose: Mapping[str, Any]) -> dict[str, Any]:
    """Data volumes become folders under /data; Docker refuses to start without the folder,
    so an application never begins anew on an empty one because the volume is missing."""
    rendered = _shared("volumes", compose.get("volumes") or {})
    for name in rules.data_volumes(compose):
        rendered[name] |= {
            "driver": "local",
            "driver_opts": {"type": "none", "o": "bind", "device": f"{DATA_FOLDER}/{name}"},
        }
    return rendered


def _routes(
    services: Mapping[str, Mapping[str, Any]],
    public_ports: Mapping[str, int],
    doubled: Collection[str],
) -> tuple[list[Route], list[dict[str, Any]]]:
    routes: list[Route] = []
    targets: list[dict[str, Any]] = []
    claimed: set[str] = set()
    for name, port in sorted(public_ports.items()):
        labels = rules.labels_of(services[name])
        green = port - GREEN_BELOW if name in doubled else None
        routes.append(Route(labels.get(rules.PATH, "/"), port, green))
        health = labels.get(rules.HEALTH)
        if health:
            targets.append({"service": name, "port": port, "path": health})
            path = health.partition("?")[0]
            # Open without a password, for monitors and for the agent; one service a path.
            if path not in claimed and path != "/":
                claimed.add(path)
                routes.append(Route(path, port, green, is_health=True))
    return routes, targets
