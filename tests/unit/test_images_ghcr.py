"""Images at ghcr.io: listed and removed by GitHub's Packages API, read at the registry."""

import json

import pytest

from tests.unit.github_hub import served as served
from tests.unit.image_registry import OWN
from tests.unit.image_world import FakePackages, World, days_ago, refusal
from tests.unit.image_world import world as world

GHCR = "ghcr.io/example/app"
pytestmark = pytest.mark.parametrize("world", [GHCR], indirect=True)


@pytest.fixture
def packages(world: World, monkeypatch: pytest.MonkeyPatch) -> FakePackages:
    """The package of `web`; the registry asks for a login, as ghcr.io does."""
    monkeypatch.setenv("REGISTRY_PUSH_USERNAME", OWN.username)
    monkeypatch.setenv("REGISTRY_PUSH_PASSWORD", OWN.password)
    world.registry.login = "bearer"
    made = FakePackages(world.registry, world.name("web"))
    world.hosts["api.github.com"] = made.answer
    newest = next(iter(world.registry.digests(made.repository)))
    made.changed[newest] = days_ago(1)
    return made


def deletions(packages: FakePackages) -> int:
    return len([each for each in packages.asked if each.method == "DELETE"])


def test_what_nobody_needs_is_removed_by_the_api_untagged_versions_too(
    world: World, packages: FakePackages
) -> None:
    world.build("1.0.0")
    world.build("moving")
    world.build("moving", days=50)
    assert world.prune() == 0
    assert world.there() == {"newest"}
    assert deletions(packages) == 3
    assert not [each for each in world.registry.asked if each.method == "DELETE"]


def test_parts_of_an_index_that_stays_stay_though_no_tag_names_them(
    world: World, packages: FakePackages
) -> None:
    name = world.name("web")
    parts = [world.build(each) for each in ("image", "attestation", "other")]
    kept = world.registry.push_index(
        name, "1.0.0", (parts[0], "linux", "amd64"), (parts[1], "unknown", "unknown")
    )
    for tag in ("image", "attestation", "other"):
        del world.registry.tags[name, tag]
    world.runs("prod", world.release("1.0.0", kept))
    assert world.prune() == 0
    left = world.registry.digests(name)
    assert {kept, *parts[:2]} <= left
    assert parts[2] not in left


def test_what_was_given_a_tag_lately_is_young_whenever_it_was_built(
    world: World, packages: FakePackages
) -> None:
    packages.changed[world.build("1.0.0")] = days_ago(3)
    assert world.prune("--json") == 0
    found = {", ".join(each["tags"]): each["why"] for each in json.loads(world.out)["images"]}
    assert found["1.0.0"] == ["only 3 d old"]


def test_every_page_of_versions_is_read(world: World, packages: FakePackages) -> None:
    packages.page = 2
    for number in range(4):
        world.build(f"1.{number}", days=100 + number)
    assert world.prune() == 0
    assert world.there() == {"newest"}


def test_a_persons_package_is_found_where_no_organization_has_the_name(
    world: World, packages: FakePackages
) -> None:
    packages.kind = "users"
    world.build("1.0.0")
    assert world.prune() == 0
    assert world.there() == {"newest"}


def test_a_token_without_the_scope_is_told_which_it_takes(
    world: World, packages: FakePackages
) -> None:
    said = "You need at least read:packages scope to list package versions."
    packages.refuses[""] = refusal(403, said)
    assert world.prune() == 1
    assert said in world.said
    assert "a classic token with read:packages and delete:packages" in world.said
    assert OWN.password not in world.said


def test_a_package_that_releases_need_and_the_token_does_not_see_is_an_error(
    world: World, packages: FakePackages
) -> None:
    packages.kind = "elsewhere"
    assert world.prune() == 1
    assert "GitHub shows no package ghcr.io/example/app/web to this token; releases" in world.said


def test_what_github_calls_missing_and_lists_all_the_same_was_not_removed(
    world: World, packages: FakePackages
) -> None:
    packages.refuses[world.build("1.0.0")] = refusal(404, "Not Found")
    assert world.prune() == 1
    assert "it is still there" in world.said


def test_a_registry_that_refuses_everything_is_not_asked_without_end(
    world: World, packages: FakePackages
) -> None:
    for number in range(8):
        old = world.build(f"1.{number}", days=100 + number)
        packages.refuses[old] = refusal(403, "Must have admin rights")
    assert world.prune() == 1
    assert deletions(packages) == 5
    assert "not tried after 5" in world.said
    assert "Must have admin rights" in world.said


def test_without_a_pushers_login_the_token_at_hand_lists_and_reads(
    world: World, packages: FakePackages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REGISTRY_PUSH_USERNAME")
    monkeypatch.delenv("REGISTRY_PUSH_PASSWORD")
    world.registry.login = ""
    world.build("1.0.0")
    assert world.prune() == 0
    token = world.served.tokens["maintainer"]
    assert {each.headers["authorization"] for each in packages.asked} == {f"Bearer {token}"}


def test_half_a_login_is_refused(
    world: World, packages: FakePackages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REGISTRY_PUSH_PASSWORD")
    assert world.prune() == 1
    assert "REGISTRY_PUSH_USERNAME and REGISTRY_PUSH_PASSWORD go together" in world.said
    assert packages.asked == []
