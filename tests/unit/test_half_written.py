"""A state in a folder, after its engine was killed between two files."""

import os
import time
from pathlib import Path

import pytest

from flow import half_written


@pytest.fixture
def attributes(tmp_path: Path) -> Path:
    folder = tmp_path / "a state/.pulumi/stacks/p"
    folder.mkdir(parents=True)
    (folder / "dev.json").write_text("{}")
    file = folder / "dev.json.attrs"
    file.touch()
    os.utime(file, (time.time() - 60,) * 2)
    return file


def mend(attributes: Path, stack: str = "dev") -> bool:
    url = attributes.parents[3].as_uri()
    assert "%20" in url
    return half_written.mend(url, "p", stack)


def test_attributes_that_were_never_written_are_removed(attributes: Path) -> None:
    assert mend(attributes)
    assert not attributes.exists()
    assert attributes.with_suffix("").exists()
    assert not mend(attributes)


def test_whole_ones_and_those_of_other_stacks_stay(attributes: Path) -> None:
    assert not mend(attributes, "prod")
    attributes.write_text("{}")
    os.utime(attributes, (time.time() - 60,) * 2)
    assert not mend(attributes)
    assert attributes.exists()


def test_what_is_being_written_just_now_is_left_alone(attributes: Path) -> None:
    os.utime(attributes)
    assert not mend(attributes)


def test_a_state_in_a_bucket_has_no_such_files() -> None:
    assert not half_written.mend("s3://states?region=x", "p", "dev")
