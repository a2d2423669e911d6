"""Docker's login for a push, from the environment and for one run only.

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

from flow.errors import FlowError


@contextmanager
def signed_in(references: Sequence[str]) -> Iterator[dict[str, str]]:
    """An environment in which `docker push` of `references` is logged in.

    With REGISTRY_PUSH_USERNAME and REGISTRY_PUSH_PASSWORD, as those; else as Docker itself is.
    """
    environment = dict(os.environ)
    username = environment.pop("REGISTRY_PUSH_USERNAME", "")
    password = environment.pop("REGISTRY_PUSH_PASSWORD", "")
    if bool(username) != bool(password):
        raise FlowError("REGISTRY_PUSH_USERNAME and REGISTRY_PUSH_PASSWORD go together", "set both")
    if not username:
        yield environment
        return
    own = Path(environment.get("DOCKER_CONFIG") or Path.home() / ".docker")
    file = own / "config.json"
    config = json.loads(file.read_text()) if file.exists() else {}
    login = base64.b64encode(f"{username}:{password}".encode()).decode()
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


def _registry(reference: str) -> str:
    first = reference.partition("/")[0]
    is_host = "/" in reference and ("." in first or ":" in first or first == "localhost")
    return first if is_host else "https://index.docker.io/v1/"
