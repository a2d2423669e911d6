"""A long run as one HTML page: a timeline of what waited for what, with links and seconds.

One file without scripts, styles or pictures from elsewhere, so that it opens anywhere.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

_ROW = 30
_LABELS = 330
_CHART = 900
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_COLOURS = {"done": "#2da44e", "failed": "#cf222e", "waited": "#d4a72c", "running": "#6e7781"}


@dataclass(frozen=True)
class Span:
    """One bar. Times in seconds since the run began.

    lane     whose it is: a heading the bars stand under
    waited   how long it was ready and had to wait before `start`: a runner, a reviewer, a lock
    after    names of the spans it waited for
    """

    name: str
    lane: str
    start: float
    end: float
    state: str = "done"
    result: str = ""
    url: str = ""
    waited: float = 0.0
    after: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it took, waiting left out."""
        return self.end - self.start


def page(title: str, spans: Sequence[Span]) -> str:
    """The page."""
    return _PAGE.format(
        title=html.escape(title), picture=_picture(spans), table=_table(spans),
        total=_told(max((each.end for each in spans), default=0.0)),
    )  # fmt: skip


def _picture(spans: Sequence[Span]) -> str:
    whole = max((each.end for each in spans), default=1.0) or 1.0
    scale = _CHART / whole
    rows, at = [], 24.0
    places: dict[str, tuple[float, float]] = {}
    lanes = list(dict.fromkeys(each.lane for each in spans))
    for lane in lanes:
        rows.append(f'<text class="lane" x="0" y="{at + 16:.0f}">{html.escape(lane)}</text>')
        at += _ROW
        for each in (span for span in spans if span.lane == lane):
            rows.append(_bar(each, at, scale))
            places[each.name] = (_LABELS + each.end * scale, at + 10)
            at += _ROW
    arrows = [
        _arrow(places[name], (_LABELS + (each.start - each.waited) * scale, places[each.name][1]))
        for each in spans
        for name in each.after
        if name in places
    ]
    axis = _axis(whole, scale, at)
    box = f"0 0 {_LABELS + _CHART + 20} {at + 10:.0f}"
    return (
        f'<svg role="img" aria-label="timeline" viewBox="{box}">'
        + axis + "".join(rows) + "".join(arrows) + "</svg>"
    )  # fmt: skip


def _bar(span: Span, at: float, scale: float) -> str:
    x, width = _LABELS + span.start * scale, max(span.seconds * scale, 2.0)
    told = f"{span.name}: {_told(span.seconds)}{f', {span.result}' if span.result else ''}"
    parts = [f"<title>{html.escape(told)}</title>"]
    parts.append(
        f'<text class="name" x="12" y="{at + 15:.0f}">{html.escape(span.name[:52])}</text>'
    )
    if span.waited > 0:
        parts.append(
            f'<rect x="{x - span.waited * scale:.1f}" y="{at + 7:.0f}" '
            f'width="{span.waited * scale:.1f}" height="6" fill="{_COLOURS["waited"]}"/>'
        )
    colour = _COLOURS.get(span.state, _COLOURS["running"])
    parts.append(
        f'<rect x="{x:.1f}" y="{at + 2:.0f}" width="{width:.1f}" height="16" rx="3" '
        f'fill="{colour}"/>'
    )
    seconds = (
        f'<text class="time" x="{x + width + 4:.1f}" y="{at + 14:.0f}">{_told(span.seconds)}</text>'
    )
    # At the right edge the words stand before the bar.
    if x + width > _LABELS + _CHART - 50:
        seconds = seconds.replace(f'x="{x + width + 4:.1f}"', f'text-anchor="end" x="{x - 4:.1f}"')
    group = f'<g class="span">{"".join(parts)}{seconds}</g>'
    return f'<a href="{html.escape(span.url)}">{group}</a>' if span.url else group


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x, y), (to_x, to_y) = start, end
    curve = f"C {x + 12:.1f} {y:.1f} {to_x - 12:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
    return f'<path class="after" d="M {x:.1f} {y:.1f} {curve}"/>'


def _axis(whole: float, scale: float, height: float) -> str:
    step = next((each for each in _STEPS if whole / each <= 12), _STEPS[-1])
    marks = []
    for number in range(int(whole // step) + 1):
        x = _LABELS + number * step * scale
        marks.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="18" y2="{height:.0f}"/>'
            f'<text class="time" x="{x:.1f}" y="12">{_told(number * step)}</text>'
        )
    return "".join(marks)


def _table(spans: Sequence[Span]) -> str:
    rows = []
    for each in spans:
        name = html.escape(each.name)
        linked = f'<a href="{html.escape(each.url)}">{name}</a>' if each.url else name
        waited = f"{each.waited:.1f}" if each.waited else ""
        rows.append(
            f'<tr class="{html.escape(each.state)}"><td>{html.escape(each.lane)}</td>'
            f"<td>{linked}</td><td>{each.seconds:.1f}</td><td>{waited}</td><td>{html.escape(each.result)}</td></tr>"
        )
    return "".join(rows)


def _told(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 1200px; }}
svg {{ width: 100%; height: auto; font-size: 12px; }}
.lane {{ font-weight: 600; }}
.time {{ fill: #57606a; font-size: 10px; }}
.grid {{ stroke: #d0d7de; stroke-width: .5; }}
.after {{ fill: none; stroke: #57606a; stroke-width: .8; stroke-dasharray: 3 2; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ border-bottom: 1px solid #d0d7de; padding: .3rem .5rem; text-align: left; }}
td:nth-child(3), td:nth-child(4) {{ text-align: right; font-variant-numeric: tabular-nums; }}
tr.failed td {{ background: #ffebe9; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{total} in all. Green: at work. Yellow: ready, and waiting. Dotted: what it waited for.</p>
{picture}
<table>
<thead><tr><th>part</th><th>what</th><th>seconds</th><th>waited</th><th>result</th></tr></thead>
<tbody>{table}</tbody>
</table>
</body>
</html>
"""
