"""A container registry in this process, as far as images are read and given other tags."""

import base64
import hashlib
import json

import httpx

from registry.client import Credentials

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
OWN = Credentials("team", "pass word")


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class FakeRegistry:
    """Images by repository and tag, behind the login a test wants."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.tags: dict[tuple[str, str], bytes] = {}
        self.asked: list[httpx.Request] = []
        self.layers = {"sha256:base": 1000, "sha256:top": 20}
        self.login = ""
        self.may_push = False
        self.types: dict[tuple[str, str], str] = {}
        self.answers: list[httpx.Response | Exception] = []

    def push(self, repository: str, tag: str, **labels: str) -> str:
        config = json.dumps(
            {"config": {"Labels": labels or None}, "rootfs": {"diff_ids": list(self.layers)}}
        ).encode()
        self.blobs[digest_of(config)] = config
        manifest = json.dumps({
            "mediaType": MANIFEST,
            "config": {"digest": digest_of(config)},
            "layers": [{"digest": "sent", "size": size} for size in self.layers.values()],
        })  # fmt: skip
        self.tags[repository, tag] = manifest.encode()
        self.tags[repository, digest_of(manifest.encode())] = manifest.encode()
        return digest_of(manifest.encode())

    def push_index(self, repository: str, tag: str, *platforms: tuple[str, str, str]) -> str:
        parts = [
            {"digest": digest, "platform": {"os": system, "architecture": architecture}}
            for digest, system, architecture in platforms
        ]
        index = json.dumps({"mediaType": INDEX, "manifests": parts}).encode()
        self.tags[repository, tag] = index
        return digest_of(index)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if request.url.path == "/token":
            return self._token(request)
        given = request.headers.get("authorization", "")
        if self.login == "bearer" and given != "Bearer good":
            return self._challenge("pull")
        if self.login == "bearer" and request.method == "PUT" and not self.may_push:
            self.may_push = True
            return self._challenge("pull,push")
        if self.login == "basic" and given != _basic(OWN):
            return httpx.Response(401, headers={"www-authenticate": 'Basic realm="registry"'})
        _, _, rest = request.url.path.partition("/v2/")
        for kind, found in (("/manifests/", self._manifest), ("/blobs/", self._blob)):
            repository, is_kind, reference = rest.partition(kind)
            if is_kind and request.method == "PUT":
                self.tags[repository, reference] = request.content
                self.types[repository, reference] = request.headers["content-type"]
                return httpx.Response(201)
            if is_kind:
                return found(repository, reference)
        return httpx.Response(500)

    def _challenge(self, actions: str) -> httpx.Response:
        challenge = (
            f'Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:x:{actions}"'
        )
        return httpx.Response(401, headers={"www-authenticate": challenge})

    def _token(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") not in (None, _basic(OWN)):
            return httpx.Response(403)
        return httpx.Response(200, json={"token": "good"})

    def _manifest(self, repository: str, reference: str) -> httpx.Response:
        content = self.tags.get((repository, reference))
        headers = {"content-type": MANIFEST}
        return httpx.Response(200, content=content, headers=headers) if content else _missing()

    def _blob(self, _: str, reference: str) -> httpx.Response:
        return httpx.Response(200, content=self.blobs[reference])


def _basic(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _missing() -> httpx.Response:
    return httpx.Response(404)
