"""Matrices, concurrency groups, masks and the files act is given: what needs no act."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.github.actions.act_files import Needed, Work, called, read_outputs, write
from sandbox.github.actions.act_log import JobLog
from sandbox.github.actions.concurrency import WHOLE_RUN, Groups, Holder
from sandbox.github.actions.masking import Masker
from sandbox.github.actions.matrix import MatrixError, expand, title
from sandbox.github.actions.workflow import parse


@pytest.mark.parametrize(
    ("matrix", "combinations"),
    [
        ({"a": [1, 2], "b": ["x"]}, [{"a": 1, "b": "x"}, {"a": 2, "b": "x"}]),
        ({"a": [1, 2], "exclude": [{"a": 1}]}, [{"a": 2}]),
        ({"include": [{"a": 1}, {"b": 2}]}, [{"a": 1}, {"b": 2}]),
        (
            {"a": [1, 2], "include": [{"c": 9}, {"a": 2, "d": 8}, {"a": 3}]},
            [{"a": 1, "c": 9}, {"a": 2, "c": 9, "d": 8}, {"a": 3}],
        ),
    ],
)
def test_a_matrix_is_every_combination(matrix: Any, combinations: list[Any]) -> None:
    assert expand(matrix) == combinations


@pytest.mark.parametrize("matrix", [[], {}, {"a": []}, {"a": 1}, {"include": [1]}])
def test_what_is_no_matrix_is_refused(matrix: Any) -> None:
    with pytest.raises(MatrixError):
        expand(matrix)


def test_a_combination_names_its_job() -> None:
    assert title("build", {"os": "debian", "n": 3, "all": True, "x": [1]}) == (
        "build (debian, 3, true)"
    )


class Line:
    """Holders of one group, and what they were told."""

    def __init__(self) -> None:
        self.groups = Groups()
        self.told: list[str] = []
        self.holders: dict[str, Holder] = {}

    def enter(
        self, name: str, *, run: int = 0, cancels: bool = False, queues: bool = False
    ) -> bool:
        holder = Holder(
            name, run or len(self.holders) + 1,
            lambda: self.told.append(f"{name} goes"),
            lambda _reason: self.told.append(f"{name} is cancelled"),
        )  # fmt: skip
        self.holders[name] = holder
        return self.groups.enter("o/r", "Deploy", holder, cancels=cancels, queues=queues)

    def leave(self, name: str) -> None:
        self.groups.leave(self.holders[name])


def test_a_newer_one_takes_the_place_of_the_one_that_waits() -> None:
    line = Line()
    assert [line.enter("a"), line.enter("b"), line.enter("c")] == [True, False, False]
    assert line.told == ["b is cancelled"]
    line.leave("a")
    assert line.told == ["b is cancelled", "c goes"]


def test_with_queue_max_nobody_is_replaced() -> None:
    line = Line()
    for name in "abcd":
        line.enter(name, queues=True)
    for name in "abc":
        line.leave(name)
    assert line.told == ["b goes", "c goes", "d goes"]


def test_cancel_in_progress_ends_both_and_goes_when_the_first_has_left() -> None:
    line = Line()
    line.enter("a")
    line.enter("b")
    line.enter("c", cancels=True)
    assert line.told == ["b is cancelled", "a is cancelled"]
    line.leave("a")
    assert line.told[-1] == "c goes"


def test_a_job_that_waits_for_its_own_run_is_ended() -> None:
    line = Line()
    line.enter(WHOLE_RUN, run=7)
    assert line.enter("job", run=7) is False
    assert line.told == ["job is cancelled"]


def test_a_group_forgets_who_left_before_its_turn_and_is_one_whatever_its_case() -> None:
    line = Line()
    line.enter("a")
    line.enter("b")
    line.leave("b")
    line.leave("a")
    assert line.told == []
    other = Holder("z", 9, lambda: None, lambda _reason: None)
    assert line.groups.enter("o/r", "DEPLOY", other, cancels=False, queues=False)


@given(st.lists(st.sampled_from(["enter", "queue", "leave"]), max_size=40))
def test_of_a_group_never_two_go(steps: list[str]) -> None:
    groups = Groups()
    going: list[Holder] = []
    waiting: list[Holder] = []
    number = 0
    for step in steps:
        if step == "leave" and going:
            groups.leave(going.pop(0))
        elif step != "leave":
            number += 1

            def go(number: int = number) -> None:
                going.append(next(h for h in waiting if h.run == number))

            holder = Holder(str(number), number, go, lambda _reason: None)
            waiting.append(holder)
            if groups.enter("o/r", "g", holder, cancels=False, queues=step == "queue"):
                going.append(holder)
        assert len(going) <= 1


def test_secrets_are_masked_whole_by_line_and_in_base64() -> None:
    masker = Masker(["first line\nsecond line", "short", "", "ab"])
    text = "first line, second line, c2hvcnQ=, short ab"
    assert masker(text) == "***, ***, ***, *** ab"
    assert masker.hides("x second line x")
    assert not masker.hides("ab")


def work(**more: Any) -> Work:
    workflow = parse(
        "{on: push, env: {A: 1}, jobs: {d: {runs-on: x, environment: {name: e, url: 'u${{ 1 }}'}, "
        'outputs: {"it\'s": o}, steps: [{id: s, run: x, if: always()}]}}}',
        "x.yml",
    )
    known = {"event": "push", "payload": {}, "actor": "dev", **more}
    return Work(workflow, "Flow", "d", workflow.jobs["d"], **known)


def test_the_file_for_act_holds_the_job_alone_and_what_it_needs_as_stubs(tmp_path: Path) -> None:
    file = called(
        work(
            needs={"b": Needed("success", {"v": "${{ x }} 'q'"}), "s": Needed("skipped")},
            inputs={"flag": True, "n": 2, "t": "x", "none": None},
            matrix={"os": "debian"},
        ),
        tmp_path / "outputs",
    )
    assert file["on"]["workflow_call"]["inputs"] == {
        "flag": {"type": "boolean"}, "n": {"type": "number"}, "t": {"type": "string"},
    }  # fmt: skip
    assert file["jobs"]["b"]["outputs"] == {"v": "${{ '${{ x }} ''q''' }}"}
    assert file["jobs"]["s"]["if"] is False
    job = file["jobs"]["d"]
    assert (job["needs"], job["if"]) == (["b", "s"], "always()")
    assert job["strategy"]["matrix"] == {"include": [{"os": "debian"}]}
    assert job["steps"][0] == {"id": "s", "run": "trap echo EXIT; x", "if": "always()"}
    assert file["env"] == {"A": 1}
    assert "environment" not in job


def test_secrets_are_in_a_file_only_the_owner_reads_and_in_no_argument(tmp_path: Path) -> None:
    arguments = write(work(secrets={"KEY": "a-secret", "EMPTY": ""}), tmp_path)
    assert not any("a-secret" in word for word in arguments)
    assert (tmp_path / "secrets.yml").stat().st_mode & 0o777 == 0o600
    holding = [p.name for p in tmp_path.rglob("*") if p.is_file() and "a-secret" in p.read_text()]
    assert holding == ["secrets.yml"]


def test_outputs_are_read_whatever_they_hold(tmp_path: Path) -> None:
    assert read_outputs(tmp_path) == {}
    (tmp_path / "outputs").write_text("a\0one\ntwo\0b\0\0")
    assert read_outputs(tmp_path) == {"a": "one\ntwo", "b": ""}


def test_lines_that_are_no_json_are_told_only_when_the_job_came_to_nothing() -> None:
    lines: list[str] = []
    log = JobLog(work().job.steps, Masker(), lines.append, lambda: "now")
    log.follow("d")
    log.take("Error: workflow is not valid")
    log.take('{"jobID": "d", "jobResult": "failure", "msg": "x", "level": "info"}')
    log.take("Error: Job 'd' failed")
    log.take("[1, 2]")
    assert [line.split(" ", 1)[1] for line in lines] == ["##[error]workflow is not valid"]
    assert log.result == "failure"
