"""Which Compose files may be deployed, and why the rest may not. Pure.

`docs/compose.md` is the same in words; a test holds the two together.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from components.compose import (
    HEALTH,
    HTTP,
    NAME,
    PATH,
    SINGLE,
    data_volumes,
    depends_on,
    env_files,
    is_job,
    labels_of,
    named_volumes,
    services_of,
)

_PATH_MATCHER: Final = re.compile(r"/[A-Za-z0-9._~/-]*\*?")
_URL_PATH: Final = re.compile(r"/[A-Za-z0-9._~/?=&%-]*")
SERVICE_KEYS: Final = frozenset(
    {"annotations", "attach", "cap_add", "cap_drop", "command", "configs", "cpu_count"}
    | {"cpu_percent", "cpu_period", "cpu_quota", "cpu_shares", "cpus", "cpuset", "depends_on"}
    | {"deploy", "dns", "dns_opt", "dns_search", "domainname", "entrypoint", "environment"}
    | {"extra_hosts", "group_add", "healthcheck", "hostname", "image", "init", "labels", "links"}
    | {"logging", "mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit", "networks"}
    | {"oom_kill_disable", "oom_score_adj", "pids_limit", "platform", "ports", "profiles"}
    | {"read_only", "restart", "scale", "secrets", "security_opt", "shm_size", "stdin_open"}
    | {"stop_grace_period", "stop_signal", "storage_opt", "sysctls", "tmpfs", "tty", "ulimits"}
    | {"user", "volumes", "working_dir"}
)
"""What a service on a server may say; the agent there refuses everything else, too."""
SHARED_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "networks": frozenset({"attachable", "driver", "enable_ipv6", "internal", "labels"}),
    "volumes": frozenset({"driver", "labels"}),
    "configs": frozenset({"content", "environment", "labels"}),
    "secrets": frozenset({"environment", "labels"}),
}
LOCAL_KEYS: Final = frozenset({"build", "develop", "env_file", "expose", "pull_policy"})
"""Left out, or rewritten, when a release is made."""
CAPABILITIES: Final = frozenset(
    {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "IPC_LOCK", "KILL"}
    | {"NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_NICE"}
)
SECURITY_OPTIONS: Final = frozenset({"no-new-privileges", "no-new-privileges:true"})


def check(compose: Any) -> list[str]:
    """Why a Compose file cannot be deployed: one sentence a mistake, each with its remedy."""
    if wrong := misshapen(compose):
        return wrong
    mistakes = [
        f"{key}: is not supported; write what it brings in into this file"
        for key in ("include",)
        if key in compose
    ]
    services = services_of(compose)
    for name, service in services.items():
        mistakes += [f"services.{name}{problem}" for problem in _service_mistakes(name, service)]
        mistakes += _dependency_mistakes(name, service, services)
    mistakes += _route_mistakes(services)
    mistakes += _single_mistakes(services, data_volumes(compose))
    mistakes += _volume_mistakes(compose)
    for kind in ("networks", "volumes", "configs", "secrets"):
        mistakes += _shared_mistakes(kind, compose.get(kind) or {})
    return mistakes


def misshapen(compose: Any) -> list[str]:
    """What is no Compose file at all; without any, the rest may rely on the shapes."""
    return list(_shape_mistakes(compose))


_SHAPES: Final[tuple[tuple[str, tuple[type, ...], str], ...]] = (
    ("labels", (Mapping, list), "a mapping or a list"),
    ("depends_on", (Mapping, list), "a mapping or a list"),
    ("environment", (Mapping, list), "a mapping or a list"),
    ("volumes", (list,), "a list"),
    ("cap_add", (list,), "a list"),
    ("configs", (list,), "a list"),
    ("secrets", (list,), "a list"),
    ("security_opt", (list,), "a list"),
    ("deploy", (Mapping,), "a mapping"),
)


def _shape_mistakes(compose: Any) -> Iterator[str]:
    if not isinstance(compose, Mapping) or not isinstance(compose.get("services"), Mapping):
        yield "services: there are none; give a Compose file with a `services:` mapping"
        return
    for name, service in compose["services"].items():
        if not isinstance(service, Mapping):
            yield f"services.{name}: is not a mapping"
            continue
        for key, types, words in _SHAPES:
            if service.get(key) is not None and not isinstance(service[key], types):
                yield f"services.{name}.{key}: is not {words}"
        if isinstance(service.get("depends_on"), Mapping) and not all(
            isinstance(options, Mapping | None) for options in service["depends_on"].values()
        ):
            yield f"services.{name}.depends_on: has an entry that is not a mapping"
    for kind in ("networks", "volumes", "configs", "secrets"):
        parts = compose.get(kind)
        if parts is not None and not isinstance(parts, Mapping):
            yield f"{kind}: is not a mapping"
            continue
        for name, part in (parts or {}).items():
            if not isinstance(part, Mapping | None):
                yield f"{kind}.{name}: is not a mapping"
            elif not isinstance((part or {}).get("labels"), Mapping | list | None):
                yield f"{kind}.{name}.labels: is not a mapping or a list"


_REFUSED: Final[Mapping[str, str]] = {
    "privileged": "gives the container the server; remove it",
    "network_mode": "leaves the application's network; services reach each other by name",
    "pid": "shows the processes of others; remove it",
    "ipc": "shares memory with others; remove it",
    "uts": "shares the server's host name; remove it",
    "cgroup": "shows the server's control groups; remove it",
    "cgroup_parent": "leaves the application's control group; remove it",
    "userns_mode": "leaves the user namespace; remove it",
    "devices": "reaches the server's devices; remove it",
    "device_cgroup_rules": "reaches the server's devices; remove it",
    "volumes_from": "is not supported; name the volumes in each service",
    "container_name": "keeps a second copy from starting; remove it, and reach the service by its "
    "own name",
    "extends": "is not supported; use YAML anchors (`<<: *base`), or write the service out",
    "runtime": "is not installed on servers; remove it",
}


def _service_mistakes(name: str, service: Mapping[str, Any]) -> Iterator[str]:
    if not NAME.fullmatch(str(name)):
        yield ": the name is not lower-case letters, digits, - and _ (40 at most); rename it"
    for key, value in service.items():
        if not value or key in SERVICE_KEYS | LOCAL_KEYS or str(key).startswith("x-"):
            continue
        if key == "container_name" and value == name:
            continue  # left out: it is reached by that name all the same
        yield f".{key}: {_REFUSED.get(key, 'is not supported on servers; remove it')}"
    if not isinstance(service.get("image"), str):
        yield (
            ".image: is missing; servers build nothing, so name the image your build pushes, as "
            f"${{IMAGES}}/{name}:${{VERSION}}"
        )
    yield from _option_mistakes(service)
    yield from _file_mistakes(service)


def _option_mistakes(service: Mapping[str, Any]) -> Iterator[str]:
    for capability in service.get("cap_add") or []:
        if str(capability).upper().removeprefix("CAP_") not in CAPABILITIES:
            yield f".cap_add: {capability} reaches beyond the container; remove it"
    for option in service.get("security_opt") or []:
        if option not in SECURITY_OPTIONS:
            yield f".security_opt: {option} is not no-new-privileges; remove it"
    for entry in service.get("volumes") or []:
        if problem := _mount_mistake(entry):
            yield f".volumes: {problem}"
    for path in env_files(service):
        if path != ".env":
            yield (
                f".env_file: {path} stays on your machine; give its variables as `environment` "
                "and `secrets` in the settings and use .env (or write `required: false` beside "
                "its path: such a file is for local work only)"
            )


def _file_mistakes(service: Mapping[str, Any]) -> Iterator[str]:
    """Configs and secrets are written into a container before it starts."""
    for key in ("configs", "secrets"):
        entries = service.get(key) or []
        if entries and service.get("read_only") is True:
            yield (
                f".{key}: cannot be written into a container that is read_only; remove read_only, "
                "or give them as `environment` or in the image"
            )
        for entry in entries:
            mode = entry.get("mode") if isinstance(entry, Mapping) else None
            if isinstance(mode, str) and not re.fullmatch(r"0?[0-7]{3}", mode):
                yield f".{key}: mode {mode!r} is not one like 0440"


def _mount_mistake(entry: Any) -> str | None:
    kind, source = "", ""
    if isinstance(entry, str) and "$" in entry:
        return f"{entry} holds a variable, which could make it a path of the server; write it out"
    if isinstance(entry, Mapping):
        kind, source = str(entry.get("type", "volume")), str(entry.get("source") or "")
    elif ":" in str(entry):
        source = str(entry).split(":", 1)[0]
    if kind == "tmpfs" or (not source and kind != "bind"):
        return None
    if "docker.sock" in source:
        return (
            f"{source} is the key to the whole server; remove it (what routes requests by it, as "
            f"Traefik, is not needed: Caddy answers, and asks what has the label {HTTP})"
        )
    if kind == "bind" or source.startswith(("/", ".", "~", "$")):
        return (
            f"{source} is a path of the server; use a named volume, or put the files into the "
            "image (for local work only, mount it in compose.override.yaml; a single text file "
            "of the application may be mounted with `:ro`)"
        )
    return None


def _dependency_mistakes(
    name: str, service: Mapping[str, Any], services: Mapping[str, Any]
) -> Iterator[str]:
    for other, how in depends_on(service).items():
        if other not in services and how.get("required") is False:
            continue  # left out, as Compose does with one behind a profile
        if other not in services:
            yield (
                f"services.{name}.depends_on: {other} does not run on servers (it is missing or "
                "behind a profile); remove the dependency or the profile, or write `required: "
                "false` beside its condition"
            )
        elif is_job(service) and not is_job(services[other]):
            for further in depends_on(services[other]):
                if is_job(services.get(further) or {}):
                    yield (
                        f"services.{name}.depends_on: the job waits for {other}, which waits for "
                        f"the job {further}; let jobs depend on jobs and on data services only"
                    )


def _route_mistakes(services: Mapping[str, Any]) -> Iterator[str]:
    taken: dict[str, str] = {}
    for name, service in services.items():
        labels = labels_of(service)
        where = f"services.{name}.labels"
        if HTTP not in labels:
            for label in (PATH, HEALTH):
                if label in labels:
                    yield f"{where}: {label} has no meaning without {HTTP}; add that"
            continue
        port = labels[HTTP]
        if not port.isdigit() or not 1 <= int(port) <= 65535:
            yield f"{where}: {HTTP} {port!r} is not a port; give the one the container listens on"
        if is_job(service):
            yield f"{where}: a job ends, so it cannot serve {HTTP}; remove one of the two"
        path = labels.get(PATH, "/")
        if not _PATH_MATCHER.fullmatch(path):
            yield f"{where}: {PATH} {path!r} is not a path like /api/*"
        if not _URL_PATH.fullmatch(labels.get(HEALTH, "/")):
            yield f"{where}: {HEALTH} {labels[HEALTH]!r} is not a path like /healthz"
        if path in taken:
            yield f"{where}: {PATH} {path} is taken by service {taken[path]}; give another"
        taken.setdefault(path, name)
        replicas = (service.get("deploy") or {}).get("replicas") or service.get("scale") or 1
        if str(replicas) != "1":
            yield f"services.{name}.deploy.replicas: {HTTP} takes one container; set it to 1"
    if not taken:
        yield (
            f"services: none is public; give the one that serves HTTP the label {HTTP} with its "
            "port"
        )


def _single_mistakes(services: Mapping[str, Any], data: list[str]) -> Iterator[str]:
    for name, service in services.items():
        said = labels_of(service).get(SINGLE)
        where = f"services.{name}.labels: {SINGLE}"
        if said not in (None, "true", "false"):
            yield f"{where} {said!r} is neither true nor false; write one of the two"
        elif said is not None and is_job(service):
            yield f"{where} has no meaning for a job, which ends; remove it"
        elif said == "false":
            kept = [volume for volume in named_volumes(service) if volume in data]
            if kept:
                yield (
                    f"{where} would have two copies write to {kept[0]} at once; remove the label, "
                    "or mount the volume in one service that runs once"
                )


def _volume_mistakes(compose: Mapping[str, Any]) -> Iterator[str]:
    for name, volume in (compose.get("volumes") or {}).items():
        if not NAME.fullmatch(str(name)):
            yield f"volumes.{name}: is not lower-case letters, digits, - and _; rename it"
        if (volume or {}).get("driver_opts") or (volume or {}).get("driver", "local") != "local":
            yield f"volumes.{name}: drivers reach outside the container; remove driver and options"


def _shared_mistakes(kind: str, parts: Mapping[str, Any]) -> Iterator[str]:
    remedies = {
        "external": "exists on no server; let this file make it",
        "name": "may clash with what the server has; remove it",
        "file": "stays on your machine; use `environment:` with a variable of the settings, or "
        "`content:`",
    }
    if kind == "secrets":
        remedies["file"] = (
            "stays on your machine; give its content as a secret of the settings, and here "
            "`environment:` with that secret's name"
        )
        remedies["content"] = (
            "is none of a secret's; give it as a secret of the settings, and here `environment:` "
            "with that secret's name"
        )
    for name, part in parts.items():
        for key, value in (part or {}).items():
            if value and key not in SHARED_KEYS[kind] and key != "driver_opts":
                yield f"{kind}.{name}.{key}: {remedies.get(key, 'is not supported; remove it')}"
        if kind == "networks" and (part or {}).get("driver", "bridge") != "bridge":
            yield f"networks.{name}.driver: {part['driver']} leaves the server's bridge; remove it"
