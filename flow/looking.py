"""Looks at a deployed stage as a person's browser would: by name, over HTTPS."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from flow.errors import FlowError

# Long enough for a certificate to be issued after the release is up.
PATIENCE_SECONDS = 90.0


@dataclass(frozen=True)
class Sight:
    """What a stage answered. `tls` is like "TLSv1.3", `redirect` where plain HTTP led."""

    url: str
    version: str
    tls: str
    redirect: str
    robots: str


def look(
    url: str,
    version: str,
    trust: Path,
    *,
    password: str = "",
    text: str = "",
    patience: float = PATIENCE_SECONDS,
) -> Sight:
    """Check that `url` serves `version` of the example; raises FlowError where it does not.

    Certificate and name are verified against `trust` alone. The page must carry the
    version and the `text`, the API must name the same version, and the database must answer
    with tasks. With a `password` the page must refuse whoever has none.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return _look(url, version, trust, password, text)
        except (httpx.TransportError, FlowError) as error:
            if time.monotonic() > deadline:
                raise FlowError(
                    f"{url} does not serve version {version}: {error}",
                    'look at it: eval "$(.venv/bin/flow sandbox env)" && pulumi stack output ssh',
                ) from error
            time.sleep(1)


def _look(url: str, version: str, trust: Path, password: str, text: str) -> Sight:
    context = ssl.create_default_context(cafile=str(trust))
    host = urlsplit(url).hostname or ""
    with httpx.Client(
        verify=context, timeout=10, follow_redirects=False, trust_env=False
    ) as client:
        plain = client.get(f"http://{host}/")
        redirect = plain.headers.get("location", "")
        _check(plain.is_redirect and redirect.startswith("https://"), "HTTP is not led to HTTPS")
        if password:
            refused = client.get(url)
            _check(
                refused.status_code == 401, f"without a password: {refused.status_code}, not 401"
            )
        auth = httpx.BasicAuth("demo", password) if password else None
        page = client.get(url, auth=auth)
        _check(page.status_code == 200, f"the page answers {page.status_code}")
        _check(version in page.text, f"the page does not say version {version}")
        _check(text in page.text, f"the page does not say {text!r}")
        named = client.get(f"{url.rstrip('/')}/api/version", auth=auth)
        _check(named.status_code == 200, f"/api/version answers {named.status_code}")
        running = str(named.json()["version"])
        _check(running == version, f"the API runs version {running}")
        tasks = client.get(f"{url.rstrip('/')}/api/tasks", auth=auth)
        _check(tasks.status_code == 200 and len(tasks.json()) > 0, "the database gives no tasks")
        stream = page.extensions.get("network_stream")
        tls = stream.get_extra_info("ssl_object") if stream else None
        return Sight(
            url=url,
            version=running,
            tls=str(tls.version()) if tls else "",
            redirect=redirect,
            robots=page.headers.get("x-robots-tag", ""),
        )


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise FlowError(otherwise)
