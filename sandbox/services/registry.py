"""The image registry: Debian's docker-registry in a container beside the servers.

It knows no users: who has no token is sent to the service that signs them
(`registry_tokens`), as ghcr.io does, and a token says what its bearer may do.
"""

import contextlib
import hashlib
import json
import secrets
import ssl
import time
from pathlib import Path
from typing import Any

import docker
import httpx
import yaml
from docker.errors import APIError, NotFound

from sandbox.hosts import container as description
from sandbox.hosts import images, network
from sandbox.services import registry_tokens
from sandbox.services.authority import Authority

SERVER = "registry.sandbox.test"
CONTAINER = "flow-registry"
VOLUME = "deployment-flow-registry"
_LABEL = "deployment-flow.registry"
_DEADLINE = 20.0  # seconds until it answers
_DOCKER_TRUST = Path("/etc/docker/certs.d") / SERVER / "ca.crt"


class RegistryError(RuntimeError):
    """The registry does not answer."""


def ensure(client: docker.DockerClient, authority: Authority) -> None:
    """Run the registry and have this machine's Docker trust it."""
    pem = authority.certificate.read_bytes()
    if not _DOCKER_TRUST.exists() or _DOCKER_TRUST.read_bytes() != pem:
        _DOCKER_TRUST.parent.mkdir(parents=True, exist_ok=True)
        _DOCKER_TRUST.write_bytes(pem)
    try:
        found = client.containers.get(CONTAINER)
    except NotFound:
        found = None
    # Made for another authority (a sandbox's folder was removed by hand), or by an older version.
    believed = registry_tokens.signing(authority)[0].read_bytes()
    made_of = pem + believed + json.dumps(_settings()).encode()
    inputs = hashlib.sha256(made_of).hexdigest()[:16]
    if found is not None and found.labels.get(_LABEL) != inputs:
        found.remove(force=True)
        found = None
    if found is not None and found.attrs["Image"] != client.images.get(images.FULL).id:
        found.remove(force=True)
        found = None
    if found is None:
        description.make(client, CONTAINER, _config(inputs))
        client.api.put_archive(CONTAINER, "/", _files(authority))
        found = client.containers.get(CONTAINER)
    if found.status != "running":
        try:
            found.start()
        except APIError as error:
            raise RegistryError(f"the registry did not start: {error}") from error


def wait(authority: Authority) -> None:
    """Until the registry answers. Raises `RegistryError`."""
    give_up = time.monotonic() + _DEADLINE
    while time.monotonic() < give_up:
        if answers(authority):
            return
        time.sleep(0.1)
    raise RegistryError(
        f"the registry did not answer within {_DEADLINE:.0f} s. "
        f"What it says: docker logs {CONTAINER}"
    )


def answers(authority: Authority) -> bool:
    """Whether the registry asks for a token, as it should.

    One that an older version made asks for a password, and is none.
    """
    if not network.exists():
        return False
    try:
        reply = httpx.get(
            f"https://{network.REGISTRY4}/v2/",
            verify=ssl.create_default_context(cafile=str(authority.certificate)),
            timeout=2.0,
            trust_env=False,
        )
    except httpx.HTTPError:
        return False
    challenge = reply.headers.get("www-authenticate", "")
    return reply.status_code == 401 and f'realm="{registry_tokens.REALM}"' in challenge


def stop(client: docker.DockerClient) -> None:
    """Stop it; its images stay."""
    with contextlib.suppress(NotFound):
        client.containers.get(CONTAINER).stop(timeout=3)


def remove(client: docker.DockerClient) -> None:
    """Forget the registry and every image in it."""
    with contextlib.suppress(NotFound):
        client.containers.get(CONTAINER).remove(force=True, v=True)
    with contextlib.suppress(NotFound):
        client.volumes.get(VOLUME).remove(force=True)
    _DOCKER_TRUST.unlink(missing_ok=True)


def _config(inputs: str) -> dict[str, object]:
    address = {"IPAMConfig": {"IPv4Address": network.REGISTRY4}}
    return {
        "Image": images.FULL,
        "Hostname": "registry",
        "Entrypoint": ["/usr/bin/docker-registry"],
        "Cmd": ["serve", "/etc/registry/config.yml"],
        "StopSignal": "SIGTERM",
        "Labels": {_LABEL: inputs},
        "HostConfig": {
            "NetworkMode": network.NETWORK,
            "Binds": [f"{VOLUME}:/var/lib/registry"],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
        },
        "NetworkingConfig": {"EndpointsConfig": {network.NETWORK: address}},
    }


def _settings() -> dict[str, Any]:
    return {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {
            "filesystem": {"rootdirectory": "/var/lib/registry"},
            "delete": {"enabled": True},
        },
        "auth": {
            "token": {
                "realm": registry_tokens.REALM,
                "service": SERVER,
                "issuer": registry_tokens.NAME,
                # The one certificate, not the authority: no other service's key signs tokens.
                "rootcertbundle": "/etc/registry/tokens.pem",
            }
        },
        "http": {
            "addr": ":443",
            "host": f"https://{SERVER}",
            "tls": {
                "certificate": "/etc/registry/certificate.pem",
                "key": "/etc/registry/key.pem",
            },
        },
    }


def _files(authority: Authority) -> bytes:
    certificate, key = authority.issue(SERVER, (network.REGISTRY4,))
    settings = _settings()
    settings["http"]["secret"] = secrets.token_hex(16)
    return description.archive(
        {
            "etc/registry/config.yml": yaml.safe_dump(settings).encode(),
            "etc/registry/tokens.pem": registry_tokens.signing(authority)[0].read_bytes(),
            "etc/registry/certificate.pem": certificate.read_bytes(),
            "etc/registry/key.pem": key.read_bytes(),
        }
    )
