"""Everything under one name at a registry: listed, read, removed."""

from collections.abc import Iterator

import httpx
import pytest

from registry.client import ImageError, NoImageError, Reference
from registry.repository import DeletionDisabledError, Repository
from tests.unit.image_registry import MANIFEST, OWN, FakeRegistry

NAME = "example/app/web"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> FakeRegistry:
    monkeypatch.setattr("registry.client.time.sleep", lambda _: None)
    return FakeRegistry()


@pytest.fixture
def repository(registry: FakeRegistry) -> Iterator[Repository]:
    with httpx.Client(transport=httpx.MockTransport(registry.answer)) as http:
        yield Repository(http, Reference.parse(f"registry.test/{NAME}"), OWN)


def test_tags_are_listed_page_by_page(registry: FakeRegistry, repository: Repository) -> None:
    registry.page = 2
    for tag in ("a", "b", "c", "d", "e"):
        registry.push(NAME, tag)
    assert repository.tags() == ["a", "b", "c", "d", "e"]


def test_what_was_never_pushed_has_no_tags(repository: Repository) -> None:
    assert repository.tags() == []


def test_an_image_says_when_it_was_built_and_how_large_it_is(
    registry: FakeRegistry, repository: Repository
) -> None:
    registry.built = "2031-05-31T09:00:00.123456789Z"
    pushed = registry.push(NAME, "1.0.0")
    found = repository.look("1.0.0")
    assert (found.digest, found.made) == (pushed, 1937984400)
    own = len(registry.tags[NAME, pushed])
    config = len(next(iter(registry.blobs.values())))
    assert sum(found.blobs.values()) == own + config + 1020


@pytest.mark.parametrize("built", ["", "1970-01-01T00:00:00Z", "1980-01-01T00:00:01Z", "never"])
def test_a_date_that_is_none_is_not_taken_for_one(
    registry: FakeRegistry, repository: Repository, built: str
) -> None:
    registry.built = built
    registry.push(NAME, "1.0.0")
    assert repository.look("1.0.0").made is None


def test_an_index_names_its_parts_and_a_signature_its_subject(
    registry: FakeRegistry, repository: Repository
) -> None:
    part = registry.push(NAME, "")
    index = registry.push_index(NAME, "1.0.0", (part, "linux", "amd64"))
    registry.put(NAME, "signature", {"mediaType": MANIFEST, "subject": {"digest": index}})
    assert repository.look("1.0.0").children == (part,)
    assert repository.look("signature").subject == index


def test_a_manifest_is_removed_with_all_its_tags_and_once_more_without_an_error(
    registry: FakeRegistry, repository: Repository
) -> None:
    pushed = registry.push(NAME, "1.0.0")
    registry.push(NAME, "latest")
    repository.delete(pushed)
    assert registry.digests(NAME) | registry.tags_of(NAME) == set()
    repository.delete(pushed)
    with pytest.raises(NoImageError):
        repository.look(pushed)


def test_a_registry_that_deletes_nothing_is_known_beforehand_and_the_error_says_what_to_set(
    registry: FakeRegistry, repository: Repository
) -> None:
    repository.check_deletion()
    registry.deletes = False
    with pytest.raises(DeletionDisabledError, match="REGISTRY_STORAGE_DELETE_ENABLED=true"):
        repository.check_deletion()


def test_who_may_not_delete_is_told_which_credential_counts(
    registry: FakeRegistry, repository: Repository
) -> None:
    registry.answers = [httpx.Response(403)]
    with pytest.raises(
        ImageError, match=r"lets user team delete nothing .* REGISTRY_PUSH_USERNAME"
    ):
        repository.check_deletion()


def test_what_is_no_registry_is_an_error(registry: FakeRegistry, repository: Repository) -> None:
    registry.answers = [httpx.Response(200, text="<html>")]
    with pytest.raises(ImageError, match="no JSON object"):
        repository.tags()
