"""A backup's record, and its files sealed and opened as streams."""

import dataclasses
import io
import json
from typing import Any

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow import backends, saving
from flow.backups import records, sealing
from flow.backups.records import Backup, Part
from flow.errors import FlowError

BACKUP = Backup(
    id="20310531T090000Z-3f9a",
    environment="staging",
    stage="staging",
    version="1.4.0",
    commit="c0ffee",
    release="r-1",
    time=1_938_000_000,
    seconds=2.5,
    why=records.NIGHTLY,
    sealed=sealing.BY_PASSPHRASE,
    parts=(Part("db", 10, "0" * 64, 20, "1" * 64), Part("files", 1, "2" * 64, 3, "4" * 64)),
    rows={"db": {"tasks": 24}},
)


def test_a_record_reads_back_as_it_was_written() -> None:
    assert records.parse(BACKUP.text()) == BACKUP


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"id": "../../prod/20310531T090000Z-3f9a"},
        {"parts": [{**dataclasses.asdict(BACKUP.parts[0]), "service": "../x"}]},
        {"parts": [{**dataclasses.asdict(BACKUP.parts[0]), "sha256": "0"}]},
        {"parts": [1]},
        {"parts": None},
        {"rows": [1]},
        {"time": None},
    ],
)
def test_a_record_somebody_else_wrote_is_none(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        records.parse(json.dumps({**json.loads(BACKUP.text()), **change}))


@given(st.text(max_size=40))
def test_only_an_id_becomes_part_of_a_path(text: str) -> None:
    if records.ID.fullmatch(text) is None:
        with pytest.raises(FlowError):
            records.check_id(text)


def test_ids_sort_by_time() -> None:
    assert records.new_id(1_938_000_000, "ffff") < records.new_id(1_938_000_001, "0000")
    assert records.check_id(records.new_id(1_938_000_000, "3f9a"))


# -- sealing ---------------------------------------------------------------------------------------

CONTENT = b"the campaign " * 50_000


class Broken(io.RawIOBase):
    """A dump that is cut after a while."""

    def __init__(self) -> None:
        self.left = 100_000

    def read(self, size: int = -1) -> bytes:
        if self.left <= 0:
            raise FlowError("the dump was cut")
        self.left -= size
        return b"x" * size


class Full(io.RawIOBase):
    """A pipe that has ended."""

    def write(self, _: Any) -> int:
        raise BrokenPipeError


def sealed(seal: sealing.Seal) -> bytes:
    made = io.BytesIO()
    clear, closed = sealing.seal(io.BytesIO(CONTENT), made, seal)
    assert (clear.bytes, closed.bytes) == (len(CONTENT), len(made.getvalue()))
    return made.getvalue()


@pytest.fixture(scope="module")
def sealed_key() -> sealing.Seal:
    """A seal by passphrase. Made once: age makes a passphrase expensive to guess, or to use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(saving.RECIPIENT, raising=False)
        patch.setenv(backends.PASSPHRASE, "correct horse")
        return sealing.new_seal("staging")


@pytest.fixture
def passphrase(sealed_key: sealing.Seal, monkeypatch: pytest.MonkeyPatch) -> sealing.Seal:
    """The same, with its passphrase in the environment."""
    monkeypatch.setenv(backends.PASSPHRASE, "correct horse")
    return sealed_key


@pytest.fixture(scope="module")
def key(sealed_key: sealing.Seal) -> Any:
    """What opens it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(backends.PASSPHRASE, "correct horse")
        return sealing.opener("staging", sealed_key.to, sealed_key.identity)


def test_what_the_passphrase_sealed_it_opens_and_age_does_too(
    passphrase: sealing.Seal, key: Any
) -> None:
    made, out = sealed(passphrase), io.BytesIO()
    assert b"campaign" not in made
    assert passphrase.identity is not None
    # As a person does it: age -d -i identity.age FILE
    text = pyrage.passphrase.decrypt(passphrase.identity, "correct horse").decode()
    assert pyrage.decrypt(made, [pyrage.x25519.Identity.from_str(text.strip())]) == CONTENT
    sealing.unseal(io.BytesIO(made), out, key)
    assert out.getvalue() == CONTENT


def test_a_wrong_passphrase_is_said_to_be_wrong(
    passphrase: sealing.Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(backends.PASSPHRASE, "another")
    with pytest.raises(FlowError, match="sealed with another"):
        sealing.opener("staging", passphrase.to, passphrase.identity)
    monkeypatch.delenv(backends.PASSPHRASE)
    with pytest.raises(FlowError, match="sealed with the passphrase") as error:
        sealing.opener("staging", passphrase.to, passphrase.identity)
    assert backends.PASSPHRASE in error.value.remedy


def test_a_public_key_needs_its_private_one(monkeypatch: pytest.MonkeyPatch) -> None:
    key, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    monkeypatch.setenv(saving.RECIPIENT, str(key.to_public()))
    seal = sealing.new_seal("staging")
    assert seal.identity is None
    for given_key, wanted in ((None, "not here"), ("x", "no private key"), (str(other), "another")):
        if given_key is None:
            monkeypatch.delenv(sealing.IDENTITY, raising=False)
        else:
            monkeypatch.setenv(sealing.IDENTITY, given_key)
        with pytest.raises(FlowError, match=wanted) as error:
            sealing.opener("staging", seal.to, None)
        assert str(other) not in str(error.value)
    monkeypatch.setenv(sealing.IDENTITY, str(key))
    out = io.BytesIO()
    sealing.unseal(io.BytesIO(sealed(seal)), out, sealing.opener("staging", seal.to, None))
    assert out.getvalue() == CONTENT


@pytest.mark.parametrize(
    "spoil", [lambda b: b[:-1], lambda b: b[:-70_000], lambda b: b[:-9] + b"123456789"]
)
def test_a_file_that_was_cut_or_changed_is_not_opened_whole(
    passphrase: sealing.Seal, key: Any, spoil: Any
) -> None:
    out = io.BytesIO()
    with pytest.raises(FlowError, match="cannot be opened"):
        sealing.unseal(io.BytesIO(spoil(sealed(passphrase))), out, key)
    assert out.getvalue() != CONTENT


def test_what_goes_wrong_on_either_side_is_told_as_it_was(
    passphrase: sealing.Seal, key: Any
) -> None:
    with pytest.raises(FlowError, match="the dump was cut"):
        sealing.seal(Broken(), io.BytesIO(), passphrase)
    with pytest.raises(BrokenPipeError):
        sealing.unseal(io.BytesIO(sealed(passphrase)), Full(), key)


def test_a_seal_shows_no_key(passphrase: sealing.Seal) -> None:
    assert "AGE" not in repr(passphrase)
    assert repr(passphrase) == "Seal(to='passphrase')"
