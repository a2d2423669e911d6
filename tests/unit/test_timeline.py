"""The page a rehearsal leaves."""

import re
import xml.etree.ElementTree as ElementTree

from flow.timeline import Span, page

SPANS = [
    Span("pull request <1>", "developer", 0, 3),
    Span("build", "dev", 5, 20, after=("pull request <1>",), waited=2),
    Span("deploy", "dev", 20, 80, url="https://dev.example.test/?a=1&b=2", result="1.2.0"),
    Span("prod", "prod", 80, 120, state="failed", waited=15, result="refused"),
]


def picture(text: str) -> ElementTree.Element:
    found = re.search(r"<svg.*?</svg>", text, re.DOTALL)
    assert found
    return ElementTree.fromstring(found[0])  # noqa: S314 (our own)


def test_every_span_has_a_bar_as_long_as_it_took() -> None:
    drawn = picture(page("Rehearsal", SPANS))
    bars = [rect for rect in drawn.iter("rect") if rect.get("height") == "16"]
    assert [round(float(bar.get("width", "0"))) for bar in bars] == [22, 112, 450, 300]


def test_waiting_is_drawn_before_the_bar_and_an_arrow_leads_from_what_it_waited_for() -> None:
    drawn = picture(page("Rehearsal", SPANS))
    waits = [rect for rect in drawn.iter("rect") if rect.get("height") == "6"]
    assert len(waits) == 2
    assert len([path for path in drawn.iter("path") if path.get("class") == "after"]) == 1


def test_names_are_text_and_addresses_are_links() -> None:
    text = page("A & B", SPANS)
    assert "<1>" not in text
    assert 'href="https://dev.example.test/?a=1&amp;b=2"' in text
    assert "<title>A &amp; B</title>" in text


def test_a_failed_part_is_told_apart_in_picture_and_table() -> None:
    text = page("Rehearsal", SPANS)
    assert '<tr class="failed"><td>prod</td><td>prod</td><td>40.0</td><td>15.0</td>' in text
    assert 'fill="#cf222e"' in text


def test_nothing_is_fetched_from_elsewhere() -> None:
    text = page("Rehearsal", SPANS)
    assert not re.search(r'(src|href)="(?!https://dev\.example\.test)', text)
    assert "<script" not in text


def test_a_run_of_nothing_is_a_page_all_the_same() -> None:
    assert "0 s in all" in page("Rehearsal", [])
