"""A container registry in this process, as far as images are read, tagged and removed."""

import base64
import hashlib
import json
from typing import Any

import httpx

from registry.client import Credentials

CONFIG = "application/vnd.oci.image.config.v1+json"
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
        self.built = ""
        """When what is pushed now says that it was built, as 2031-05-31T09:00:00Z."""
        self.architecture = ""
        """Of what is pushed now; empty: it does not say."""
        self.deletes = True
        """Whether deletion is switched on."""
        self.page = 0
        """How many tags it lists at once; 0: all."""

    def push(self, repository: str, tag: str, **labels: str) -> str:
        config = json.dumps({
            "config": {"Labels": labels or None},
            "rootfs": {"diff_ids": list(self.layers)},
            **({"created": self.built} if self.built else {}),
            **({"architecture": self.architecture} if self.architecture else {}),
        }).encode()  # fmt: skip
        self.blobs[digest_of(config)] = config
        sent = [{"digest": f"sent-{name}", "size": size} for name, size in self.layers.items()]
        manifest = {
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
            "layers": sent,
        }
        return self.put(repository, tag, manifest)

    def put(self, repository: str, tag: str, manifest: dict[str, Any]) -> str:
        """Any manifest, under its digest and a tag (none for an empty one)."""
        content = json.dumps(manifest).encode()
        for reference in (tag, digest_of(content)):
            if reference:
                self.tags[repository, reference] = content
        return digest_of(content)

    def digests(self, repository: str) -> set[str]:
        """Of all manifests there are."""
        return {each for name, each in self.tags if name == repository and ":" in each}

    def tags_of(self, repository: str) -> set[str]:
        """Every tag there is."""
        return {each for name, each in self.tags if name == repository and ":" not in each}

    def push_index(self, repository: str, tag: str, *platforms: tuple[str, str, str]) -> str:
        parts = [
            {"digest": digest, "platform": {"os": system, "architecture": architecture}}
            for digest, system, architecture in platforms
        ]
        return self.put(repository, tag, {"mediaType": INDEX, "manifests": parts})

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
        if rest.endswith("/tags/list"):
            return self._list(request, rest.removesuffix("/tags/list"))
        for kind, found in (("/manifests/", self._manifest), ("/blobs/", self._blob)):
            repository, is_kind, reference = rest.partition(kind)
            if is_kind and request.method == "PUT":
                self.tags[repository, reference] = request.content
                self.types[repository, reference] = request.headers["content-type"]
                return httpx.Response(201)
            if is_kind and request.method == "DELETE":
                return self._delete(repository, reference)
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

    def _list(self, request: httpx.Request, repository: str) -> httpx.Response:
        tags = sorted(self.tags_of(repository))
        if not tags:
            return _missing()
        tags = [each for each in tags if each > request.url.params.get("last", "")]
        shown = tags[: self.page or None]
        link = f'</v2/{repository}/tags/list?n=1000&last={shown[-1]}>; rel="next"'
        headers = {"link": link} if shown != tags else {}
        return httpx.Response(200, json={"name": repository, "tags": shown}, headers=headers)

    def _delete(self, repository: str, digest: str) -> httpx.Response:
        if not self.deletes:
            return httpx.Response(405, json={"errors": [{"code": "UNSUPPORTED"}]})
        content = self.tags.get((repository, digest))
        if content is None:
            return _missing()
        of_it = [key for key, each in self.tags.items() if key[0] == repository and each == content]
        for key in of_it:
            del self.tags[key]
        return httpx.Response(202)

    def _blob(self, _: str, reference: str) -> httpx.Response:
        return httpx.Response(200, content=self.blobs[reference])


def _basic(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _missing() -> httpx.Response:
    return httpx.Response(404)
