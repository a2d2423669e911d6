"""Label selectors: the grammar, and that it says the same as a plain reading of it."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.hetzner import labels
from sandbox.hetzner.errors import ApiError

alnum = string.ascii_letters + string.digits
names = st.builds(
    lambda first, middle, last: first + middle + last,
    st.sampled_from(alnum),
    st.text(alnum + "._-", max_size=10),
    st.sampled_from(alnum),
)
keys = st.one_of(names, st.builds("{}/{}".format, names, names))
values = st.one_of(st.just(""), names)
label_sets = st.dictionaries(keys, values, max_size=5)
spaces = st.text(" ", max_size=2)


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("", True),
        ("env", True),
        ("!env", False),
        ("!other", True),
        ("env=prod", True),
        ("env==prod", True),
        ("env = prod", True),
        ("env=dev", False),
        ("env!=dev", True),
        ("env!=prod", False),
        ("missing!=prod", True),
        ("env in (dev,prod)", True),
        ("env in (dev, test)", False),
        ("env notin (dev)", True),
        ("missing notin (dev)", True),
        ("missing in (dev)", False),
        ("empty=", True),
        ("empty", True),
        ("env=prod,team.example/owner=a", True),
        ("env in (prod,dev),!env", False),
        ("env=prod , empty", True),
    ],
)
def test_a_selector_finds_what_it_says(selector: str, found: bool) -> None:
    thing = {"env": "prod", "empty": "", "team.example/owner": "a"}
    assert labels.matches(selector, thing) is found


@pytest.mark.parametrize(
    "selector",
    [
        "=x",
        "a=b=c",
        "a in",
        "a in x",
        "a in (b",
        "a,,b",
        "a b",
        "!",
        "a in (b c)",
        "-a",
        "a=-b",
        "é",
    ],
)
def test_what_is_not_a_selector_is_refused(selector: str) -> None:
    with pytest.raises(ApiError) as caught:
        labels.parse(selector)
    assert caught.value.code == "invalid_input"


@given(label_sets, keys, values, spaces)
def test_equality_means_equality(thing: dict[str, str], key: str, value: str, space: str) -> None:
    assert labels.matches(f"{key}{space}={space}{value}", thing) is (thing.get(key) == value)
    assert labels.matches(f"{key}{space}!={space}{value}", thing) is (thing.get(key) != value)


@given(label_sets, keys, st.lists(values, min_size=1, max_size=4), spaces)
def test_sets_mean_membership(
    thing: dict[str, str], key: str, wanted: list[str], space: str
) -> None:
    listed = f",{space}".join(wanted)
    assert labels.matches(f"{key} in ({listed})", thing) is (thing.get(key) in wanted)
    assert labels.matches(f"{key} notin ({listed})", thing) is (thing.get(key) not in wanted)


@given(label_sets, st.lists(keys, max_size=4))
def test_commas_mean_and(thing: dict[str, str], wanted: list[str]) -> None:
    assert labels.matches(",".join(wanted), thing) is all(key in thing for key in wanted)


@given(label_sets)
def test_labels_a_thing_may_have_select_it(thing: dict[str, str]) -> None:
    labels.check(thing)
    assert labels.matches(",".join(f"{key}={value}" for key, value in thing.items()), thing)


@given(st.text(max_size=30))
def test_any_text_is_a_selector_or_refused(text: str) -> None:
    try:
        labels.matches(text, {"env": "prod"})
    except ApiError as error:
        assert error.code == "invalid_input"  # noqa: PT017


@pytest.mark.parametrize(
    "bad",
    [
        {"a b": "c"},
        {"a": "b/c"},
        {"a": "x:y"},
        {"": "x"},
        {"a": "x" * 64},
        {"a/b/c": "d"},
        {"a": 1},
    ],
)
def test_labels_the_api_would_refuse_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ApiError):
        labels.check(bad)
