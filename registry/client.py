"""Images at their registries, by the Distribution API. No Docker needed.

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
from typing import Any, Final

import httpx

_INDEXES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPT: Final = ", ".join((*_INDEXES, *_MANIFESTS))
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
    """An image that cannot be resolved: what is wrong, where, and what to do next.

    status  what the registry answered; 0 where it gave no answer
    """

    def __init__(self, told: str, status: int = 0) -> None:
        super().__init__(told)
        self.status = status


class NoImageError(ImageError):
    """There is no image of that name and tag."""


@dataclass(frozen=True)
class Credentials:
    """Of a registry; its password never shows."""

    username: str
    password: str = field(repr=False)


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


@dataclass(frozen=True)
class Sight:
    """An image at its registry."""

    digest: str
    labels: Mapping[str, str]
    layers: Mapping[str, int]
    """Digest of a layer once it is unpacked, as Docker lists it → its bytes as they are sent."""
    architectures: frozenset[str] = frozenset()
    """Processors it is for under Linux, as amd64 and arm64; empty where it does not say."""


class Opened:
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


class Registry:
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

    def digest(self) -> str:
        """What the tag stands for now. Raises NoImageError, ImageError."""
        if self._image.digest:
            return self._image.digest
        return digest_of(self._get(f"/manifests/{self._image.tag}").content)

    def look(self, architecture: str = "amd64") -> Sight:
        """What the tag stands for now, and what it consists of on that processor.

        Raises NoImageError, ImageError.
        """
        answer = self._get(f"/manifests/{self._image.digest or self._image.tag}")
        manifest = answer.json()
        architectures: set[str] = set()
        if "manifests" in manifest:
            architectures = _architectures(manifest["manifests"])
            chosen = _for_servers(manifest["manifests"], architecture)
            manifest = self._get(f"/manifests/{chosen}").json() if chosen else {}
        config = (manifest.get("config") or {}).get("digest")
        loaded = self._get(f"/blobs/{config}").json() if config else {}
        unpacked = (loaded.get("rootfs") or {}).get("diff_ids") or []
        packed = [int(each.get("size") or 0) for each in manifest.get("layers") or []]
        return Sight(
            digest=self._image.digest or digest_of(answer.content),
            labels=(loaded.get("config") or {}).get("Labels") or {},
            # Of another number the two do not belong together: better none than wrong ones.
            layers=dict(zip(unpacked, packed, strict=True)) if len(unpacked) == len(packed) else {},
            architectures=frozenset(architectures or {loaded.get("architecture") or ""} - {""}),
        )

    def tag(self, tag: str) -> str:
        """Give what the reference names another tag, to the byte; its digest."""
        found = self._get(f"/manifests/{self._image.digest or self._image.tag}")
        self.request(
            "PUT",
            f"/manifests/{tag}",
            found.content,
            {"Content-Type": found.headers.get("content-type", _MANIFESTS[1])},
        )
        return digest_of(found.content)

    def _get(self, path: str) -> httpx.Response:
        return self.request(
            "GET", path, None, {"Accept": ACCEPT if "/manifests/" in path else "*/*"}
        )

    def request(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]
    ) -> httpx.Response:
        """An answer below the repository, logged in as is asked for: `path` as /manifests/latest.

        Raises NoImageError, ImageError.
        """
        for attempt in range(2):
            authorized = {"Authorization": self._authorization} if self._authorization else {}
            response = self._try(method, self._base + path, {**headers, **authorized}, content)
            if response.is_success:
                return response
            challenge = response.headers.get("www-authenticate", "")
            if response.status_code != httpx.codes.UNAUTHORIZED or attempt or not challenge:
                break
            # A token is for what was asked then: a push wants another than a pull.
            self._authorization = self._authorize(challenge)
        missing = response.status_code == httpx.codes.NOT_FOUND
        raise (NoImageError if missing else ImageError)(
            self._refusal(response), response.status_code
        )

    def _try(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> httpx.Response:
        for attempt in range(1, _TRIES + 1):
            try:
                response = self._client.request(method, url, headers=dict(headers), content=content)
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
            raise ImageError(self._denied("it wants a login"), httpx.codes.UNAUTHORIZED)
        query = {key: parts[key] for key in ("service", "scope") if key in parts}
        query.setdefault("scope", f"repository:{self._image.repository}:pull")
        url = str(httpx.URL(parts["realm"], params=query))
        response = self._try("GET", url, {"Authorization": basic} if basic else {})
        if not response.is_success:
            why = f"its login answered {response.status_code}"
            raise ImageError(self._denied(why), response.status_code)
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


def digest_of(content: bytes) -> str:
    """What a registry calls these bytes: sha256:…"""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _architectures(manifests: list[Mapping[str, Any]]) -> set[str]:
    """Processors that an index has a manifest for under Linux."""
    platforms = [each.get("platform") or {} for each in manifests]
    return {str(each.get("architecture")) for each in platforms if each.get("os") == "linux"}


def _for_servers(manifests: list[Mapping[str, Any]], architecture: str) -> str | None:
    """The manifest for Linux on that processor, else the first that is for any platform."""
    usable = [m for m in manifests if (m.get("platform") or {}).get("os") != "unknown"]
    for manifest in usable:
        platform = manifest.get("platform") or {}
        if (platform.get("os"), platform.get("architecture")) == ("linux", architecture):
            return str(manifest["digest"])
    return str(usable[0]["digest"]) if usable else None
