"""What a release may ask of Docker, so that the deploy key is not a way to become root.

The program checks more, and explains it better (docs/compose.md), before a release is
handed over; this is for a release somebody made with a stolen key. Everything not named
here is refused. A test holds the two lists together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

PARTS = frozenset({"services", "networks", "volumes", "configs", "secrets"})
SERVICE_KEYS = frozenset(
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
CAPABILITIES = frozenset(
    {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "IPC_LOCK", "KILL"}
    | {"NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_NICE"}
)
SECURITY_OPTIONS = frozenset({"no-new-privileges", "no-new-privileges:true"})
_SHARED_KEYS = {
    "networks": frozenset({"attachable", "driver", "enable_ipv6", "internal", "labels"}),
    "volumes": frozenset({"driver", "driver_opts", "labels"}),
    "configs": frozenset({"content", "environment", "labels"}),
    "secrets": frozenset({"environment", "labels"}),
}
# By a registry's digest, or by the id of an image that was built on this very server.
_PINNED = re.compile(r"([\w.:/-]+@)?sha256:[0-9a-f]{64}")
_PORT = re.compile(r"127\.0\.0\.1:\d{1,5}:\d{1,5}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


def refusals(compose: Any) -> list[str]:
    """Everything in a Compose file, as parsed, that a release may not ask for."""
    if not isinstance(compose, dict) or not isinstance(compose.get("services"), dict):
        return ["it has no services"]
    found = [f"{key} is not allowed" for key in compose if key not in PARTS]
    for kind, allowed in _SHARED_KEYS.items():
        for name, part in (compose.get(kind) or {}).items():
            found += [f"{kind}.{name}.{key}" for key in part or {} if key not in allowed]
            found += _shared(kind, str(name), part or {})
    volumes = frozenset(compose.get("volumes") or {})
    for name, service in compose["services"].items():
        if not _NAME.fullmatch(str(name)):
            found.append(f"services.{name}")
        found += [f"services.{name}.{key}" for key in service if key not in SERVICE_KEYS]
        found += [f"services.{name}.{problem}" for problem in _service(service, volumes)]
    return found


def _shared(kind: str, name: str, part: Mapping[str, Any]) -> Iterator[str]:
    if part.get("driver") not in (None, "bridge" if kind == "networks" else "local"):
        yield f"{kind}.{name}.driver"
    if kind != "volumes":
        return
    if not _NAME.fullmatch(name):
        yield f"volumes.{name}"
    options = part.get("driver_opts")
    if options not in (None, {"type": "none", "o": "bind", "device": f"/data/{name}"}):
        yield f"volumes.{name}.driver_opts"


def _service(service: Mapping[str, Any], volumes: frozenset[str]) -> Iterator[str]:
    if not _PINNED.fullmatch(str(service.get("image"))):
        yield "image without a digest"
    if not isinstance(service.get("depends_on") or {}, dict):
        yield "depends_on in its short form"
    for option in service.get("security_opt") or []:
        if option not in SECURITY_OPTIONS:
            yield f"security_opt {option}"
    for capability in service.get("cap_add") or []:
        if str(capability).upper().removeprefix("CAP_") not in CAPABILITIES:
            yield f"cap_add {capability}"
    for port in service.get("ports") or []:
        if not _PORT.fullmatch(str(port)):
            yield f"ports {port}"
    for mount in service.get("volumes") or []:
        if not _is_volume(mount, volumes):
            yield f"volumes {mount}"


def _is_volume(mount: Any, volumes: frozenset[str]) -> bool:
    """A named volume of this file, an anonymous one, or memory."""
    if isinstance(mount, str):
        # Compose puts variables in before it looks for colons: `/etc${C}/mnt` can be a path
        # of the server.
        source, colon, _ = mount.partition(":")
        return "$" not in mount and (source in volumes if colon else source.startswith("/"))
    kind, source = mount.get("type", "volume"), mount.get("source")
    return kind == "tmpfs" or (kind == "volume" and (source is None or source in volumes))
