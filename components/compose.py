"""Reading Compose files: labels of ours, both spellings of Compose's, variables. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

HTTP: Final = "deployment-flow.http"
PATH: Final = "deployment-flow.path"
HEALTH: Final = "deployment-flow.health"
JOB: Final = "deployment-flow.job"
DATA: Final = "deployment-flow.data"
DUMP: Final = "deployment-flow.dump"
SINGLE: Final = "deployment-flow.single"
RESTORE: Final = "deployment-flow.restore"
ROWS: Final = "deployment-flow.rows"
SCRUB: Final = "deployment-flow.scrub"

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_VARIABLE: Final = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<plain>[A-Za-z_]\w*)"
    r"|\{(?P<name>[A-Za-z_]\w*)(?:(?P<sign>:?[-?+])(?P<word>[^{}]*(?:\$\{[^{}]*\}[^{}]*)*))?\})"
)
RESERVED: Final = re.compile(r"(DOCKER|COMPOSE|BUILDKIT|LD)_.*|PATH|HOME|BASH_ENV|ENV")
"""Variables that would steer Docker or the shell instead of the application."""


def labels_of(part: Mapping[str, Any]) -> dict[str, str]:
    """Labels of a service or a volume, from either of Compose's two spellings."""
    given = part.get("labels") or {}
    if isinstance(given, list):
        given = dict(str(entry).partition("=")[::2] for entry in given)
    return {str(key): _text(value) for key, value in given.items()}


def is_job(service: Mapping[str, Any]) -> bool:
    """Whether a service is a one-shot job, run before the others are replaced."""
    return labels_of(service).get(JOB) == "true"


def runs_twice(service: Mapping[str, Any]) -> bool:
    """Whether the old and the new version of a service may run side by side for a while.

    As its label says; without one, what is of the application's own version and keeps nothing
    in a named volume.
    """
    said = labels_of(service).get(SINGLE)
    if said is not None or is_job(service):
        return said == "false"
    own = any(found["name"] == "VERSION" or found["plain"] == "VERSION"
              for found in _VARIABLE.finditer(str(service.get("image"))))  # fmt: skip
    return own and not named_volumes(service)


def doubled(compose: Mapping[str, Any]) -> list[str]:
    """Services of which two may run at once, sorted.

    A public one that keeps nothing and waits for such a service is among them, whosever image it
    has: it may hand requests on, web servers look up an address once, and that service's next
    version has another.
    """
    services = services_of(compose)
    found = {name for name, service in services.items() if runs_twice(service)}
    proxies = {
        name
        for name, service in services.items()
        if HTTP in (labels := labels_of(service))
        and SINGLE not in labels
        and not is_job(service)
        and not named_volumes(service)
        and depends_on(service).keys() & found
    }
    return sorted(found | proxies)


def named_in_configs(compose: Mapping[str, Any], service: Mapping[str, Any]) -> set[str]:
    """Services whose address a service's configs name, as a web server's does."""
    found: set[str] = set()
    for entry in service.get("configs") or []:
        source = entry.get("source") if isinstance(entry, Mapping) else entry
        config = (compose.get("configs") or {}).get(source) or {}
        content = str(config.get("content") or "")
        found |= {name for name in services_of(compose) if _is_host_in(content, re.escape(name))}
    return found


def _is_host_in(text: str, name: str) -> bool:
    return bool(re.search(rf"(?<![\w.-]){name}:\d|//{name}(?![\w.-])", text))


def named_volumes(service: Mapping[str, Any]) -> list[str]:
    """Named volumes that a service mounts."""
    found = []
    for entry in service.get("volumes") or []:
        if isinstance(entry, Mapping):
            if entry.get("type", "volume") == "volume" and entry.get("source"):
                found.append(str(entry["source"]))
        elif ":" in str(entry):
            found.append(str(entry).split(":", 1)[0])
    return found


def services_of(compose: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Services that run on a server: those behind a profile are for local use only."""
    services = compose.get("services") or {}
    return {name: service for name, service in services.items() if not service.get("profiles")}


def depends_on(service: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`depends_on` in its long form."""
    given = service.get("depends_on") or {}
    if isinstance(given, list):
        return {str(name): {"condition": "service_started"} for name in given}
    return {name: dict(options or {}) for name, options in given.items()}


def env_files(service: Mapping[str, Any]) -> list[str]:
    """Paths of `env_file`, but of files that need not be there: those are for local use."""
    given = service.get("env_file") or []
    entries = given if isinstance(given, list) else [given]
    found = []
    for entry in entries:
        is_long = isinstance(entry, Mapping)
        path = str(entry.get("path") if is_long else entry).removeprefix("./")
        if path == ".env" or not (is_long and entry.get("required") is False):
            found.append(path)
    return found


def data_volumes(compose: Mapping[str, Any]) -> list[str]:
    """Named volumes that live on the data volume, sorted."""
    volumes = compose.get("volumes") or {}
    return sorted(
        name for name, volume in volumes.items() if labels_of(volume or {}).get(DATA) == "true"
    )


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$X`, `${X}`, `${X:-word}` and `${X-word}` as Compose does.

    Raises ValueError for a variable without a value and for `${X:?message}`.
    """

    def replace(found: re.Match[str]) -> str:
        if found["escaped"]:
            return "$"
        name, sign = found["plain"] or found["name"], found["sign"] or ""
        word = interpolate(found["word"], variables) if found["word"] else ""
        value = variables.get(name)
        has_value = value is not None and not (sign.startswith(":") and value == "")
        if sign.endswith("+"):
            return word if has_value else ""
        if has_value:
            return value or ""
        if sign.endswith("-"):
            return word
        raise ValueError(f"${{{name}}} has no value{f': {word}' if word else ''}")

    return _VARIABLE.sub(replace, text)


def required_variables(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Every variable a Compose file needs a value for: pairs of (name, where it is used)."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from required_variables(part, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for part in value:
            yield from required_variables(part, where)
    elif isinstance(value, str):
        for found in _VARIABLE.finditer(value):
            if found["escaped"]:
                continue
            if not (found["sign"] or "").endswith(("-", "+")):
                yield found["plain"] or found["name"], where


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
