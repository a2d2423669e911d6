"""What `make bench` computes, and what it types by hand on a server."""

import json
import subprocess
from pathlib import Path

import pytest

from bench import by_hand, pushing
from bench.measure import Measured, MeasureError
from bench.run import median, pushes_table, told
from flow.story.watching import JobDone

COMPOSE = """\
services:
  api: {image: registry.example.org/app/api@sha256:0011}
  db: {image: registry.example.org/app/db@sha256:2233}
"""


def test_the_median_is_of_each_figure_by_itself() -> None:
    found = median(
        [Measured(3.0, 1.0, 9.0, 4.0), Measured(1.0, 3.0, 7.0, 4.0), Measured(2.0, 2.0, 8.0, 4.0)]
    )
    assert found == Measured(2.0, 2.0, 8.0, 4.0)


def test_a_figure_that_is_missing_once_is_missing() -> None:
    assert median([Measured(1.0, None, 1.0, 2.0), Measured(1.0, 1.0, 1.0, None)]) == Measured(
        1.0, None, 1.0, None
    )


def test_by_hand_the_new_images_are_put_into_the_running_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current, here = tmp_path / "current", tmp_path / "by-hand"
    current.mkdir()
    (current / "compose.yaml").write_text(COMPOSE)
    (current / "environment.json").write_text(json.dumps({"VERSION": "1.0"}))
    monkeypatch.setattr(by_hand, "HERE", str(here))
    typed = by_hand.script("1.1", {"api": "sha256:aabb"}, "registry.example.org/app")
    local = typed.replace("/var/lib/deployment-flow/current", str(current))
    # Here there is neither jq for certain nor an application to start.
    without = local.replace("jq -r", "true").replace("docker compose", "true docker compose")
    subprocess.run(["sh", "-eu"], input=without, text=True, check=True, timeout=10)
    written = (here / "compose.yaml").read_text()
    assert "api@sha256:aabb}" in written
    assert "db@sha256:2233}" in written


def job(name: str, started: float, ended: float) -> JobDone:
    return JobDone(name, "success", started, started, ended, "")


def test_a_push_is_counted_without_its_build_job() -> None:
    found = pushing.pushed(40.0, [job("flow / build", 3, 15), job("flow / demo", 16, 36)])
    assert (found.build, found.deploy, found.beyond) == (12, 20, 28)


def test_a_push_whose_deploy_job_did_not_run_is_no_figure() -> None:
    with pytest.raises(MeasureError, match="no job demo ran, but build"):
        pushing.pushed(40.0, [job("flow / build", 3, 15)])


def test_what_became_of_requests_is_said_in_one_line() -> None:
    assert told({"lost": 0, "sent": 812, "slowest": 0.44}) == (
        "requests lost: 0 of 812 (the slowest took 0.4 s)"
    )


def test_the_table_of_pushes_says_the_limits_and_whether_they_are_kept() -> None:
    fast, slow = pushing.Pushed(40, 12, 20), pushing.Pushed(90, 40, 48)
    assert pushing.row([fast, fast, slow], 30)["beyond"] == 28
    assert pushing.row([fast, slow], 30) == {
        "total": 65,
        "build": 26,
        "deploy": 34,
        "beyond": 39,
        "limit": 30,
        "kept": False,
        "repeated": 2,
    }
    rows = {"a": pushing.row([fast], 30), "b": pushing.row([slow], 45)}
    shown = pushes_table(rows)
    assert list(shown.columns[5].cells) == ["30 kept", "45 MISSED"]
    assert list(shown.columns[4].cells) == ["28.0", "50.0"]
