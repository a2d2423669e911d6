"""A release's images: those staging ran, to the byte, or none."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from flow import building, carrying, deploying, project
from flow.building import Image
from flow.errors import FlowError
from flow.runs import jobs
from flow.runs.run import Run
from planning import releases
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served
from tests.unit.github_hub import served as served
from tests.unit.image_registry import FakeRegistry, digest_of
from tests.unit.promoting import begin, merged

PREFIX = "ghcr.io/example/app"
IMAGES = [
    Image("web", (f"{PREFIX}/web:v1.0.0", f"{PREFIX}/web:main"), ("docker", "build")),
    Image("db", (f"{PREFIX}/db:17",), ("docker", "build")),
]


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


def carry(registry: FakeRegistry, *sources: str) -> dict[str, Any]:
    with httpx.Client(transport=httpx.MockTransport(registry.answer)) as client:
        return carrying.carry(IMAGES, "v1.0.0", sources, client)


@pytest.mark.parametrize("how", ["merge", "squash"])
def test_what_staging_tested_is_known_by_its_files_however_it_was_merged(
    served: Served, how: str
) -> None:
    begin(served)
    tested = push(served, "staging", {"b.txt": "new\n"}, who="maintainer")
    pull = served.repo.create_pull(base="main", head="staging", title="Promote", body="")
    pull.merge(merge_method=how)
    main = served.repo.get_branch("main").commit.sha
    push(served, "staging", {"c.txt": "later\n"}, who="maintainer")
    assert main != tested
    assert carrying.tested(served.repo, main) == [tested]


def test_a_hotfix_of_main_was_never_on_staging(served: Served) -> None:
    begin(served)
    merged(served, "hotfix/x", "fix: x", base="main")
    main = served.repo.get_branch("main").commit.sha
    assert carrying.tested(served.repo, main) == []


def test_every_image_gets_the_releases_names_and_stays_the_same(registry: FakeRegistry) -> None:
    web, db = registry.push("example/app/web", "c0ffee"), registry.push("example/app/db", "17")
    made = carry(registry, "unbuilt", "c0ffee")
    assert {name: (each["digest"], each["from"]) for name, each in made.items()} == {
        "web": (web, "c0ffee"),
        "db": (db, "c0ffee"),
    }
    for tag in ("v1.0.0", "main"):
        assert digest_of(registry.tags["example/app/web", tag]) == web


def test_where_one_is_missing_none_is_carried(registry: FakeRegistry) -> None:
    registry.push("example/app/web", "c0ffee")
    assert carry(registry, "c0ffee") == {}
    assert not [each for each in registry.asked if each.method == "PUT"]


def test_a_registry_that_refuses_is_an_error_and_no_reason_to_build(registry: FakeRegistry) -> None:
    registry.answers = [httpx.Response(403)]
    with pytest.raises(FlowError, match="does not give out"):
        carry(registry, "c0ffee")


def a_run(name: str, outputs: Path) -> Run:
    return Run(
        name=name,
        ref="refs/tags/v1.0.0" if name == "release" else "refs/heads/staging",
        sha="c0ffee",
        repository=FULL_NAME,
        actor="ada",
        event={"release": {"tag_name": "v1.0.0"}} if name == "release" else {},
        address="",
        api="",
        token="",
        outputs=outputs,
    )


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The services that were built; the images are IMAGES."""
    services: list[str] = []

    def build(images: list[Image], *_: Any, **__: Any) -> dict[str, Any]:
        services.extend(each.service for each in images)
        return {
            each.service: {"tags": list(each.references), "digest": f"sha256:{'b' * 64}"}
            for each in images
        }

    monkeypatch.setattr(project.Project, "application", lambda *_: tmp_path)
    monkeypatch.setattr(building, "read", lambda _: {})
    monkeypatch.setattr(building, "variables", lambda _: {})
    monkeypatch.setattr(building, "plan", lambda *_, **__: IMAGES)
    monkeypatch.setattr(building, "build", build)
    monkeypatch.setattr(jobs, "_repository", lambda _: None)
    monkeypatch.setattr(carrying, "tested", lambda *_: ["c0ffee"])
    return services


def put(outputs: Path) -> dict[str, str]:
    """What was handed to later jobs of the images."""
    lines = outputs.read_text().splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("images<<"))
    found: dict[str, str] = json.loads(lines[at + 1])
    return found


@pytest.mark.parametrize(
    ("event", "carried", "builds", "digest"),
    [
        ("release", True, [], "a"),
        ("release", False, ["web", "db"], "b"),
        ("push", True, ["web", "db"], "b"),
    ],
)
def test_a_release_is_built_only_where_staging_ran_no_such_files(
    built: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    event: str, carried: bool, builds: list[str], digest: str,
) -> None:  # fmt: skip
    found = {
        each.service: {
            "tags": list(each.references), "digest": f"sha256:{'a' * 64}", "from": "c0ffee",
        }
        for each in IMAGES
    }  # fmt: skip
    monkeypatch.setattr(carrying, "carry", lambda *_: found if carried else {})
    jobs.build(a_run(event, tmp_path / "out"))
    assert built == builds
    told = f"sha256:{digest * 64}"
    assert put(tmp_path / "out") == {f"{PREFIX}/web": told, f"{PREFIX}/db": told}


def test_a_deploy_takes_the_digests_it_was_handed() -> None:
    wish = deploying.Wish("prod", "v1", digests=jobs._digests('{"r/web": "sha256:1"}'))
    assert wish.settings()["digests"] == {"r/web": "sha256:1"}
    assert "digests" not in deploying.Wish("prod", "v1", digests=jobs._digests("")).settings()
    with pytest.raises(FlowError, match="FLOW_IMAGES"):
        jobs._digests("[]")


def test_the_version_that_runs_is_deployed_anew_only_for_other_bytes() -> None:
    running = releases.Kept("1", "", {"web": "r/web@sha256:1"}, "r", "")
    assert not releases._differs(running, {})
    assert not releases._differs(running, {"r/web": "sha256:1", "r/other": "sha256:2"})
    assert releases._differs(running, {"r/web": "sha256:2"})
