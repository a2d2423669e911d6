"""What a Compose file says is what a server gets."""

import datetime
from typing import Any

import pytest
import yaml

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
