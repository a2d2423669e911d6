"""Releases and their notes, driven by PyGithub."""

from typing import Any

import pytest

from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served, refused
from tests.unit.github_hub import served as served


@pytest.fixture(autouse=True)
def main_branch(served: Served) -> None:
    """A first commit on main."""
    push(served, "main", {"a.txt": "one\n"}, who="maintainer", message="First")
    served.told()


def merged(served: Served, branch: str, who: str, *labels: str) -> int:
    """A merged pull request's number."""
    push(served, branch, who=who)
    repo = served.client(who).get_repo(FULL_NAME)
    pull = repo.create_pull(base="main", head=branch, title=f"Change {branch}", body="")
    if labels:
        pull.add_to_labels(*labels)
    served.repo.get_pull(pull.number).merge()
    return int(pull.number)


def commit_of(served: Served, name: str) -> Any:
    """The commit a name stands for."""
    return served.hub.git(served.hub.repository("example-org", "fieldwork")).resolve(name)


def test_a_release_makes_its_tag_and_is_told_of(served: Served) -> None:
    staging = push(served, "staging", who="maintainer")
    served.told()
    made = served.repo.create_git_release(
        "v1.0.0", name="One", message="Notes", target_commitish="staging"
    )
    assert (made.tag_name, made.name, made.body) == ("v1.0.0", "One", "Notes")
    assert commit_of(served, "refs/tags/v1.0.0") == staging
    told = [(event.name, event.action, event.ref) for event in served.events]
    tag = "refs/tags/v1.0.0"
    assert told == [
        ("create", "", tag),
        ("push", "", tag),
        ("release", "created", tag),
        ("release", "published", tag),
        ("release", "released", tag),
    ]
    published = served.events[3]
    assert (published.sha, published.actor) == (staging, "maintainer")
    assert published.payload["release"]["tag_name"] == "v1.0.0"
    assert served.repo.get_latest_release().tag_name == "v1.0.0"
    assert served.repo.get_release("v1.0.0").id == made.id
    assert [release.id for release in served.repo.get_releases()] == [made.id]
    assert served.repo.get_release(made.id).name == "One"
    assert list(made.get_assets()) == []


def test_an_existing_tag_stays_where_it_is(served: Served) -> None:
    sha = commit_of(served, "main")
    served.repo.create_git_ref("refs/tags/v1", sha)
    push(served, "main", message="Later", who="maintainer")
    served.told()
    served.repo.create_git_release("v1", name="", message="", target_commitish="main")
    assert commit_of(served, "refs/tags/v1") == sha
    assert served.told() == ["release refs/tags/v1"] * 3


def test_a_tag_has_one_release_and_a_release_a_target(served: Served) -> None:
    raw, path = served.raw, f"/repos/{FULL_NAME}/releases"
    assert raw.post(path, json={"tag_name": "v1"}).status_code == 201
    second = raw.post(path, json={"tag_name": "v1"})
    assert second.status_code == 422
    assert second.json()["errors"] == [
        {"resource": "Release", "field": "tag_name", "code": "already_exists"}
    ]
    lost = raw.post(path, json={"tag_name": "v2", "target_commitish": "nowhere"})
    assert lost.json()["errors"][0]["field"] == "target_commitish"
    assert raw.post(path, json={"tag_name": "v 2"}).status_code == 422
    assert raw.post(path, json={}).json()["errors"][0]["code"] == "missing_field"


def test_a_draft_is_seen_by_who_may_write_and_tells_nobody(served: Served) -> None:
    served.repo.edit(private=False)
    draft = served.repo.create_git_release("v1", name="One", message="", draft=True)
    assert served.told() == []
    assert commit_of(served, "refs/tags/v1") is None
    outsider = served.client("outsider").get_repo(FULL_NAME)
    assert list(outsider.get_releases()) == []
    refused(404, served.repo.get_release, "v1")
    refused(404, served.repo.get_latest_release)
    draft.update_release("One", "Now", draft=False)
    actions = [event.action for event in served.events if event.name == "release"]
    assert actions == ["published", "released"]
    assert [release.tag_name for release in outsider.get_releases()] == ["v1"]
    refused(403, outsider.create_git_release, "v2", name="", message="")


def test_latest_is_the_newest_full_release_or_the_one_said_to_be(served: Served) -> None:
    served.repo.create_git_release("v1", name="", message="")
    served.repo.create_git_release("v2-rc1", name="", message="", prerelease=True)
    assert served.repo.get_latest_release().tag_name == "v1"
    served.repo.create_git_release("v1.0.1", name="", message="", make_latest="false")
    assert served.repo.get_latest_release().tag_name == "v1"
    second = served.repo.create_git_release("v2", name="", message="")
    assert served.repo.get_latest_release().tag_name == "v2"
    served.told()
    second.delete_release()
    assert [e.action for e in served.events] == ["deleted"]
    assert commit_of(served, "refs/tags/v2")
    assert served.repo.get_latest_release().tag_name == "v1.0.1"


def test_notes_list_what_was_merged_since_the_release_before(served: Served) -> None:
    first = merged(served, "one", "developer")
    served.repo.create_git_release("v1", name="", message="")
    second, third = merged(served, "two", "developer"), merged(served, "three", "reviewer")
    notes = served.repo.generate_release_notes("v2", target_commitish="main")
    html = f"{served.url}/{FULL_NAME}"
    assert notes.name == "v2"
    assert notes.body == (
        "## What's Changed\n"
        f"* Change two by @developer in {html}/pull/{second}\n"
        f"* Change three by @reviewer in {html}/pull/{third}\n"
        "\n"
        "## New Contributors\n"
        f"* @reviewer made their first contribution in {html}/pull/{third}\n"
        "\n\n"
        f"**Full Changelog**: {html}/compare/v1...v2"
    )
    assert f"pull/{first}" not in notes.body
    made = served.repo.create_git_release(
        "v2", name="", message="Read this.", generate_release_notes=True
    )
    assert made.body == f"Read this.\n\n{notes.body}"
    empty = served.repo.generate_release_notes("v3", target_commitish="main").body
    assert empty == f"**Full Changelog**: {html}/compare/v2...v3"


CONFIGURATION = """
changelog:
  exclude: {labels: [internal]}
  categories:
    - {title: New, labels: [enhancement]}
    - {title: Mended, labels: [bug], exclude: {authors: [reviewer]}}
"""


def test_notes_are_sorted_as_the_repository_says(served: Served) -> None:
    push(served, "main", {".github/release.yml": CONFIGURATION}, who="maintainer")
    merged(served, "mend", "developer", "bug")
    merged(served, "new", "developer", "Enhancement")
    merged(served, "chore", "developer", "internal")
    merged(served, "rest", "reviewer", "bug")
    body = served.repo.generate_release_notes("v1", target_commitish="main").body
    lines = [line.split(" by ")[0] for line in body.splitlines()]
    assert lines[:9] == [
        "<!-- Release notes generated using configuration in .github/release.yml at main -->",
        "",
        "## What's Changed",
        "### New",
        "* Change new",
        "### Mended",
        "* Change mend",
        "### Other Changes",
        "* Change rest",
    ]
    assert lines[-1].endswith("/commits/v1")
    push(served, "main", {".github/release.yml": "changelog: ["}, who="maintainer")
    assert "parse" in refused(
        422, served.repo.generate_release_notes, "v2", target_commitish="main"
    )
