"""Who pushes images: as the environment says, else as Docker is logged in.

Docker's login for a push is from the environment and for one run only.

`docker login` would write the password into the person's own configuration and leave it there.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flow.errors import FlowError
from registry.client import Credentials

_HUB = "https://index.docker.io/v1/"


def pusher() -> Credentials | None:
    """REGISTRY_PUSH_USERNAME and REGISTRY_PUSH_PASSWORD; None without. Raises FlowError for one."""
    username = os.environ.get("REGISTRY_PUSH_USERNAME", "")
    password = os.environ.get("REGISTRY_PUSH_PASSWORD", "")
    if bool(username) != bool(password):
        raise FlowError("REGISTRY_PUSH_USERNAME and REGISTRY_PUSH_PASSWORD go together", "set both")
    return Credentials(username, password) if username else None


def logged_in(registry: str) -> Credentials | None:
    """Who may push there: `pusher`, else whose login Docker's configuration holds in itself.

    None for nobody, and for a login that a credential store keeps. Raises FlowError.
    """
    if own := pusher():
        return own
    host = _HUB if registry == "docker.io" else registry
    login = str(((_config(_folder()).get("auths") or {}).get(host) or {}).get("auth") or "")
    try:
        username, _, password = base64.b64decode(login).decode().partition(":")
    except ValueError:
        return None
    return Credentials(username, password) if password else None


@contextmanager
def signed_in(references: Sequence[str]) -> Iterator[dict[str, str]]:
    """An environment in which `docker push` of `references` is logged in.

    With REGISTRY_PUSH_USERNAME and REGISTRY_PUSH_PASSWORD, as those; else as Docker itself is.
    """
    environment = dict(os.environ)
    environment.pop("REGISTRY_PUSH_USERNAME", "")
    environment.pop("REGISTRY_PUSH_PASSWORD", "")
    credentials = pusher()
    if credentials is None:
        yield environment
        return
    own = _folder()
    config = _config(own)
    pair = f"{credentials.username}:{credentials.password}"
    login = base64.b64encode(pair.encode()).decode()
    # A credential store of the person's would be asked first, and would be written to.
    config = {k: v for k, v in config.items() if k not in ("credsStore", "credHelpers")}
    hosts = {_registry(each) for each in references}
    config["auths"] = {**(config.get("auths") or {}), **{host: {"auth": login} for host in hosts}}
    config.setdefault("cliPluginsExtraDirs", [str(own / "cli-plugins")])
    with tempfile.TemporaryDirectory(prefix="deployment-flow-") as folder:
        made = Path(folder) / "config.json"
        made.touch(mode=0o600)
        made.write_text(json.dumps(config))
        yield {**environment, "DOCKER_CONFIG": folder}


def _folder() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _config(folder: Path) -> dict[str, Any]:
    """Docker's configuration; empty where there is none."""
    file = folder / "config.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found


def _registry(reference: str) -> str:
    first = reference.partition("/")[0]
    is_host = "/" in reference and ("." in first or ":" in first or first == "localhost")
    return first if is_host else _HUB
