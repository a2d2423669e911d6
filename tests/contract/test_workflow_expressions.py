"""The evaluator of workflow expressions against what GitHub documents of them."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from toolchain.install import Installation

CONTEXT: dict[str, Any] = {
    "github": {
        "ref": "refs/heads/Feature",
        "event": {"labels": [{"name": "bug"}, {"name": "Docs"}], "number": 7, "nothing": None},
    },
    "needs": {"build": {"result": "success", "outputs": {"digest": "sha256:1"}}},
    "vars": {"URL": "https://example.org"},
    "inputs": {"force": True},
    "matrix": {"os": "debian"},
}


def ask(*questions: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the answers to questions, in their order."""
    done = subprocess.run(
        [Installation().bin / "workflow-expressions"],
        input="".join(json.dumps({"context": CONTEXT, **asked}) + "\n" for asked in questions),
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def decide(condition: str | bool, status: str = "success") -> Any:
    return ask({"expression": condition, "mode": "if", "status": status})[0]["value"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("github.ref == 'refs/heads/feature'", True),  # text is compared without case
        ("github.event.number == '7'", True),  # different types as numbers
        ("github.event.number > 10", False),
        ("github.event.nothing == github.event.absent", True),
        ("github.event.nothing != null", False),
        ("github.event.labels[1].name", "Docs"),
        ("github.event['number']", 7),
        ("contains(github.event.labels.*.name, 'docs')", True),
        ("join(github.event.labels.*.name, ' and ')", "bug and Docs"),
        ("startsWith(github.ref, 'REFS/heads/')", True),
        ("endsWith(github.ref, 'x')", False),
        ("format('{{{0}}} {1}', matrix.os, 1.50)", "{debian} 1.5"),
        ("github.event.absent.deeper || 'otherwise'", "otherwise"),
        ("inputs.force && 'yes' || 'no'", "yes"),
        ("case(inputs.force, 'forced', 'usual')", "forced"),
        ("!vars.URL", False),
        ("fromJSON('{\"a\": [1, 2]}').a[1]", 2),
        ("toJSON(needs.build.outputs)", '{\n  "digest": "sha256:1"\n}'),
        ("0x10 == 16 && '' == 0", True),
        ("${{ needs.build.outputs }}", {"digest": "sha256:1"}),
        ("no-${{ github.event.number }}", "no-7"),
    ],
)
def test_a_value_is_what_github_makes_of_it(expression: str, value: Any) -> None:
    assert ask({"expression": expression, "mode": "value"}) == [{"value": value}]


def test_a_template_is_text_whatever_stands_in_it() -> None:
    template = "a ${{ 'it''s }}' }} ${{ inputs.force }}${{ github.event.nothing }}"
    answers = ask(
        {"expression": template, "mode": "template"},
        {"expression": "${{ github.event.number }}", "mode": "template"},
        {"expression": "plain", "mode": "template"},
    )
    assert [answer["value"] for answer in answers] == ["a it's }} true", "7", "plain"]


@pytest.mark.parametrize(
    ("condition", "status", "runs"),
    [
        ("", "success", True),
        ("", "failure", False),
        ("", "skipped", False),
        (False, "success", False),
        ("inputs.force", "success", True),
        ("inputs.force", "failure", False),  # success() is meant as well
        ("${{ inputs.force }}", "cancelled", False),
        ("always()", "cancelled", True),
        ("always() && needs.build.result == 'success'", "failure", True),
        ("failure()", "success", False),
        ("failure()", "failure", True),
        ("failure()", "cancelled", False),
        ("cancelled()", "cancelled", True),
        ("!cancelled()", "skipped", True),
        ("inputs.force && !failure()", "failure", False),
        ("${{ false }} text", "success", True),  # text is never empty: GitHub runs it
    ],
)
def test_a_job_s_condition_means_success_unless_it_asks_for_a_status(
    condition: str | bool, status: str, runs: bool
) -> None:
    assert decide(condition, status) is runs


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"expression": "matrix.os", "mode": "if"}, "Unrecognized named-value: 'matrix'"),
        ({"expression": "steps.a", "mode": "value"}, "Unrecognized named-value: 'steps'"),
        ({"expression": "success()", "mode": "value"}, "Unrecognized function: 'success'"),
        ({"expression": "nonsense(1)", "mode": "value"}, "Unrecognized function: 'nonsense'"),
        ({"expression": "contains('a')", "mode": "value"}, "2 to 2 arguments"),
        ({"expression": "a ${{ b", "mode": "template"}, "has no }}"),
        ({"expression": "1 +", "mode": "value"}, "in the expression"),
        ({"expression": "fromJSON('nope')", "mode": "value"}, "no JSON"),
        ({"expression": "1", "mode": "guess"}, "unknown mode"),
    ],
)
def test_a_mistake_is_an_answer_and_the_next_question_is_heard(
    asked: dict[str, Any], problem: str
) -> None:
    mistaken, following = ask(asked, {"expression": "1", "mode": "value"})
    assert problem in mistaken["error"]
    assert following == {"value": 1}
