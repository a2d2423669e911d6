"""What is promoted and released, as people read it."""

import pytest

from flow.promotion.changes import Change, listed, next_version, notes, numbers


def test_pull_requests_are_found_in_merge_commits_and_in_squashed_ones() -> None:
    messages = [
        "Merge pull request #12 from example-org/map\n\nA map",
        "A faster list (#9)",
        "typo",
        "Merge pull request #12 from example-org/map",
        "mentions #3 only",
    ]
    assert numbers(messages) == [12, 9]


@pytest.mark.parametrize(
    ("title", "labels", "group"),
    [
        ("A map", ("enhancement",), "feature"),
        ("A map", ("Bug",), "fix"),
        ("feat: a map", (), "feature"),
        ("feat(api)!: another map", (), "breaking"),
        ("fix(web): the map", (), "fix"),
        ("chore: pins", (), "inside"),
        ("A map", (), "other"),
        ("fix: a map", ("breaking",), "breaking"),
    ],
)
def test_a_change_stands_where_its_labels_or_its_title_say(
    title: str, labels: tuple[str, ...], group: str
) -> None:
    assert Change(title, labels=labels).group == group


def test_users_read_what_was_written_for_them() -> None:
    body = "Moves the query.\n\n## For users\n\nThe list opens\nin a second.\n\n## How\n\nAn index."
    assert Change("fix: index", 4, body=body).told == "The list opens in a second."
    assert Change("fix: index on tasks", 4).told == "Index on tasks"


def test_notes_begin_with_what_users_must_know_and_end_with_what_is_inside() -> None:
    found = [
        Change("chore: pins", 1),
        Change("A map", 2, "ada", ("feature",)),
        Change("Other names", 3, labels=("breaking",)),
        Change("fix: a slow list", 4),
    ]
    text = notes(found, before="v1.0.0", version="v2.0.0", compare="https://x/compare")
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["## Before you update", "## New", "## Fixed", "## Under the hood"]
    assert "- A map (#2 by @ada)" in text
    assert "[All changes since v1.0.0](https://x/compare)" in text


@pytest.mark.parametrize(
    ("last", "titles", "bump", "expected"),
    [
        ("", ["anything"], "", "v1.0.0"),
        ("v1.3.2", ["fix: x", "chore: y"], "", "v1.3.3"),
        ("v1.3.2", ["fix: x", "feat: y"], "", "v1.4.0"),
        ("1.3.2", ["feat!: x"], "", "v2.0.0"),
        ("v1.3.2", ["fix: x"], "major", "v2.0.0"),
    ],
)
def test_the_next_version_is_what_the_changes_ask_for(
    last: str, titles: list[str], bump: str, expected: str
) -> None:
    assert next_version(last, [Change(title) for title in titles], bump) == expected


def test_a_tag_that_is_no_version_has_no_next_one() -> None:
    with pytest.raises(ValueError, match="nightly"):
        next_version("nightly", [])


def test_a_list_ends_where_a_pull_request_could_hold_no_more_and_says_how_many_are_left() -> None:
    found = [Change(f"Change {number} {'x' * 90}", number) for number in range(1, 501)]
    lines = listed(found).splitlines()
    assert len("\n".join(lines)) <= 20_100
    assert lines[0].startswith("- Change 1 x")
    assert lines[-1] == f"- … and {500 - len(lines) + 1} more"


def test_one_change_told_at_length_leaves_room_for_the_others() -> None:
    first, second = listed([Change("word " * 6000, 1), Change("A map", 2)]).splitlines()
    assert first.endswith("… (#1)")
    assert second == "- A map (#2)"


def test_notes_of_many_changes_of_every_kind_are_no_longer_than_a_release_takes() -> None:
    labels = ("breaking", "feature", "fix", "", "chore")
    found = [Change("x" * 500, n, labels=(labels[n % 5],)) for n in range(1000)]
    assert len(notes(found, before="v1.0.0", version="v2.0.0", compare="https://x")) < 125_000
