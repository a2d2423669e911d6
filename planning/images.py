"""Images of a release: from a tag or a branch to digests, asked of the registry. No Docker needed.

The system's certificate authorities are trusted, and those in the file that
CURL_CA_BUNDLE, else SSL_CERT_FILE, names as well: a registry of one's own may have one.
"""

import base64
import hashlib
import os
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict

import httpx

from components import compose as rules

VERSION_LABEL: Final = "org.opencontainers.image.version"
REVISION_LABEL: Final = "org.opencontainers.image.revision"
_INDEXES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ACCEPT: Final = ", ".join((*_INDEXES, *_MANIFESTS))
_TIMEOUT: Final = httpx.Timeout(20, connect=10)
_TRIES: Final = 3
_LONGEST_WAIT: Final = 30.0
_DOCKER_HUB: Final = "registry-1.docker.io"
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')
_REFERENCE: Final = re.compile(
    r"(?P<name>[a-z0-9.:_/-]+?)(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.IGNORECASE,
)


class ImageError(Exception):
    """An image that cannot be resolved: what is wrong, where, and what to do next."""


class NoImageError(ImageError):
    """There is no image of that name and tag."""


@dataclass(frozen=True)
class Credentials:
    """Of a registry; its password never shows."""

    username: str
    password: str = field(repr=False)


class Pins(TypedDict):
    """Exactly what is deployed; keep it with the Compose file it was resolved for."""

    version: str
    revision: str
    """Git commit by the images' label; empty when no image says it."""
    images: dict[str, str]
    """Service → `name@sha256:…`."""


@dataclass(frozen=True)
class Reference:
    """An image's name in its parts, as docker understands it."""

    registry: str
    repository: str
    tag: str
    digest: str | None
    name: str
    """As written, without tag and digest."""

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Raises ImageError when `text` is no image name."""
        found = _REFERENCE.fullmatch(text)
        if not found or not found["name"].strip("/"):
            raise ImageError(f"{text!r} is no image name; correct `image:` in the Compose file")
        name = found["name"]
        first, slash, rest = name.partition("/")
        if slash and ("." in first or ":" in first or first == "localhost"):
            registry, repository = first, rest
        else:
            registry, repository = "docker.io", name if slash else f"library/{name}"
        tag = found["tag"] or "latest"
        return cls(registry, repository, tag, found["digest"], name)


def resolve(
    compose: Mapping[str, Any],
    prefix: str,
    *,
    version: str,
    environment: Mapping[str, str] | None = None,
    credentials: Credentials | None = None,
    client: httpx.Client | None = None,
) -> Pins:
    """Pins of every service, with `version` as the tag behind ${VERSION}.

    `version` may be a version's tag or a branch's (`naming.branch_slug`): the true version
    is read from the images' label. `credentials` are used for the registry of `prefix` only.
    Raises ImageError.
    """
    variables = {**(environment or {}), "IMAGES": prefix, "VERSION": version}
    home = Reference.parse(prefix).registry if "/" in prefix else ""
    own: dict[str, tuple[str, str]] = {}
    images: dict[str, str] = {}
    known: dict[str, tuple[str, Mapping[str, str]]] = {}
    with _Opened(client) as http:
        for service, definition in sorted(rules.services_of(compose).items()):
            written = str(definition.get("image"))
            try:
                reference = Reference.parse(rules.interpolate(written, variables))
            except ValueError as error:
                raise ImageError(f"services.{service}.image: {error}") from None
            key = f"{reference.registry}/{reference.repository}:{reference.tag}@{reference.digest}"
            if key not in known:
                given = credentials if reference.registry == home else None
                is_own = "VERSION" in written
                known[key] = _Registry(http, reference, given).look(with_labels=is_own)
            digest, labels = known[key]
            images[service] = f"{reference.name}@{digest}"
            if "VERSION" in written:
                own[service] = (labels.get(VERSION_LABEL, ""), labels.get(REVISION_LABEL, ""))
    return Pins(
        version=_agreed(own, 0, "version") or version,
        revision=_agreed(own, 1, "commit"),
        images=images,
    )


def _agreed(own: Mapping[str, tuple[str, str]], at: int, what: str) -> str:
    """The value all labelled images share; images pushed at different times may not."""
    values = {service: pair[at] for service, pair in own.items() if pair[at]}
    if len(set(values.values())) > 1:
        told = ", ".join(f"{service} {value}" for service, value in sorted(values.items()))
        raise ImageError(
            f"the images are not of one {what} ({told}); a build may still be pushing: run "
            "`pulumi up` again when it has ended, or name a version"
        )
    return next(iter(values.values()), "")


class _Opened:
    """The given client left open, or one of our own that is closed."""

    def __init__(self, client: httpx.Client | None) -> None:
        self._given = client
        self._client = client or httpx.Client(
            verify=trust(), timeout=_TIMEOUT, follow_redirects=True
        )

    def __enter__(self) -> httpx.Client:
        return self._client

    def __exit__(self, *_: object) -> None:
        if self._given is None:
            self._client.close()


def trust() -> ssl.SSLContext:
    """The system's authorities and those of CURL_CA_BUNDLE, else SSL_CERT_FILE."""
    context = ssl.create_default_context()
    extra = os.environ.get("CURL_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    if extra:
        try:
            context.load_verify_locations(extra)
        except (OSError, ssl.SSLError) as error:
            raise ImageError(
                f"the certificates in {extra} cannot be read ({error}); correct CURL_CA_BUNDLE "
                "or SSL_CERT_FILE"
            ) from None
    return context


class _Registry:
    """One image at its registry, by the Distribution API."""

    def __init__(
        self, client: httpx.Client, image: Reference, credentials: Credentials | None
    ) -> None:
        self._client = client
        self._image = image
        self._credentials = credentials
        host = _DOCKER_HUB if image.registry == "docker.io" else image.registry
        scheme = "http" if host.split(":")[0] in ("localhost", "127.0.0.1") else "https"
        self._base = f"{scheme}://{host}/v2/{image.repository}"
        self._authorization: str | None = None

    def look(self, with_labels: bool) -> tuple[str, Mapping[str, str]]:
        """Digest of the tag, and the image's labels where they are wanted."""
        if self._image.digest and not with_labels:
            return self._image.digest, {}
        answer = self._get(f"/manifests/{self._image.digest or self._image.tag}")
        digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
        if not with_labels:
            return digest, {}
        manifest = answer.json()
        if "manifests" in manifest:
            chosen = _for_servers(manifest["manifests"])
            manifest = self._get(f"/manifests/{chosen}").json() if chosen else {}
        config = (manifest.get("config") or {}).get("digest")
        loaded = self._get(f"/blobs/{config}").json() if config else {}
        return digest, (loaded.get("config") or {}).get("Labels") or {}

    def _get(self, path: str) -> httpx.Response:
        response = self._ask(path)
        if response.status_code == httpx.codes.UNAUTHORIZED and self._authorization is None:
            self._authorization = self._authorize(response.headers.get("www-authenticate", ""))
            response = self._ask(path)
        if response.is_success:
            return response
        missing = response.status_code == httpx.codes.NOT_FOUND
        raise (NoImageError if missing else ImageError)(self._refusal(response))

    def _ask(self, path: str) -> httpx.Response:
        headers = {"Accept": _ACCEPT if "/manifests/" in path else "*/*"}
        if self._authorization:
            headers["Authorization"] = self._authorization
        return self._try(self._base + path, headers)

    def _try(self, url: str, headers: Mapping[str, str]) -> httpx.Response:
        for attempt in range(1, _TRIES + 1):
            try:
                response = self._client.get(url, headers=dict(headers))
            except httpx.HTTPError as error:
                if attempt == _TRIES:
                    raise ImageError(
                        f"the registry {self._image.registry} cannot be reached ({error}); check "
                        "the network and `images` in the settings, then run `pulumi up` again"
                    ) from None
            else:
                is_passing = response.status_code in (429, 500, 502, 503, 504)
                if not is_passing or attempt == _TRIES:
                    return response
                wait = response.headers.get("retry-after", "")
                time.sleep(min(float(wait) if wait.isdigit() else 0, _LONGEST_WAIT))
            time.sleep(0.5 * attempt)
        raise AssertionError("unreachable")

    def _authorize(self, challenge: str) -> str:
        """An Authorization header that answers a registry's challenge."""
        kind = challenge.partition(" ")[0].lower()
        basic = ""
        if self._credentials:
            pair = f"{self._credentials.username}:{self._credentials.password}".encode()
            basic = f"Basic {base64.b64encode(pair).decode()}"
        if kind == "basic" and basic:
            return basic
        parts = dict(_CHALLENGE.findall(challenge))
        if kind != "bearer" or "realm" not in parts:
            raise ImageError(self._denied("it wants a login"))
        query = {key: parts[key] for key in ("service", "scope") if key in parts}
        query.setdefault("scope", f"repository:{self._image.repository}:pull")
        url = str(httpx.URL(parts["realm"], params=query))
        response = self._try(url, {"Authorization": basic} if basic else {})
        if not response.is_success:
            raise ImageError(self._denied(f"its login answered {response.status_code}"))
        token = response.json()
        return f"Bearer {token.get('token') or token.get('access_token')}"

    def _refusal(self, response: httpx.Response) -> str:
        image = f"{self._image.name}:{self._image.tag}"
        if response.status_code == httpx.codes.NOT_FOUND:
            return (
                f"there is no image {image}; build and push it, or set `version` or `branch` to "
                "one that exists"
            )
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return self._denied(f"it answered {response.status_code}")
        return (
            f"the registry {self._image.registry} answered {response.status_code} for {image}; "
            "run `pulumi up` again later"
        )

    def _denied(self, why: str) -> str:
        whose = f"user {self._credentials.username}" if self._credentials else "no credential"
        return (
            f"the registry {self._image.registry} does not give out {self._image.name} to {whose} "
            f"({why}); correct registryUsername and registryPassword in the settings"
        )


def _for_servers(manifests: list[Mapping[str, Any]]) -> str | None:
    """The manifest for Linux on x86-64, else the first that is for any platform."""
    usable = [m for m in manifests if (m.get("platform") or {}).get("os") != "unknown"]
    for manifest in usable:
        platform = manifest.get("platform") or {}
        if (platform.get("os"), platform.get("architecture")) == ("linux", "amd64"):
            return str(manifest["digest"])
    return str(usable[0]["digest"]) if usable else None
