"""Copies of a state as values: which are kept, which are none, where they are."""

import json
from pathlib import Path

import pytest

from flow import clock, state_copies
from flow.errors import FlowError
from flow.state_copies import Copies

STACK = "dev"
FILE = f".pulumi/stacks/small/{STACK}.json"


class Memory:
    """A backend's files."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        return self.held.get(name)

    def write(self, name: str, content: bytes) -> None:
        self.held[name] = content

    def names(self, folder: str) -> list[str]:
        above = f"{folder}/"
        return [name.removeprefix(above) for name in self.held if name.startswith(above)]

    def remove(self, names: list[str]) -> None:
        for name in names:
            self.held.pop(name, None)


def checkpoint(word: str, resources: int = 1) -> bytes:
    latest = {"manifest": {"version": "v3"}, "resources": [{"urn": word}] * resources}
    return json.dumps({"version": 3, "checkpoint": {"stack": STACK, "latest": latest}}).encode()


def changed(files: Memory, *words: str) -> Copies:
    """Copies after each of these was the state, a minute apart."""
    copies = Copies(files, "small")
    with pytest.MonkeyPatch.context() as patch:
        for number, word in enumerate(words):
            patch.setenv(clock.AHEAD, str(60 * number))
            files.write(FILE, checkpoint(word))
            copies.take(STACK)
    return copies


def words(copies: Copies) -> list[str]:
    found = [json.loads(copies.text(STACK, each.id)) for each in copies.found(STACK)]
    return [each["deployment"]["resources"][0]["urn"] for each in found]


def test_only_the_last_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_copies, "KEEP", 2)
    copies = changed(Memory(), "one", "two", "three", "four")
    assert words(copies) == ["three", "four"]
    assert json.loads(copies.text(STACK))["deployment"]["resources"] == [{"urn": "four"}]


def test_what_has_not_changed_is_no_other_copy() -> None:
    assert words(changed(Memory(), "one", "one", "two")) == ["one", "two"]


@pytest.mark.parametrize("content", [b"", b"[]", b"null", checkpoint("one")[:40], b"\xff"])
def test_a_damaged_state_takes_no_good_copys_place(content: bytes) -> None:
    files = Memory()
    copies = changed(files, "one")
    files.write(FILE, content)
    with pytest.raises(FlowError, match="is damaged") as error:
        copies.take(STACK)
    assert f"flow state restore {STACK}" in error.value.remedy
    assert words(copies) == ["one"]


def test_a_stack_without_resources_has_nothing_to_copy() -> None:
    files = Memory()
    assert Copies(files, "small").take(STACK) is None
    files.write(FILE, checkpoint("one", resources=0))
    assert Copies(files, "small").take(STACK) is None


def test_files_of_others_are_no_copies() -> None:
    files = Memory()
    copies = changed(files, "one")
    files.write(f"copies/small/{STACK}/notes.txt", b"")
    files.write(f"copies/small/{STACK}/.part.json", b"")
    assert words(copies) == ["one"]


def test_a_stacks_copies_are_removed_with_what_was_half_written_and_nothing_else(
    tmp_path: Path,
) -> None:
    copies = state_copies.at({"PULUMI_BACKEND_URL": f"file://{tmp_path}"}, "small")
    assert copies is not None
    state = tmp_path / ".pulumi/stacks/small"
    state.mkdir(parents=True)
    for stack in (STACK, "staging"):
        (state / f"{stack}.json").write_bytes(checkpoint(stack))
        copies.take(stack)
    own = tmp_path / "copies/small" / STACK
    (own / f".{copies.newest(STACK)}.json.4711").write_bytes(b"half")
    copies.remove(STACK)
    assert not own.exists()
    assert words(copies) == []
    assert len(copies.found("staging")) == 1


def test_a_stack_without_copies_has_none_to_remove(tmp_path: Path) -> None:
    Copies(Memory(), "small").remove(STACK)
    copies = state_copies.at({"PULUMI_BACKEND_URL": f"file://{tmp_path}"}, "small")
    assert copies is not None
    copies.remove(STACK)


def test_a_backend_that_keeps_its_own_history_is_left_to_it() -> None:
    assert state_copies.at({"PULUMI_BACKEND_URL": "https://api.pulumi.com"}, "small") is None
    assert state_copies.at({}, "small") is None


def test_a_bucket_without_keys_and_an_id_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match="no key for the bucket"):
        state_copies.at({"PULUMI_BACKEND_URL": "s3://states"}, "small")
    empty = state_copies.at({"PULUMI_BACKEND_URL": f"file://{tmp_path}"}, "small")
    assert empty is not None
    with pytest.raises(FlowError, match="no copy's id"):
        empty.text(STACK, "../x")
    with pytest.raises(FlowError, match="there is no copy"):
        empty.text(STACK)
