"""What a Compose file says that its author may not mean on a server. Pure.

Nothing of it keeps a release from being deployed: a server does as it is told.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from components.compose import (
    DATA,
    HEALTH,
    HTTP,
    JOB,
    SINGLE,
    depends_on,
    doubled,
    is_job,
    labels_of,
    named_in_configs,
    named_volumes,
    services_of,
)

_DATABASES: Final = re.compile(
    r"(postgres|postgis|pgvector|mysql|mysql-server|mariadb|percona|mongo|couchdb|minio|meilisearch"
    r"|elasticsearch|opensearch|clickhouse-server|influxdb)"
)
_CLOCKS: Final = re.compile(
    r"(?<![a-z])(beat|clock|clockwork|cron|crond|ofelia|scheduler|supercronic|schedule:(run|work))"
    r"(?![a-z])"
)
_MIGRATIONS: Final = re.compile(
    r"\bmanage\.py migrate\b|\bartisan migrate\b|\bdb:(migrate|prepare)\b|\balembic upgrade\b"
    r"|\b(prisma|knex|typeorm|sequelize) (migrate|migration|db:migrate)|\bmigrate(:up| deploy)\b"
)


def advice(compose: Mapping[str, Any]) -> list[str]:
    """Warnings about a Compose file that passed its check, each with what to write."""
    services = services_of(compose)
    twice = doubled(compose)
    found = list(_volumes(compose))
    for name, service in services.items():
        found += [f"services.{name}{said}" for said in _image(service)]
        found += [f"services.{name}{said}" for said in _running(name, service, name in twice)]
        found += [f"services.{name}{said}" for said in _proxy(compose, name, service, twice)]
    return found


def _volumes(compose: Mapping[str, Any]) -> Iterator[str]:
    """Named volumes on the server's own disk, of which nothing was said."""
    told: set[str] = set()
    for service, definition in services_of(compose).items():
        for volume in named_volumes(definition):
            part = (compose.get("volumes") or {}).get(volume) or {}
            if volume not in told and DATA not in labels_of(part):
                told.add(volume)
                yield (
                    f"volumes.{volume}: lives on the server's own disk; what {service} keeps there "
                    f'is lost when the server is made anew. Label it {DATA}: "true", or "false" '
                    "where it may be lost"
                )


def _image(service: Mapping[str, Any]) -> Iterator[str]:
    image = str(service.get("image"))
    last = image.rpartition("/")[2]
    tag = last.partition(":")[2]
    if "$" not in last and "@" not in last and not re.search(r"\d", tag):
        yield (
            f".image: {image} is whatever is newest when a release is made, the next major "
            "version as well; write a version's number as its tag"
        )
    name = last.partition(":")[0]
    if _DATABASES.fullmatch(name) and not is_job(service) and not named_volumes(service):
        yield (
            f".volumes: {name} keeps its data in no named volume; it is lost whenever its "
            f'container is replaced. Mount one, labelled {DATA}: "true"'
        )


def _proxy(
    compose: Mapping[str, Any], name: str, service: Mapping[str, Any], twice: list[str]
) -> Iterator[str]:
    """A web server in front of others asks for their addresses once, when it starts."""
    waits = depends_on(service).keys()
    named = named_in_configs(compose, service)
    if early := sorted((named & {*twice}) - waits - {name}):
        yield (
            f".depends_on: {early[0]} is not in it, and the configs name it: this one may start "
            f"first and keep the address of the version before; add {early[0]}"
        )
        return
    kept = sorted(waits & {*twice})
    is_own = "VERSION" in str(service.get("image"))
    if kept and name not in twice and not is_own and HTTP in labels_of(service):
        yield (
            f": goes on while {kept[0]} is replaced by a new container, and many web servers keep "
            f"asking the old one's address; let it mount no named volume and have no {SINGLE}: "
            f'"true", or label {kept[0]} with that'
        )


def _running(name: str, service: Mapping[str, Any], twice: bool) -> Iterator[str]:
    if is_job(service):
        return
    labels = labels_of(service)
    said = labels.keys() & {SINGLE, HTTP}
    if twice and not said and (found := _CLOCKS.search(f"{name} {_words(service)}".lower())):
        yield (
            f": looks like a scheduler ({found[0]}), and two of it run while a version is "
            f'replaced; label it {SINGLE}: "true", or "false" where that does no harm'
        )
    if found := _MIGRATIONS.search(_words(service)):
        when = "beside the version that still serves" if twice else "after a crash, too"
        yield (
            f": runs `{found[0]}` whenever it starts, {when}; put it into a service of its own, "
            f'labelled {JOB}: "true", which runs once for each release'
        )
    if HTTP in labels and HEALTH not in labels and not _is_checked(service):
        yield (
            ".labels: nothing here tells whether it is well, so a deploy takes it for well as "
            f"soon as it runs; add {HEALTH} with a path that answers below 400"
        )


def _is_checked(service: Mapping[str, Any]) -> bool:
    check = service.get("healthcheck")
    return isinstance(check, Mapping) and bool(check.get("test")) and not check.get("disable")


def _words(service: Mapping[str, Any]) -> str:
    """Entrypoint and command in one line."""
    parts = [service.get("entrypoint"), service.get("command")]
    return " ".join(
        " ".join(map(str, part)) if isinstance(part, list) else str(part) for part in parts if part
    )
