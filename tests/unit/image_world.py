"""A team with stages, a GitHub of this process and registries, for tests of `flow images`."""

import datetime
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from flow import app
from flow.images import pruning
from registry.client import Opened
from sandbox.github import spec
from tests.unit.github_hub import FULL_NAME, Served
from tests.unit.image_registry import FakeRegistry
from tests.unit.promoting import begin
from tests.unit.team_stacks import Stacks, project_of

NOW = datetime.datetime.now(datetime.UTC)
COMPOSE = """
services:
  web: {build: ., image: "${IMAGES}/web:${VERSION:-local}"}
  db: {build: db, image: "${IMAGES}/db:17"}
  cache: {image: "docker.io/library/redis:8"}
"""


def days_ago(days: float) -> str:
    """A time as registries and GitHub write it."""
    return f"{NOW - datetime.timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"


@dataclass
class World:
    """`prefix` is where images are: `registry.test/example/app` or `ghcr.io/example/app`."""

    prefix: str
    stacks: Stacks
    served: Served
    registry: FakeRegistry
    capsys: pytest.CaptureFixture[str]
    folder: Path
    first: str = ""
    """The commit that all three branches are at."""
    hosts: dict[str, Callable[[httpx.Request], httpx.Response]] = field(default_factory=dict)
    said: str = ""
    """What the last command said on standard error, on one line."""

    def name(self, image: str) -> str:
        """An image's repository at its registry."""
        return f"{self.prefix.partition('/')[2]}/{image}"

    def build(self, *tags: str, days: float = 100, image: str = "web") -> str:
        """Push an image as it was built so long ago, under several tags; its digest."""
        self.registry.built = days_ago(days)
        pushed = ""
        for tag in tags:
            pushed = self.registry.push(self.name(image), tag, of=tags[0])
        return pushed

    def release(self, version: str, web: str, **more: str) -> dict[str, Any]:
        """A release as a stack's record has it."""
        images = {"web": web, **more}
        return {
            "version": version,
            "revision": "c0ffee",
            "prefix": self.prefix,
            "compose": COMPOSE,
            "images": {
                **{service: f"{self.prefix}/{service}@{each}" for service, each in images.items()},
                "cache": f"docker.io/library/redis@sha256:{'c' * 64}",
            },
        }

    def runs(self, stack: str, *releases: dict[str, Any], **outputs: Any) -> None:
        """Make a stack's record: it runs the first, and can go back to the others."""
        kept = [{"id": f"r{at}", "since": 1, "release": each} for at, each in enumerate(releases)]
        values = {"release": releases[0], "releases": kept}
        self.stacks.states[stack] = {
            "resources": [
                {"type": "pulumi:pulumi:Stack", "outputs": {"release": "r0", **outputs}},
                {"type": "deployment-flow:index:Environment", "outputs": values},
            ]
        }

    def flow(self, *arguments: str) -> int:
        """Run `flow images …`."""
        code = app.run(["images", *arguments])
        told = self.capsys.readouterr()
        self.said = " ".join(told.err.split())
        self.out = told.out
        return code

    def prune(self, *arguments: str) -> int:
        """`flow images prune --yes`, with a newest one only."""
        return self.flow("prune", "--yes", "--keep", "1", *arguments)

    def why(self) -> dict[str, list[str]]:
        """By tags or digest why each stays, by `flow images list`."""
        assert self.flow("list", "--json") == 0, self.said
        told = json.loads(self.out)["images"]
        return {", ".join(each["tags"]) or each["digest"]: each["why"] for each in told}

    def there(self, image: str = "web") -> set[str]:
        """Tags at the registry."""
        return self.registry.tags_of(self.name(image))

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What a request gets, by its host."""
        return self.hosts.get(request.url.host, self.registry.answer)(request)


@pytest.fixture
def world(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[World]:
    """Three stages that run one build of a day ago, and a redis of somebody else's."""
    stacks = Stacks()
    project = project_of(tmp_path, stacks, monkeypatch)
    monkeypatch.setattr("flow.commands.images.project.find", lambda: project)
    for variable in ("FLOW_GITHUB_TOKEN", "PULUMI_BACKEND_URL", "REGISTRY_PUSH_USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("REGISTRY_PUSH_PASSWORD", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("GITHUB_REPOSITORY", FULL_NAME)
    monkeypatch.setenv("GITHUB_API_URL", f"{served.url}/api/v3")
    monkeypatch.setenv("GITHUB_TOKEN", served.tokens["maintainer"])
    prefix = getattr(request, "param", "registry.test/example/app")
    found = World(prefix, stacks, served, FakeRegistry(), capsys, tmp_path)
    found.first = begin(served)
    newest = found.build("newest", days=1)
    for stack in ("dev", "staging", "prod"):
        found.runs(stack, found.release("newest", newest))
    monkeypatch.setattr("registry.client.time.sleep", lambda _: None)
    with httpx.Client(transport=httpx.MockTransport(found.answer)) as http:
        monkeypatch.setattr(pruning, "Opened", lambda _: Opened(http))
        yield found


class FakePackages:
    """GitHub's Packages API over the same manifests; every answer is as GitHub describes it."""

    def __init__(self, registry: FakeRegistry, repository: str, kind: str = "orgs") -> None:
        self.registry, self.repository, self.kind = registry, repository, kind
        self.owner, _, self.package = repository.partition("/")
        self.changed: dict[str, str] = {}
        """Digest → when it was last tagged, where that is not long ago."""
        self.page = 100
        self.asked: list[httpx.Request] = []
        self.refuses: dict[str, httpx.Response] = {}
        """Digest → the answer to its deletion; "" to the list."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        kind, _, rest = request.url.raw_path.decode().partition("?")[0][1:].partition("/")
        below = f"{self.owner}/packages/container/{self.package.replace('/', '%2F')}/versions"
        given = self._given(kind, rest, below, request)
        whose = "orgs/{org}" if kind == "orgs" else "users/{username}"
        template = f"/{whose}/packages/{{package_type}}/{{package_name}}/versions"
        if request.method == "DELETE":
            template += "/{package_version_id}"
        body = given.json() if given.content else None
        assert spec.answer_errors(request.method, template, given.status_code, body) == []
        return given

    def _given(self, kind: str, rest: str, below: str, request: httpx.Request) -> httpx.Response:
        if kind != self.kind or not rest.startswith(below):
            return refusal(404, "Not Found")
        if request.method == "GET":
            return self.refuses.get("") or self._page(request)
        digest = self._digests()[int(rest.rpartition("/")[2])]
        if digest in self.refuses:
            return self.refuses[digest]
        content = self.registry.tags[self.repository, digest]
        for key in [key for key, each in self.registry.tags.items() if each == content]:
            del self.registry.tags[key]
        return httpx.Response(204)

    def _digests(self) -> dict[int, str]:
        return {int(each[7:15], 16): each for each in self.registry.digests(self.repository)}

    def _page(self, request: httpx.Request) -> httpx.Response:
        at = int(request.url.params.get("page", "1"))
        every = sorted(self._digests().items())
        shown = every[(at - 1) * self.page : at * self.page]
        after = request.url.copy_set_param("page", str(at + 1))
        headers = {"link": f'<{after}>; rel="next"'} if at * self.page < len(every) else {}
        return httpx.Response(200, json=[self._version(*each) for each in shown], headers=headers)

    def _version(self, number: int, digest: str) -> dict[str, Any]:
        content = self.registry.tags[self.repository, digest]
        tags = [
            tag
            for (name, tag), each in self.registry.tags.items()
            if name == self.repository and each == content and ":" not in tag
        ]
        url = f"https://api.github.com/{self.kind}/{self.owner}/packages/container/versions"
        return {
            "id": number,
            "name": digest,
            "url": f"{url}/{number}",
            "package_html_url": f"https://github.com/{self.kind}/{self.owner}/packages",
            "created_at": days_ago(100),
            "updated_at": self.changed.get(digest, days_ago(100)),
            "metadata": {"package_type": "container", "container": {"tags": sorted(tags)}},
        }


def refusal(status: int, message: str) -> httpx.Response:
    """A refusal in GitHub's shape."""
    told = {"message": message, "documentation_url": "https://docs.github.com", "status": "x"}
    return httpx.Response(status, json=told)
