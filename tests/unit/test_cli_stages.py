"""What a long run shows: stages, their seconds, their ends."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from flow.errors import FlowError
from flow.stages import Stages


def _clock(*times: float) -> Iterator[float]:
    yield from times


def _stages(*times: float, terminal: bool = False) -> tuple[Stages, io.StringIO]:
    out = io.StringIO()
    ticks = _clock(*times)
    console = Console(file=out, force_terminal=terminal, width=100, no_color=True)
    return Stages(console, clock=lambda: next(ticks, times[-1])), out


def _shown(stages: Stages) -> str:
    out = io.StringIO()
    Console(file=out, width=100, no_color=True).print(stages.table())
    return out.getvalue()


def test_off_a_terminal_a_stage_is_two_plain_lines() -> None:
    stages, out = _stages(10.0, 12.5)
    with stages, stages.stage("staging: pulumi up") as stage:
        stage.note("creating [server]")
        stage.result = "12 create"
    assert out.getvalue() == "… staging: pulumi up\n✓ staging: pulumi up (2.5 s) 12 create\n"


def test_on_a_terminal_the_last_line_of_a_stage_stays_too() -> None:
    stages, out = _stages(10.0, 12.5, terminal=True)
    with stages, stages.stage("staging: pulumi up") as stage:
        stage.note("creating [server]")
    assert "✓ staging: pulumi up (2.5 s)" in out.getvalue()


def test_the_table_has_every_stage_and_the_sum_of_seconds() -> None:
    stages, _ = _stages(0.0, 1.5, 2.0, 4.0)
    with stages:
        with stages.stage("one") as stage:
            stage.result = "https://one.example.test [200]"
        with stages.stage("two"):
            pass
    lines = [line.split() for line in _shown(stages).splitlines()]
    assert lines[1] == ["✓", "one", "1.5", "https://one.example.test", "[200]"]
    assert lines[2] == ["✓", "two", "2.0"]
    assert lines[3] == ["total", "3.5"]


@pytest.mark.parametrize(
    ("raised", "mark"), [(FlowError("no"), "✗"), (KeyboardInterrupt(), "–"), (SystemExit(143), "–")]
)
def test_a_stage_that_ends_early_says_how_and_raises_on(raised: BaseException, mark: str) -> None:
    stages, out = _stages(0.0, 1.0)
    with pytest.raises(type(raised)), stages, stages.stage("one"):
        raise raised
    assert f"{mark} one (1.0 s)" in out.getvalue()
    assert _shown(stages).splitlines()[1].startswith(mark)
