"""What a Compose file says is what a server gets."""

import datetime
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components import plain_yaml


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("33:33", "33:33"), ("12:30", "12:30"), ("on", "on"), ("no", "no"), ("y", "y"),
        ("2031-05-31", "2031-05-31"), ("true", True), ("False", False), ("12", 12), ("-5", -5),
        ("0", 0), ("0755", 0o755), ("0x1F", 31), ("1_000", "1_000"), ("1.5", 1.5), (".5", 0.5),
        ("1.", 1.0), ("~", None), ("", None), ("1.2.3", "1.2.3"), ("'12'", "12"),
    ],
)  # fmt: skip
def test_words_and_numbers_are_those_of_yaml_1_2(written: str, meant: Any) -> None:
    found = plain_yaml.load(f"key: {written}")["key"]
    assert found == meant
    assert type(found) is type(meant)


def test_a_text_that_builds_objects_is_refused() -> None:
    with pytest.raises(yaml.YAMLError):
        plain_yaml.load("key: !!python/object/apply:os.getcwd []")


def test_pyyamls_own_loader_stays_as_it_is() -> None:
    assert yaml.safe_load("key: 2031-05-31")["key"] == datetime.date(2031, 5, 31)


ANY = st.recursive(
    st.text(max_size=8)
    | st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["on", "33:33", "1.5e3", "0440", "~", "null", "<<", "=", "\x85", "\u2028"]),
    lambda part: (
        st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3)
    ),
    max_leaves=6,
)


@given(ANY)
def test_what_is_written_is_read_as_the_same(value: Any) -> None:
    assert plain_yaml.load(plain_yaml.dump(value)) == value


def test_a_part_that_stands_in_two_places_is_written_in_both() -> None:
    part = {"a": ["b"]}
    assert "&" not in plain_yaml.dump({"x": part, "y": part})
