"""Which images stay: each rule alone, without a registry."""

import json

import pytest

from flow.images import judging
from flow.images.judging import DAY, Limits
from flow.images.records import Need
from flow.images.stock import Image

NOW = 1_900_000_000.0
WEB = "ghcr.io/example/app/web"
LIMITS = Limits(days=30, newest=1)


def digest(number: int) -> str:
    return f"sha256:{number:02x}" + f"{number:02x}" * 31


def about(number: int) -> str:
    """The tag of what is about an image."""
    return digest(number).replace(":", "-")


def image(number: int, *tags: str, days: float | None = 100, **more: object) -> Image:
    made = None if days is None else int(NOW - days * DAY)
    return Image(WEB, digest(number), tags, made, **more)  # type: ignore[arg-type]


NEWEST = image(99, "newest", days=1)


def why(
    images: list[Image], *needs: Need, limits: Limits = LIMITS, newest: Image | None = NEWEST
) -> dict[str, list[str]]:
    """Why each stays, by how a person knows it; an empty list: it goes."""
    every = [*images, *([newest] if newest else [])]
    found = judging.judge(every, needs, limits, NOW)
    return {
        judging.name(each.image): list(each.why)
        for each in found
        if each.image is not newest and (each.action == "remove") == (not each.why)
    }


def test_an_old_image_that_nobody_needs_goes() -> None:
    assert why([image(1, "1.0.0")]) == {"1.0.0": []}


def test_what_a_release_pins_by_its_digest_stays_whoever_has_its_tag_now() -> None:
    need = Need("prod runs 1.0.0", digest(1), WEB)
    found = why([image(1), image(2, "1.0.0")], need)
    assert found == {digest(1)[:19]: ["prod runs 1.0.0"], "1.0.0": []}


def test_a_digest_of_another_repository_keeps_nothing_here() -> None:
    need = Need("prod runs 1.0.0", digest(1), "ghcr.io/example/app/api")
    assert why([image(1, "1.0.0")], need) == {"1.0.0": []}


def test_a_branchs_tag_keeps_what_it_names() -> None:
    need = Need("the newest of branch staging", "staging")
    found = why([image(1, "staging", "c0ffee"), image(2, "beef")], need)
    assert found == {"staging, c0ffee": ["the newest of branch staging"], "beef": []}


@pytest.mark.parametrize(("days", "stays"), [(29.9, True), (30.1, False)])
def test_what_is_younger_than_the_limit_stays(days: float, stays: bool) -> None:
    assert bool(why([image(1, "x", days=days)])["x"]) is stays


def test_the_newest_stay_however_old_they_are() -> None:
    three = [image(number, str(number), days=100 + number) for number in range(3)]
    found = why(three, limits=Limits(days=30, newest=2), newest=None)
    assert found == {"0": ["among the newest 2"], "1": ["among the newest 2"], "2": []}


def test_parts_of_an_index_do_not_count_among_the_newest() -> None:
    index = image(1, "new", days=100, children=(digest(2), digest(3)))
    parts = [image(number, days=100) for number in (2, 3)]
    found = why([*parts, index, image(4, "old", days=101)], limits=Limits(30, 2), newest=None)
    assert found["old"] == ["among the newest 2"]


def test_what_does_not_say_how_old_it_is_stays() -> None:
    assert why([image(1, "x", days=None)]) == {"x": ["nothing says how old it is"]}


def test_parts_of_an_index_that_stays_stay_and_parts_of_one_that_goes_go() -> None:
    kept, gone = image(1, "1.0.0", children=(digest(3),)), image(2, "0.9", children=(digest(4),))
    found = why([kept, gone, image(3), image(4)], Need("prod runs 1.0.0", digest(1), WEB))
    assert found[digest(3)[:19]] == ["a part of 1.0.0"]
    assert found[digest(4)[:19]] == []


def test_a_part_that_two_indexes_share_stays_with_the_one_that_stays() -> None:
    kept, gone = image(1, "1.0.0", children=(digest(3),)), image(2, "0.9", children=(digest(3),))
    found = why([kept, gone, image(3)], Need("prod runs 1.0.0", digest(1), WEB))
    assert (found["0.9"], found[digest(3)[:19]]) == ([], ["a part of 1.0.0"])


def test_parts_of_parts_stay() -> None:
    kept = image(1, "1.0.0", children=(digest(2),))
    found = why([kept, image(2, children=(digest(3),)), image(3)], Need("x", digest(1), WEB))
    assert all(found.values())


def test_a_part_of_an_index_that_is_too_young_stays() -> None:
    young = image(1, "1.0.0", days=2, children=(digest(2),))
    assert why([young, image(2)])[digest(2)[:19]] == ["a part of 1.0.0"]


def test_a_signature_stays_with_what_it_signs_and_goes_with_it() -> None:
    signed, other = image(1, "1.0.0"), image(2, "0.9")
    words = [image(3, f"{about(1)}.sig"), image(4, f"{about(2)}.sig")]
    found = why([signed, other, *words], Need("prod runs 1.0.0", digest(1), WEB))
    assert found[f"{about(1)}.sig"] == ["is about 1.0.0"]
    assert found[f"{about(2)}.sig"] == []


def test_an_attestation_that_names_its_subject_stays_with_it_parts_included() -> None:
    # As without a referrers API: an index under the subject's tag, whose parts name the subject.
    signed = image(1, "1.0.0")
    index = image(3, about(1), children=(digest(4),))
    found = why([signed, index, image(4, subject=digest(1))], Need("x", digest(1), WEB))
    assert all(found.values())


def test_an_index_goes_before_its_parts() -> None:
    images = [image(3), image(2, children=(digest(3),)), image(1, "x", children=(digest(2),))]
    found = judging.judge([*images, NEWEST], [], LIMITS, NOW)
    order = [each.image.digest for each in judging.in_order(found)]
    assert order == [digest(1), digest(2), digest(3)]


def test_only_layers_that_no_other_image_has_count_as_freed() -> None:
    images = [
        image(1, "1.0.0", blobs={"base": 1000, "one": 10}),
        image(2, "0.9", blobs={"base": 1000, "two": 20}),
        image(3, "0.8", blobs={"base": 1000, "two": 20, "three": 3}),
    ]
    found = judging.judge([*images, NEWEST], [Need("x", "1.0.0")], LIMITS, NOW)
    assert judging.freed(found, "remove") == 23


def test_json_says_of_an_image_all_that_a_program_needs() -> None:
    found = judging.judge([image(1, "1.0.0", blobs={"a": 1, "b": 2}), NEWEST], [], LIMITS, NOW)
    assert json.loads(json.dumps(found[0].output(NOW))) == {
        "repository": WEB,
        "digest": digest(1),
        "tags": ["1.0.0"],
        "age": 100 * DAY,
        "size": 3,
        "part": False,
        "action": "remove",
        "why": [],
    }
