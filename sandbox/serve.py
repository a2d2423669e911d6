"""The sandbox's one process: the cloud's API, metadata, DNS, and a watch over the servers.

Run by `sandbox.lifecycle` as `python -m sandbox.serve --dir .sandbox`.
"""

import argparse
import logging
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import uvicorn
from docker.errors import DockerException

from sandbox import credentials
from sandbox.hetzner.app import create_app
from sandbox.hetzner.machines import note_power
from sandbox.hetzner.resources.zones import new_zone
from sandbox.hosts import container as description
from sandbox.hosts import docker_daemon, network
from sandbox.hosts.docker_hosts import DockerHosts
from sandbox.loopback import guarded
from sandbox.services import (
    address_names,
    dns_server,
    hosts_file,
    metadata,
    registry,
    registry_tokens,
    zones,
)
from sandbox.services.authority import Authority
from sandbox.services.registry_github import github_tokens
from sandbox.store import Store

log = logging.getLogger("sandbox.serve")

_NAMES_EVERY = 0.5  # seconds between looks at the zones, for /etc/hosts
_FIREWALLS_EVERY = 10.0


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="Serve a sandbox.")
    parser.add_argument("--dir", type=Path, required=True, help="the sandbox's folder")
    parser.add_argument("--validate", action="store_true", help="check every answer of the API")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    run(arguments.dir.resolve(), validate=arguments.validate)


def run(directory: Path, *, validate: bool = False) -> None:
    """Serve the sandbox in `directory`, which `lifecycle` has prepared."""
    store, github = Store(directory / "cloud.db"), Store(directory / "github.db")
    known = credentials.read(directory)
    seed(store)
    client = docker_daemon.connect()
    if client is None:
        raise SystemExit("there is no Docker daemon to run servers on; run `flow sandbox up`")
    authority = Authority(directory / "ca")
    hosts = DockerHosts(client, directory, authority.certificate.read_bytes())

    # A server asks for names and metadata as it boots.
    stop_dns = dns_server.start((network.GATEWAY4, network.GATEWAY6), 53, store)
    _in_thread(_metadata_server(store).run)
    _in_thread(_token_server(authority, known["registry"], github).run)
    hosts.resume()
    for server in store.all("server"):
        note_power(store, hosts, server["id"])

    ended = threading.Event()
    _in_thread(lambda: _watch_servers(hosts, store, ended))
    _in_thread(lambda: _repeat(hosts.check, _FIREWALLS_EVERY, ended))
    _in_thread(lambda: _repeat(lambda: _publish_names(store), _NAMES_EVERY, ended))

    app = create_app(
        store,
        hosts,
        known["projects"],
        validate=validate,
        violations_log=directory / "logs" / "violations.log" if validate else None,
    )
    api = uvicorn.Config(
        guarded(app), host="127.0.0.1", port=credentials.API_PORT, log_level="warning",
        access_log=False, timeout_graceful_shutdown=3, date_header=False,
    )  # fmt: skip
    try:
        uvicorn.Server(api).run()
    finally:
        ended.set()
        stop_dns()
        store.close()
        github.close()


def seed(store: Store) -> None:
    """Each project's zone, once: one that somebody deletes stays deleted."""
    known = store.setting("seeded")
    # A sandbox of an older version gets those that have been added since.
    had = known if isinstance(known, list) else [zone["name"] for zone in store.all("zone")]
    with store.transaction():
        for project, zone in credentials.ZONES.items():
            if zone not in had:
                new_zone(store, project, zone)
        store.set_setting("seeded", list(credentials.ZONES.values()))


def _metadata_server(store: Store) -> uvicorn.Server:
    config = uvicorn.Config(
        metadata.create_app(store), host=network.GATEWAY4, port=network.METADATA_PORT,
        log_level="warning", access_log=False,
    )  # fmt: skip
    return uvicorn.Server(config)


def _token_server(authority: Authority, users: Mapping[str, Any], github: Store) -> uvicorn.Server:
    certificate, key = registry_tokens.signing(authority)
    app = registry_tokens.create_app(
        registry_tokens.Accounts(registry_tokens.known_users(users), github_tokens(github)),
        registry_tokens.Issuer(registry.SERVER, certificate, key),
        registry.SERVER,
    )
    config = uvicorn.Config(
        app, host=network.GATEWAY4, port=registry_tokens.PORT,
        ssl_certfile=certificate, ssl_keyfile=key, log_level="warning", access_log=False,
    )  # fmt: skip
    return uvicorn.Server(config)


def _publish_names(store: Store) -> None:
    services = {name: [address] for name, address in zones.SERVICES.items()}
    by_address = address_names.published(store)
    hosts_file.write({**services, **by_address, **zones.address_names(store)})


def _watch_servers(hosts: DockerHosts, store: Store, ended: threading.Event) -> None:
    """Tell `hosts` of containers that end by themselves, through daemon restarts too."""
    filters = {"type": "container", "event": "die", "label": description.LABEL}
    with ThreadPoolExecutor(8) as pool:
        while not ended.is_set():
            try:
                for event in docker.from_env().events(decode=True, filters=filters):
                    attributes = event["Actor"]["Attributes"]
                    number, code = attributes[description.LABEL], attributes.get("exitCode", "0")
                    pool.submit(_tell, hosts, store, int(number), int(code))
            except DockerException as error:
                log.warning("docker's events ended: %s", error)
            ended.wait(1.0)


def _tell(hosts: DockerHosts, store: Store, server_id: int, exit_code: int) -> None:
    try:
        hosts.server_ended(server_id, exit_code)
        note_power(store, hosts, server_id)
    except Exception:
        log.exception("server %s ended and was not started again", server_id)


def _repeat(work: Callable[[], None], seconds: float, ended: threading.Event) -> None:
    while not ended.wait(seconds):
        try:
            work()
        except Exception:
            log.exception("what is done every %s s failed", seconds)


def _in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    main()
